//! (test) The suite that every engine passes: [`suite`] makes one test of each of its sentences.
use std::collections::VecDeque;

use super::{
    Engine, Input, MapRows, Now, Op, OpId, Pinset, Rows, Seen, Sending, Session, Table, Talk, Ticket, Turn, WriteError,
};
use crate::model::{Cid, PeerId, Pin, Replication, UnixMillis};

/// How the suite makes an engine.
pub trait Factory {
    /// Opens the engine of peer number `n` over `rows`, at start number `start` of that peer; all trust each other.
    fn open(&self, n: u8, start: u8, rows: &mut dyn Rows) -> Box<dyn Engine>;

    /// The reader of its rows.
    fn reader(&self) -> Box<dyn Pinset>;

    /// The id of peer number `n`.
    fn peer(&self, n: u8) -> PeerId;
}

/// One peer: engine and rows.
pub struct Site<'a> {
    pub factory: &'a dyn Factory,
    pub n: u8,
    pub start: u8,
    pub engine: Box<dyn Engine>,
    pub rows: MapRows,
    pub mono: u64,
    tickets: u64,
}

pub fn cid(n: u32) -> Cid {
    let digest = blake3::hash(&n.to_le_bytes());
    Cid::new_v1(0x70, cid::multihash::Multihash::wrap(0x12, digest.as_bytes()).unwrap())
}

pub fn pin(n: u32, name: &str) -> Pin {
    let mut pin = Pin::recursive(cid(n)).replicated(Replication::Between { min: 1, max: 2 });
    pin.name = name.to_owned();
    pin.timestamp = Some(UnixMillis::from_seconds(1_700_000_000 + i64::from(n)));
    pin
}

pub fn put(pin: Pin) -> Op {
    Op::Pin(Box::new(pin))
}

impl<'a> Site<'a> {
    pub fn new(factory: &'a dyn Factory, n: u8) -> Self {
        let mut rows = MapRows::default();
        let engine = factory.open(n, 0, &mut rows);
        Self { factory, n, start: 0, engine, rows, mono: 1, tickets: 0 }
    }

    pub fn now(&self) -> Now {
        Now { wall: UnixMillis(1_700_000_000_000 + i64::try_from(self.mono).unwrap()), mono: self.mono }
    }

    pub fn turn(&mut self, inputs: Vec<Input>) -> Turn {
        self.mono += 1;
        let now = self.now();
        self.engine.turn(inputs, now, &mut self.rows).unwrap()
    }

    /// Writes in one turn; the answers are in the order of the ops.
    pub fn write(&mut self, ops: Vec<(Op, Seen)>) -> (Vec<Result<Pin, WriteError>>, Turn) {
        let first = self.tickets;
        let input = |(n, (op, seen))| Input::Write { ticket: Ticket(n), op, seen };
        self.tickets += ops.len() as u64;
        let mut turn = self.turn((first..).zip(ops).map(input).collect());
        turn.answers.sort_by_key(|(ticket, _)| *ticket);
        assert!(turn.answers.iter().map(|(ticket, _)| ticket.0).eq(first..self.tickets), "one answer a ticket");
        (turn.answers.iter().map(|(_, answer)| answer.clone()).collect(), turn)
    }

    pub fn write_one(&mut self, op: Op, seen: Seen) -> Result<Pin, WriteError> {
        self.write(vec![(op, seen)]).0.remove(0)
    }

    pub fn get(&self, n: u32) -> Option<Pin> {
        self.winner(n).map(|(pin, _)| pin)
    }

    pub fn winner(&self, n: u32) -> Option<(Pin, OpId)> {
        self.factory.reader().get(&cid(n), &self.rows).unwrap()
    }

    pub fn names(&self) -> Vec<String> {
        let (pins, next) = self.factory.reader().page(None, 10_000, &self.rows).unwrap();
        assert_eq!(next, None);
        let mut names: Vec<String> = pins.into_iter().map(|pin| pin.name).collect();
        names.sort();
        names
    }

