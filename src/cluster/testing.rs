//! A lone peer for the tests of this folder: its real parts, and nobody at its daemon's port.
use std::path::Path;
use std::time::Duration;

use libp2p::identity::Keypair;
use tempfile::TempDir;

use super::{Args, Cluster, Peer, start};
use crate::config::{Config, Environment, File, check};
use crate::model::{Cid, Metric, PeerId, PinOptions};
use crate::observe::Meters;
use crate::task;

/// A peer that runs, and its folder.
pub struct Lone {
    pub cluster: Cluster,
    pub home: Home,
    peer: Peer,
}

/// Where a peer lives between its runs.
pub struct Home {
    pub config: Config,
    keypair: Keypair,
    _folder: TempDir,
}

impl Home {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { config: config(folder.path()), keypair: Keypair::generate_ed25519(), _folder: folder }
    }

    pub fn keypair(&self) -> &Keypair {
        &self.keypair
    }

    pub async fn start(self) -> Lone {
        let args = Args {
            config: self.config.clone(),
            keypair: self.keypair.clone(),
            bootstrap: Vec::new(),
            meters: Meters::default(),
        };
        let peer = start(args).await.unwrap();
        Lone { cluster: peer.cluster(), home: self, peer }
    }
}

impl Lone {
    /// A new peer, configured as `change` says.
    pub async fn start(change: impl FnOnce(&mut Config)) -> Self {
        let mut home = Home::new();
        change(&mut home.config);
        home.start().await
    }

    /// Makes a peer known that is not there, by metrics of these names, each of a weight.
    pub fn hear_of(&self, metrics: &[(&str, i64)]) -> PeerId {
        let peer = PeerId::random();
        for (name, weight) in metrics {
            assert!(self.cluster.inner.members.receive(metric_of(name, peer, *weight), task::wall()));
        }
        peer
    }

    pub async fn stop(self) -> Home {
        let Self { cluster, home, peer } = self;
        drop(cluster);
        peer.stop().await.unwrap();
        home
    }
}

/// A metric of `peer` that lives for a day.
pub fn metric_of(name: &str, peer: PeerId, weight: i64) -> Metric {
    Metric {
        name: name.into(),
        peer,
        value: r#"{"peer_name":"far"}"#.into(),
        expire_nanos: task::wall().plus(Duration::from_hours(24)).nanos(),
        valid: true,
        weight,
        partitionable: false,
        received_nanos: 0,
    }
}

/// The CID number `n`.
pub fn cid(n: u64) -> Cid {
    crate::ipfs::fake::cid(n)
}

/// Options of a pin for so many peers.
pub fn between(min: i32, max: i32) -> PinOptions {
    PinOptions { replication_min: min, replication_max: max, ..PinOptions::default() }
}

fn config(folder: &Path) -> Config {
    let file = serde_json::json!({
        "cluster": {
            "peername": "lone",
            "secret": "07".repeat(32),
            "listen_multiaddress": ["/ip4/127.0.0.1/tcp/0"],
            "mdns_interval": "0s",
        },
        "consensus": { "crdt": { "engine": "automerge", "cluster_name": "lone", "trusted_peers": ["*"] } },
        // Nobody listens on port 1, which only root could take.
        "ipfs_connector": { "ipfshttp": { "node_multiaddress": "/ip4/127.0.0.1/tcp/1" } },
        "allocator": { "balanced": { "allocate_by": ["freespace"] } },
        "informer": { "disk": { "metric_ttl": "30s", "metric_type": "freespace" } },
    });
    let file = File::parse(file.to_string().as_bytes()).unwrap();
    check(&file, &Environment::default(), folder).unwrap().0
}
