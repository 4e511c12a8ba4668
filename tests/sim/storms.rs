//! Runs at random: who writes, and which ills strike meanwhile.
use ipfs_cluster::crdt::Op;
use ipfs_cluster::crdt::automerge::Limits;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::net::Net;
use super::world::{Image, Weather, cid, pin};

/// What may go wrong beside lost messages and cut nets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ill {
    /// Power fails, before or after a commit.
    Crash,
    /// A disk from before is put in.
    Restore,
    /// A whole machine goes on from an image of before.
    Image,
    /// One direction of a link is silent, or one side cannot open streams.
    Link,
    /// Wall clocks are set.
    Clock,
    /// Rows fail in the middle of a turn, and disks fill up.
    Disk,
    /// A peer is away for minutes, and writes there.
    Away,
    /// Somebody says again what was said before.
    Replay,
}

/// Small enough that a run of some dozen changes meets every bound.
pub fn small(seed: u64) -> Limits {
    let mut rng = SmallRng::seed_from_u64(!seed);
    Limits {
        pending_max: [0, 8, 4096][rng.random_range(0..3)],
        log_bytes: [0, 600, 3_000][rng.random_range(0..3)],
        frame_rows: rng.random_range(1..4),
        join_keys: rng.random_range(1..6),
        ..Limits::default()
    }
}

pub fn ops(net: &mut Net, keys: u32) -> Vec<Op> {
    let count = net.rng.random_range(1..=4);
    let op = |net: &mut Net| {
        let key = net.rng.random_range(0..keys);
        if net.rng.random_bool(0.6) {
            Op::Pin(Box::new(pin(key, net.rng.random_range(0..1000))))
        } else {
            Op::Unpin(cid(key))
        }
    };
    (0..count).map(|_| op(net)).collect()
}

/// A storm of some length, in which the first `writers` peers write.
pub struct Storm<'a> {
    pub ills: &'a [Ill],
    pub writers: usize,
    pub steps: std::ops::Range<u32>,
    pub keys: u32,
    /// Longest wait between two steps, in milliseconds.
    pub wait: u64,
}

impl<'a> Storm<'a> {
    pub fn of(ills: &'a [Ill], writers: usize) -> Self {
        Self { ills, writers, steps: 20..80, keys: 30, wait: 15_000 }
    }

    pub fn run(&self, net: &mut Net) {
        net.weather = Weather::FOUL;
        if !self.ills.contains(&Ill::Crash) {
            net.weather.crash = 0.0;
        }
        if self.ills.contains(&Ill::Disk) {
            net.weather.fault = 0.02;
        }
        let (peers, keys) = (net.peers.len(), net.rng.random_range(1..self.keys));
        let mut backups = Vec::new();
        for _ in 0..net.rng.random_range(self.steps.clone()) {
            match net.rng.random_range(0..100) {
                0..55 => {
                    let n = net.rng.random_range(0..self.writers);
                    let ops = ops(net, keys);
                    net.write(n, ops);
                }
                55..67 => {
                    let parts = (0..peers).map(|_| net.rng.random_range(0..2)).collect();
                    net.part(parts);
                }
                67..85 if !self.ills.is_empty() => {
                    let (ill, n) = (net.rng.random_range(0..self.ills.len()), net.rng.random_range(0..peers));
                    strike(net, self.ills[ill], n, &mut backups);
                }
                _ => {
                    let millis = net.rng.random_range(0..self.wait);
                    net.run(millis);
                }
            }
        }
    }
}

fn strike(net: &mut Net, ill: Ill, n: usize, backups: &mut Vec<(usize, Image)>) {
    let peers = net.peers.len();
    match ill {
        Ill::Crash => net.crash(n),
        Ill::Restore | Ill::Image if backups.is_empty() || net.rng.random_bool(0.6) => backups.push((n, net.image(n))),
        Ill::Restore => {
            let at = net.rng.random_range(0..backups.len());
            let (n, image) = backups.swap_remove(at);
            net.restore(n, image.rows);
        }
        Ill::Image => {
            let at = net.rng.random_range(0..backups.len());
            let (n, image) = backups.swap_remove(at);
            net.wake(n, image);
        }
        Ill::Link => {
            let link = (n, net.rng.random_range(0..peers));
            let links = &mut net.links;
            let list = if net.rng.random_bool(0.5) { &mut links.mute } else { &mut links.closed };
            if !list.remove(&link) {
                list.insert(link);
            }
            net.relink();
        }
        Ill::Clock => {
            let millis = [0, 1_000, -60_000, 3_600_000, -86_400_000][net.rng.random_range(0..5)];
            net.skew(n, millis);
        }
        Ill::Disk => net.peers[n].is_full ^= true,
        Ill::Away => {
            if !net.links.away.remove(&n) {
                net.links.away.insert(n);
            }
            net.relink();
            let millis = net.rng.random_range(0..300_000);
            net.run(millis);
        }
        Ill::Replay => (0..3).for_each(|_| net.replay()),
    }
}
