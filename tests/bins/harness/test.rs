//! One test: its directory, its turn, its cluster.
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use super::{Follower, Peer};
use crate::common::process::now;

/// Clusters run one after the other: two cores carry three peers with their Kubos, not twelve.
static TURN: Mutex<()> = Mutex::new(());

/// One test's directory and secret. Peers end before it is dropped, and the directory goes with it.
pub struct Test {
    dir: TempDir,
    secret: String,
    _turn: MutexGuard<'static, ()>,
}

impl Test {
    /// Waits for its turn.
    pub fn new() -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = tempfile::Builder::new().prefix("cluster").tempdir().expect("there is a place for temporary files");
        Self { dir, secret: hex::encode(rand::random::<[u8; 32]>()), _turn: turn }
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A configured peer that does not run yet, with a Kubo that does.
    pub fn peer(&self, name: &str) -> Peer {
        Peer::init(self.dir(), name, &self.secret)
    }

    /// As [`Test::peer`], with another secret.
    pub fn stranger(&self, name: &str) -> Peer {
        Peer::init(self.dir(), name, &hex::encode(rand::random::<[u8; 32]>()))
    }

    /// `N` running peers that know each other, each with a Kubo that is connected with the first one's.
    pub fn peers<const N: usize>(&self) -> [Peer; N] {
        let mut peers: [Peer; N] = std::array::from_fn(|n| self.peer(&format!("peer{n}")));
        let first = peers[0].swarm_address();
        peers[0].start(&[]);
        for peer in &mut peers[1..] {
            peer.start(&["--bootstrap", &first]);
        }
        for peer in &peers {
            peer.wait_for_members(N);
            peer.kubo().connect(peers[0].kubo());
        }
        peers
    }

    /// A configured follower of `peers` that does not run yet.
    pub fn follower(&self, peers: &[&Peer]) -> Follower {
        Follower::init(self.dir(), peers)
    }

    /// A path in its directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }
}

/// Polls until `done`; panics with `what` and what `told` says when `limit` passes before.
pub fn wait_for(what: &str, limit: Duration, told: impl Fn() -> String, mut done: impl FnMut() -> bool) {
    let from = now();
    while !done() {
        assert!(from.elapsed() < limit, "{what}: not within {limit:?}\n{}", told());
        thread::sleep(Duration::from_millis(100));
    }
}

/// A CID that nobody has the content of.
pub fn random_cid() -> String {
    let hash = multihash::Multihash::<64>::wrap(0x12, &rand::random::<[u8; 32]>()).expect("32 bytes fit");
    cid::Cid::new_v1(0x55, hash).to_string()
}
