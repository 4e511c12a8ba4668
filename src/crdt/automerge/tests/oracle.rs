//! (test) Automerge itself as the oracle: an engine and a document that took the same changes agree key by key.
use std::sync::{LazyLock, Mutex};

use automerge::{Automerge, Change, ObjId, ROOT, ReadDoc};
use bytes::Bytes;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use super::testing::{Entries, Replica, cid, genesis, in_parallel, key, published};
use crate::crdt::automerge::formats::clock::Actor;
use crate::crdt::automerge::formats::envelope::Envelope;
use crate::crdt::automerge::formats::model::Key;
use crate::crdt::{Input, MapRows, Op, Seen, Ticket};
use crate::model::Pin;

/// Keys of a history: few, so that writes are concurrent.
const KEYS: u32 = 5;

/// Steps of a history.
const STEPS: usize = 30;

static EMPTY: LazyLock<Automerge> = LazyLock::new(|| {
    let mut document = Automerge::new();
    document.apply_changes([genesis()]).unwrap();
    document
});

/// A replica and the document that takes what it takes.
struct Pair {
    replica: Replica,
    document: Automerge,
    /// What the document has yet to take.
    untaken: Vec<Bytes>,
    /// What was published elsewhere and has not come yet.
    inbox: Vec<Bytes>,
    /// All that came.
    taken: Vec<Bytes>,
}

struct History {
    rng: StdRng,
    pairs: Vec<Pair>,
    starts: u8,
    /// Keys compared, and those with more than one value.
    compared: (u64, u64),
}

impl History {
    fn run(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let replicas = rng.random_range(2..5);
        let pair = |n| Pair {
            replica: Replica::open(n, 1, MapRows::default()),
            document: EMPTY.clone(),
            untaken: Vec::new(),
            inbox: Vec::new(),
            taken: Vec::new(),
        };
        let mut history = Self { rng, pairs: (1..=replicas).map(pair).collect(), starts: 1, compared: (0, 0) };
        for _ in 0..STEPS {
            history.step();
        }
        history.settle();
        history
    }

    fn step(&mut self) {
        let at = self.rng.random_range(0..self.pairs.len());
        match self.rng.random_range(0..100) {
            ..45 => self.write(at),
            45..85 => self.deliver(at, false),
            85..92 => self.restart(at),
            _ => self.compare(at),
        }
    }

    fn write(&mut self, at: usize) {
        let write = |rng: &mut StdRng, ticket| {
            let cid = cid(rng.random_range(0..KEYS));
            let name = rng.random_range(0..3).to_string();
            let pin = Op::Pin(Box::new(Pin { name, ..Pin::recursive(cid) }));
            let op = if rng.random_bool(0.65) { pin } else { Op::Unpin(cid) };
            Input::Write { ticket: Ticket(ticket), op, seen: Seen::Any }
        };
        let inputs = (0..self.rng.random_range(1..4)).map(|ticket| write(&mut self.rng, ticket)).collect();
        let changes = published(self.pairs[at].replica.turn(inputs));
        for (n, pair) in self.pairs.iter_mut().enumerate() {
            let list = if n == at { &mut pair.untaken } else { &mut pair.inbox };
            list.extend(changes.iter().cloned());
        }
    }

    /// Half of the inbox, or all, comes in any order, and some that came before comes again.
    fn deliver(&mut self, at: usize, all: bool) {
        let pair = &mut self.pairs[at];
        pair.inbox.shuffle(&mut self.rng);
        let count = if all { pair.inbox.len() } else { pair.inbox.len().div_ceil(2) };
        let stay = pair.inbox.split_off(count);
        let come = std::mem::replace(&mut pair.inbox, stay);
        let mut heard: Vec<_> = come.iter().chain(pair.taken.iter().rev().take(3)).cloned().collect();
        heard.shuffle(&mut self.rng);
        pair.replica.hear(&heard);
        pair.untaken.extend(come.iter().cloned());
        pair.taken.extend(come);
    }

    /// What waited in memory is gone; it comes again, in another order.
    fn restart(&mut self, at: usize) {
        self.starts += 1;
        let mut pair = self.pairs.remove(at);
        pair.replica = pair.replica.restarted(self.starts);
        pair.taken.shuffle(&mut self.rng);
        pair.replica.hear(&pair.taken);
        self.pairs.insert(at, pair);
    }

    fn compare(&mut self, at: usize) {
        let pair = &mut self.pairs[at];
        let change = |bytes: Bytes| Change::from_bytes(Envelope::decode(&bytes).unwrap().chunk).unwrap();
        let changes: Vec<_> = pair.untaken.drain(..).map(change).collect();
        pair.document.apply_changes(changes).unwrap();
        for key in (0..KEYS).map(key) {
            let (ours, theirs) = (pair.replica.entries(&key), entries(&pair.document, &key));
            assert_eq!(ours, theirs, "{key:?}");
            self.compared.0 += 1;
            self.compared.1 += u64::from(ours.len() > 1);
        }
    }

    fn settle(&mut self) {
        for at in 0..self.pairs.len() {
            self.deliver(at, true);
            self.compare(at);
            let summary = self.pairs[at].replica.summary();
            assert_eq!(summary.pending, 0);
            let first = self.pairs[0].replica.summary();
            assert_eq!((summary.clock_hash, summary.digest_hash), (first.clock_hash, first.digest_hash));
        }
    }
}

/// What the document holds under `key`, the winner first.
fn entries(document: &Automerge, key: &Key) -> Entries {
    let (_, bucket) = document.get(ROOT, format!("{:03x}", key.bucket())).unwrap().unwrap();
    let entry = |(value, id): (automerge::Value<'_>, ObjId)| {
        let ObjId::Id(counter, actor, _) = id else { panic!("an entry is no root") };
        let actor = Actor::from_bytes(actor.to_bytes()).unwrap();
        (u32::try_from(counter).unwrap(), actor, value.as_bytes().unwrap().to_vec())
    };
    let mut all: Entries = document.get_all(&bucket, key.as_str()).unwrap().into_iter().map(entry).collect();
    all.sort_by(|a, b| b.cmp(a));
    let winner = document.get(&bucket, key.as_str()).unwrap().map(entry);
    assert_eq!(winner.as_ref(), all.first(), "the winner is the greatest (counter, actor)");
    all
}

#[test]
fn the_engine_and_automerge_agree_on_values_conflicts_and_winners() {
    let cases = std::env::var("CASES").map_or(1000, |n| n.parse().unwrap());
    let seen = Mutex::new((0, 0));
    in_parallel(cases, |seed| {
        let (compared, conflicts) = History::run(seed).compared;
        let mut seen = seen.lock().unwrap();
        *seen = (seen.0 + compared, seen.1 + conflicts);
    });
    let (compared, conflicts) = seen.into_inner().unwrap();
    assert!(compared > 15 * cases && conflicts * 20 > compared, "{conflicts} of {compared} with conflicts");
}