    pub fn news(&self) -> Vec<(u64, Vec<u8>)> {
        let number = |key: &[u8]| u64::from_be_bytes(key[..8].try_into().unwrap());
        self.rows.rows(Table::News).map(|(key, cid)| (number(key), cid.to_vec())).collect()
    }

    pub fn reopen(&mut self) {
        self.start += 1;
        self.engine = self.factory.open(self.n, self.start, &mut self.rows);
    }

    /// Hands a gossip message over; returns whether it passed the check.
    pub fn hear(&mut self, topic: usize, bytes: &[u8]) -> (bool, Turn) {
        let from = self.factory.peer(99);
        match self.engine.check().gossip(topic, bytes) {
            Ok(item) => (true, self.turn(vec![Input::Checked { from, item }])),
            Err(_) => (false, Turn::default()),
        }
    }
}

/// Carries what the sites send to all the others until nobody says anything new; syncs included.
pub fn relay(sites: &mut [Site<'_>], begin: Vec<(usize, Turn)>) {
    let mut sessions: Vec<(usize, usize, Box<dyn Session>)> = Vec::new();
    let mut todo: VecDeque<(usize, Sending)> =
        begin.into_iter().flat_map(|(n, turn)| turn.sends.into_iter().map(move |sending| (n, sending))).collect();
    while let Some((from, sending)) = todo.pop_front() {
        let server = |peer: &PeerId| sites.iter().position(|site| site.factory.peer(site.n) == *peer).unwrap();
        let (to, frame) = match sending {
            Sending::Gossip { topic, bytes } => {
                for to in (0..sites.len()).filter(|to| *to != from) {
                    let (passed, turn) = sites[to].hear(topic, &bytes);
                    assert!(passed, "honest gossip passes");
                    todo.extend(turn.sends.into_iter().map(|sending| (to, sending)));
                }
                continue;
            }
            Sending::Open { peer, talk: _, hello } => {
                let to = server(&peer);
                let asker = sites[from].factory.peer(sites[from].n);
                sessions.push((from, to, sites[to].engine.answer().session(asker, Talk::Sync)));
                (to, hello)
            }
            Sending::Frame { peer, talk: _, bytes } => (server(&peer), bytes),
            Sending::Close { peer, talk: _ } => {
                let to = server(&peer);
                sessions.retain(|(asker, server, _)| (*asker, *server) != (from, to));
                continue;
            }
        };
        let (_, _, session) = sessions.iter_mut().find(|(asker, server, _)| (*asker, *server) == (from, to)).unwrap();
        session.receive(&frame).unwrap();
        let mut frames = Vec::new();
        while let Some(frame) = session.next(&sites[to].rows).unwrap() {
            frames.push(frame);
        }
        let peer = sites[to].factory.peer(sites[to].n);
        for bytes in frames {
            let frame = sites[from].engine.check().frame(Talk::Sync, &bytes).unwrap();
            let turn = sites[from].turn(vec![Input::Frame { peer, talk: Talk::Sync, frame }]);
            todo.extend(turn.sends.into_iter().map(|sending| (from, sending)));
        }
    }
}

pub fn a_pin_is_readable_after_its_turn_and_answered_as_written(factory: &dyn Factory) {
    let mut site = Site::new(factory, 1);
    assert_eq!(site.write_one(put(pin(1, "one")), Seen::Any), Ok(pin(1, "one")));
    assert_eq!(site.get(1), Some(pin(1, "one")));
    assert_eq!(site.engine.summary().entries, 1);
    assert_eq!(site.write_one(put(pin(1, "two")), Seen::Any), Ok(pin(1, "two")));
    assert_eq!((site.get(1), site.engine.summary().entries), (Some(pin(1, "two")), 1));
}

pub fn an_unpin_answers_the_pin_as_it_was(factory: &dyn Factory) {
    let mut site = Site::new(factory, 1);
    site.write_one(put(pin(1, "one")), Seen::Any).unwrap();
    assert_eq!(site.write_one(Op::Unpin(cid(1)), Seen::Any), Ok(pin(1, "one")));
    assert_eq!((site.get(1), site.engine.summary().entries), (None, 0));
    assert_eq!(site.write_one(Op::Unpin(cid(1)), Seen::Any), Err(WriteError::NotFound));
}

pub fn writes_of_one_turn_see_each_other_in_order(factory: &dyn Factory) {
    let mut site = Site::new(factory, 1);
    let ops = [put(pin(1, "a")), Op::Unpin(cid(1)), put(pin(1, "b")), Op::Unpin(cid(2)), put(pin(2, "c"))];
    let (answers, _) = site.write(ops.into_iter().map(|op| (op, Seen::Any)).collect());
    let expected = [Ok(pin(1, "a")), Ok(pin(1, "a")), Ok(pin(1, "b")), Err(WriteError::NotFound), Ok(pin(2, "c"))];
    assert_eq!(answers, expected);
    assert_eq!(site.names(), ["b", "c"]);
}

pub fn a_write_after_another_one_than_was_seen_is_stale(factory: &dyn Factory) {
    let mut site = Site::new(factory, 1);
    assert_eq!(site.write_one(put(pin(1, "a")), Seen::Winner(None)), Ok(pin(1, "a")));
    assert_eq!(site.write_one(put(pin(1, "b")), Seen::Winner(None)), Err(WriteError::Stale));
    let (_, first) = site.winner(1).unwrap();
    let seen = Seen::Winner(Some(first));
    assert_eq!(site.write_one(put(pin(1, "c")), seen.clone()), Ok(pin(1, "c")));
    assert_eq!(site.write_one(Op::Unpin(cid(1)), seen.clone()), Err(WriteError::Stale));
    let (answers, _) = site.write(vec![(put(pin(2, "d")), Seen::Winner(None)), (put(pin(2, "e")), Seen::Winner(None))]);
    assert_eq!(answers, [Ok(pin(2, "d")), Err(WriteError::Stale)]);
}

pub fn a_record_above_its_limit_is_refused_and_the_rest_of_the_turn_is_not(factory: &dyn Factory) {
    let mut site = Site::new(factory, 1);
    let (answers, _) =
        site.write(vec![(put(pin(1, &"x".repeat(20_000))), Seen::Any), (put(pin(2, "small")), Seen::Any)]);
    assert!(matches!(answers[0], Err(WriteError::TooLarge { size }) if size > 20_000));
    assert_eq!(site.names(), ["small"]);
}

pub fn news_name_each_cid_whose_pin_changed_once_a_commit(factory: &dyn Factory) {
    let mut site = Site::new(factory, 1);
    let ops = vec![(put(pin(1, "a")), Seen::Any), (put(pin(1, "b")), Seen::Any), (put(pin(2, "c")), Seen::Any)];
    let (_, turn) = site.write(ops);
    assert_eq!((turn.news, site.news().len()), (2, 2));
    site.write_one(Op::Unpin(cid(2)), Seen::Any).unwrap();
    let news = site.news();
    assert_eq!(news.len(), 3);
    assert!(news[2].0 > news[0].0 && news[0].0 == news[1].0, "commits are numbered upwards");
    assert_eq!(news[2].1, cid(2).to_bytes());
    assert_eq!(site.turn(vec![Input::Tick]).news, 0);
}

pub fn an_engine_opened_again_goes_on(factory: &dyn Factory) {
    let mut site = Site::new(factory, 1);
    site.write_one(put(pin(1, "a")), Seen::Any).unwrap();
    let before = site.engine.summary();
    site.reopen();
    assert_eq!(site.engine.summary(), before);
    site.write_one(put(pin(1, "b")), Seen::Any).unwrap();
    site.write_one(put(pin(2, "c")), Seen::Any).unwrap();
    assert_eq!(site.names(), ["b", "c"]);
}

pub fn equal_rows_and_inputs_give_equal_rows_and_turns(factory: &dyn Factory) {
    let run = || {
        let mut site = Site::new(factory, 1);
        let (_, first) = site.write(vec![(put(pin(1, "a")), Seen::Any), (put(pin(2, "b")), Seen::Any)]);
        let (_, second) = site.write(vec![(Op::Unpin(cid(1)), Seen::Any)]);
        (first.sends, second.sends, first.tick_at, second.tick_at, site.rows)
    };
    assert_eq!(run(), run());
}

pub fn gossip_brings_peers_to_one_pinset(factory: &dyn Factory) {
    let mut sites = [Site::new(factory, 1), Site::new(factory, 2), Site::new(factory, 3)];
    for n in 0..3_u32 {
        let at = usize::try_from(n).unwrap();
        let (_, turn) = sites[at].write(vec![(put(pin(n, &n.to_string())), Seen::Any), (put(pin(9, "x")), Seen::Any)]);
        relay(&mut sites, vec![(at, turn)]);
    }
    let (_, turn) = sites[2].write(vec![(Op::Unpin(cid(0)), Seen::Any)]);
    relay(&mut sites, vec![(2, turn)]);
    for site in &sites {
        assert_eq!(site.names(), ["1", "2", "x"]);
        assert_eq!(site.engine.summary(), sites[0].engine.summary());
    }
}

pub fn a_peer_that_missed_it_all_learns_it_when_it_connects(factory: &dyn Factory) {
    let mut sites = [Site::new(factory, 1), Site::new(factory, 2)];
    for n in 0..40 {
        sites[0].write(vec![(put(pin(n, &n.to_string())), Seen::Any)]);
    }
    let (first, second) = (factory.peer(1), factory.peer(2));
    let turns =
        vec![(1, sites[1].turn(vec![Input::PeerSeen(first)])), (0, sites[0].turn(vec![Input::PeerSeen(second)]))];
    relay(&mut sites, turns);
    assert_eq!(sites[1].names().len(), 40);
    assert_eq!(sites[1].engine.summary().digest_hash, sites[0].engine.summary().digest_hash);
}

pub fn garbage_is_refused_and_changes_nothing(factory: &dyn Factory) {
    let mut site = Site::new(factory, 1);
    site.write_one(put(pin(1, "a")), Seen::Any).unwrap();
    let before = site.rows.clone();
    for topic in 0..site.engine.topics().len() {
        for length in [0, 1, 3, 100, 70_000] {
            assert!(!site.hear(topic, &vec![0x85; length]).0);
            assert!(site.engine.check().frame(Talk::Sync, &vec![1; length]).is_err());
        }
    }
    assert_eq!(site.rows, before);
}

pub fn pages_and_expiries_come_in_order(factory: &dyn Factory) {
    let mut site = Site::new(factory, 1);
    let pin = |n: u32| {
        let expire_at = n.is_multiple_of(2).then(|| UnixMillis::from_seconds(i64::from(100 - n)));
        Pin { expire_at, ..pin(n, &n.to_string()) }
    };
    site.write((0..10).map(|n| (put(pin(n)), Seen::Any)).collect());
    let reader = factory.reader();
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let (page, next) = reader.page(cursor.as_deref(), 3, &site.rows).unwrap();
        assert!(page.len() <= 3);
        all.extend(page.into_iter().map(|pin| pin.cid));
        let Some(next) = next else { break };
        cursor = Some(next);
    }
    assert_eq!(all.len(), 10);
    let expired = |before, limit| {
        let (pins, next) = reader.expired(UnixMillis::from_seconds(before), None, limit, &site.rows).unwrap();
        assert_eq!(next.is_some(), pins.len() == limit);
        pins.into_iter().map(|pin| pin.name).collect::<Vec<_>>()
    };
    assert_eq!(expired(97, 10), ["8", "6", "4"]);
    assert_eq!(expired(1000, 2), ["8", "6"]);
    let (_, next) = reader.expired(UnixMillis::from_seconds(1000), None, 2, &site.rows).unwrap();
    let (rest, _) = reader.expired(UnixMillis::from_seconds(1000), next.as_deref(), 10, &site.rows).unwrap();
    assert_eq!(rest.into_iter().map(|pin| pin.name).collect::<Vec<_>>(), ["4", "2", "0"]);
    site.write(vec![(put(Pin { expire_at: None, ..pin(8) }), Seen::Any)]);
    site.write(vec![(Op::Unpin(cid(6)), Seen::Any)]);
    let (pins, _) = reader.expired(UnixMillis::from_seconds(1000), None, 10, &site.rows).unwrap();
    assert_eq!(pins.into_iter().map(|pin| pin.name).collect::<Vec<_>>(), ["4", "2", "0"]);
}

