//! The network between the followers, and time.
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::super::{Key, Terms};
use super::node::{BEAT, Node, Pin};
use crate::model::{PeerId, UnixMillis};
use crate::monitor::testing::{at, cid};

/// How long what a follower told counts.
const LIFE: Duration = Duration::from_mins(10);
/// Beats between two passes of a follower at least.
const PASS: u32 = 6;
/// Beats within which what is told has arrived everywhere, unless a fifth of all is lost ten times.
const ARRIVED: u32 = 24;

/// What a world is made of.
#[derive(Clone, Copy)]
pub struct Args {
    pub seed: u64,
    pub nodes: usize,
    pub pins: u64,
    /// How many times the largest pin is the smallest one.
    pub skew: f64,
    /// The part of the budgets of those who stay that all copies fill.
    pub load: f64,
    /// Percent of the followers that leave.
    pub leaving: usize,
}

/// Followers of one cluster.
pub struct World {
    pub now: UnixMillis,
    pub nodes: Vec<Node>,
    pub pins: Arc<Vec<Pin>>,
    /// What each told lately, the newest last.
    told: Vec<VecDeque<(UnixMillis, Terms)>>,
    beat: u32,
    /// Until when news are on their way.
    news_until: UnixMillis,
    args: Args,
    rng: StdRng,
}

/// Copies of each pin.
pub const COPIES: usize = 3;

/// A size between 1 and `skew`: as often between 1 and 2 as between 2 and 4.
fn skewed(rng: &mut StdRng, skew: f64) -> f64 {
    skew.powf(rng.random::<f64>())
}

fn leaves(n: usize, percent: usize) -> bool {
    n * 37 % 100 < percent
}

impl World {
    /// Followers whose budgets differ by up to 100 times.
    pub fn new(args: Args) -> Self {
        let mut rng = StdRng::seed_from_u64(args.seed);
        let sizes: Vec<f64> = (0..args.pins).map(|_| skewed(&mut rng, args.skew) * 1e6).collect();
        let budgets: Vec<f64> = (0..args.nodes).map(|_| skewed(&mut rng, 100.0)).collect();
        let staying: f64 = (0..args.nodes).filter(|n| !leaves(*n, args.leaving)).map(|n| budgets[n]).sum();
        let scale = sizes.iter().sum::<f64>() * COPIES as f64 / args.load / staying;
        let pin = |(n, bytes)| Pin { cid: cid(n), key: Key::of_pin(&cid(n)), bytes };
        let pins = Arc::new((args.seed << 32..).zip(sizes.into_iter().map(|size| size as u64)).map(pin).collect());
        let now = at(0);
        let node = |(n, budget): (usize, &f64)| {
            let hash = blake3::hash(&[args.seed, n as u64].map(u64::to_be_bytes).concat());
            let peer = PeerId::from_multihash(multihash::Multihash::wrap(0x12, hash.as_bytes()).unwrap()).unwrap();
            Node::new(peer, ((budget * scale) as u64, COPIES), &pins, now)
        };
        let nodes: Vec<Node> = budgets.iter().enumerate().map(node).collect();
        let told = vec![VecDeque::new(); nodes.len()];
        Self { now, told, nodes, pins, beat: 0, news_until: now, args, rng }
    }

    /// One beat: everybody tells and works, one in six looks around.
    pub fn step(&mut self) {
        self.beat += 1;
        self.now = self.now.plus(BEAT);
        for n in 0..self.nodes.len() {
            if self.nodes[n].is_away {
                continue;
            }
            let turn = self.beat + u32::try_from(n).unwrap();
            if turn.is_multiple_of(PASS) {
                self.look(n);
            }
            if turn.is_multiple_of(2) {
                self.tell(n);
            }
            self.nodes[n].work();
            self.nodes[n].check();
        }
    }

    fn look(&mut self, n: usize) {
        if self.now <= self.news_until || self.nodes[n].sharer.terms().is_none() {
            let others: Vec<_> = (0..self.nodes.len()).filter_map(|of| self.heard(n, of)).collect();
            self.nodes[n].hear(others, self.now);
        }
        let jitter = self.rng.random();
        self.nodes[n].pass(self.now, jitter);
    }

    fn tell(&mut self, n: usize) {
        let Some(terms) = self.nodes[n].sharer.terms().cloned() else { return };
        if self.told[n].back().is_none_or(|(_, last)| *last != terms) {
            self.news_until = self.news_until.max(self.now.plus(BEAT * ARRIVED));
        }
        self.told[n].push_back((self.now, terms));
        while self.told[n].front().is_some_and(|(at, _)| at.plus(LIFE) <= self.now) {
            self.told[n].pop_front();
        }
    }

    /// What `n` knows of `of`: the newest that was not lost on the way; one in five is, and all take up to two beats.
    fn heard(&self, n: usize, of: usize) -> Option<(PeerId, Terms)> {
        let arrives = |at: UnixMillis| {
            let path = (n as u64) << 48 ^ (of as u64) << 32;
            let mix = (self.args.seed ^ at.0.cast_unsigned() ^ path).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
            (!mix.is_multiple_of(5)).then(|| at.plus(BEAT * u32::try_from(mix % 3).unwrap()))
        };
        let counts = |at: UnixMillis| at.plus(LIFE) > self.now && arrives(at).is_some_and(|at| at <= self.now);
        self.told[of].iter().rev().find(|(at, _)| counts(*at)).map(|(_, terms)| (self.nodes[of].peer, terms.clone()))
    }

    /// Goes on until nobody has fetched or judged anything for 10 minutes; `each` is shown the world at each beat.
    pub fn settle(&mut self, mut each: impl FnMut(&Self)) {
        let (began, mut quiet) = (self.beat, 0);
        while quiet < 44 {
            let before = self.fetched();
            self.step();
            each(self);
            let is_busy = self.fetched() != before || self.here().any(|node| node.is_dirty);
            quiet = if is_busy { 0 } else { quiet + 1 };
            assert!(self.beat - began < 2_000, "it never ends: {} lack a copy", self.lacking());
        }
    }

    /// Those who are not away.
    pub fn here(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| !node.is_away)
    }

    /// Bytes that were ever fetched.
    pub fn fetched(&self) -> u64 {
        self.nodes.iter().map(|node| node.fetched).sum()
    }

    /// Pins of which those here hold too few copies.
    pub fn lacking(&self) -> usize {
        let mut copies = vec![0; self.pins.len()];
        self.here().flat_map(|node| &node.held).for_each(|pin| copies[*pin] += 1);
        copies.into_iter().filter(|copies| *copies < COPIES).count()
    }

    /// The part of the budgets of those here that is used.
    pub fn used(&self) -> f64 {
        let sum = |of: fn(&Node) -> u64| self.here().map(of).sum::<u64>() as f64;
        sum(|node| node.purse.held()) / sum(|node| node.purse.budget())
    }

    /// As many as were said leave without a word.
    pub fn leave(&mut self) {
        let percent = self.args.leaving;
        (0..self.nodes.len()).filter(|n| leaves(*n, percent)).for_each(|n| self.nodes[n].leave());
        self.is_news();
    }

    /// One leaves.
    pub fn leave_one(&mut self, n: usize) {
        self.nodes[n].leave();
        self.is_news();
    }

    /// All come back.
    pub fn come_back(&mut self) {
        let now = self.now;
        self.nodes.iter_mut().filter(|node| node.is_away).for_each(|node| node.return_at(now));
        self.is_news();
    }

    fn is_news(&mut self) {
        self.news_until = self.now.plus(LIFE + BEAT * ARRIVED);
    }
}
