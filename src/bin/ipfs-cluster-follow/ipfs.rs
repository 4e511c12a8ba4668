//! Whether an IPFS daemon answers, asked before there is a peer.
use std::time::Duration;

use ipfs_cluster::client::{Client, ClientArgs};
use ipfs_cluster::config::{Endpoint, Environment, parse_multiaddr};
use libp2p::multiaddr::Protocol;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use crate::place::Place;

/// The longest wait for a daemon's answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);
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
    tokio::time::timeout(ANSWER_TIME_MAX, asked(endpoint)).await.is_ok_and(|answer| answer.unwrap_or(false))
}

async fn asked(endpoint: &Endpoint) -> std::io::Result<bool> {
    match endpoint {
        Endpoint::Unix(path) => ask(UnixStream::connect(path).await?).await,
        Endpoint::Address(address) => {
            let (mut host, mut port) = (String::new(), 0);
            for part in address {
                if let Protocol::Ip4(ip) = part {
                    host = ip.to_string();
                } else if let Protocol::Ip6(ip) = part {
                    host = ip.to_string();
                } else if let Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) = part {
                    host = name.into_owned();
                } else if let Protocol::Tcp(number) = part {
                    port = number;
                }
            }
            ask(TcpStream::connect((host, port)).await?).await
        }
    }
}

/// One request, of whose answer only the status counts.
async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> std::io::Result<bool> {
    let request = "POST /api/v0/id HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await?;
    let mut head = [0; 12];
    stream.read_exact(&mut head).await?;
    Ok(&head == b"HTTP/1.1 200")
}

/// A client of a follower's own API: on its socket, or where the variable moved it.
pub fn api(place: &Place) -> Option<Client> {
    let environment = Environment::of_process();
    let socket = format!("/unix{}", place.socket().display());
    let host = environment.get("CLUSTER_RESTAPI_HTTPLISTENMULTIADDRESS").filter(|text| !text.is_empty());
    let hosts = vec![host.map_or(socket, |host| host.split(',').next().unwrap_or(host).to_owned())];
    Client::new(&ClientArgs { hosts, ..ClientArgs::default() }).ok()
}