pub fn parts_are_the_whole_and_a_sieve_loses_only_what_it_refuses(factory: &dyn Factory) {
    let mut site = Site::new(factory, 1);
    let other = |n: u32| Cid::new_v1(0x71, *cid(n).hash());
    let of = |n: u32| match n % 4 {
        0 => cid(n),
        1 => Cid::new_v0(*cid(n).hash()).unwrap(),
        2 => Cid::new_v1(0x55, *cid(n).hash()),
        _ => other(n),
    };
    let replication =
        |n: u32| if n.is_multiple_of(3) { Replication::Everywhere } else { Replication::Between { min: n, max: n } };
    let pins = (1..=200).map(|n| Pin { cid: of(n), ..pin(n, &n.to_string()) }.replicated(replication(n)));
    site.write(pins.map(|pin| (put(pin), Seen::Any)).collect());
    let reader = factory.reader();
    let sift = |sieve: super::Sieve<'_>, rows| {
        let (mut found, mut reads) = (Vec::new(), 0);
        for part in reader.parts() {
            let mut rest = Some(part);
            while let Some(part) = rest {
                let (pins, next) = reader.sift(&part, rows, sieve, &site.rows).unwrap();
                assert!(pins.len() <= rows.div_ceil(super::WHOLE));
                reads += 1;
                (rest, found) = (next, [found, pins].concat());
            }
        }
        (found, reads)
    };
    let (whole, _) = reader.page(None, 1_000, &site.rows).unwrap();
    for rows in [1, 40, 10_000] {
        assert_eq!(sift(&|_| true, rows).0, whole, "each once, in key order");
    }
    let is_wanted = |replication| replication == Replication::Between { min: 8, max: 8 };
    let (mut found, _) = sift(&|pin| is_wanted(pin.replication()), 40);
    found.retain(|pin| is_wanted(pin.replication));
    assert_eq!(found, [Pin { cid: of(8), ..pin(8, "8") }.replicated(replication(8))]);
}

/// Makes a test of each sentence of the suite for the factory.
macro_rules! suite {
    ($factory:expr; $($test:ident),* $(,)?) => {
        $(#[test] fn $test() { $crate::crdt::contract::$test(&$factory); })*
    };
    ($factory:expr) => {
        $crate::crdt::contract::suite!($factory;
            a_pin_is_readable_after_its_turn_and_answered_as_written,
            an_unpin_answers_the_pin_as_it_was,
            writes_of_one_turn_see_each_other_in_order,
            a_write_after_another_one_than_was_seen_is_stale,
            a_record_above_its_limit_is_refused_and_the_rest_of_the_turn_is_not,
            news_name_each_cid_whose_pin_changed_once_a_commit,
            an_engine_opened_again_goes_on,
            equal_rows_and_inputs_give_equal_rows_and_turns,
            gossip_brings_peers_to_one_pinset,
            a_peer_that_missed_it_all_learns_it_when_it_connects,
            garbage_is_refused_and_changes_nothing,
            pages_and_expiries_come_in_order,
            parts_are_the_whole_and_a_sieve_loses_only_what_it_refuses,
        );
    };
}
pub(crate) use suite;
