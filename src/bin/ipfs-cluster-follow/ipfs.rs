//! Whether an IPFS daemon answers, asked before there is a peer.
use ipfs_cluster::client::{Client, ClientArgs};
use ipfs_cluster::config::{Endpoint, Environment, parse_multiaddr};

use crate::common::probe;
use crate::place::Place;

/// Kubo's RPC when nothing else is said.
const DEFAULT: &str = "/ip4/127.0.0.1/tcp/5001";

/// Where the daemon is: the default or the variable's, whatever a template says.
pub fn endpoint() -> Endpoint {
    let environment = Environment::of_process();
    let named = environment.get("CLUSTER_IPFSHTTP_NODEMULTIADDRESS").filter(|text| !text.is_empty());
    let default = || parse_multiaddr(DEFAULT).map(Endpoint::Address).expect("the default is an address");
    named.and_then(|text| Endpoint::parse(text).ok()).unwrap_or_else(default)
}

/// Whether a daemon answers there.
pub async fn is_online(endpoint: &Endpoint) -> bool {
    probe::post(endpoint, "/api/v0/id").await.is_ok_and(|answer| answer.status == 200)
}

/// How many bytes its repository has, and when it does not say: nothing.
pub async fn held_bytes(endpoint: &Endpoint) -> Option<u64> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Stat {
        repo_size: u64,
    }
    let answer = probe::post(endpoint, "/api/v0/repo/stat?size-only=true").await.ok()?;
    serde_json::from_slice(&answer.body).ok().map(|stat: Stat| stat.repo_size)
}

/// A client of a follower's own API: on its socket, or where the variable moved it.
pub fn api(place: &Place) -> Option<Client> {
    let environment = Environment::of_process();
    let socket = format!("/unix{}", place.socket().display());
    let host = environment.get("CLUSTER_RESTAPI_HTTPLISTENMULTIADDRESS").filter(|text| !text.is_empty());
    let hosts = vec![host.map_or(socket, |host| host.split(',').next().unwrap_or(host).to_owned())];
    Client::new(&ClientArgs { hosts, ..ClientArgs::default() }).ok()
}
