use super::*;
use crate::crdt::automerge::Reader;
use crate::crdt::automerge::tests::testing::{CLUSTER, EPOCH, keypair, peer};
use crate::crdt::contract::{Factory, suite};
use crate::crdt::{MapRows, Pinset, Table};

struct Automerge;

fn args(n: u8, start: u8) -> EngineArgs {
    EngineArgs {
        keypair: keypair(n),
        epoch: EPOCH,
        cluster_name: CLUSTER.to_owned(),
        trust: Trust::Everyone,
        actor_suffix: [start; SUFFIX],
        started: UnixMillis(i64::from(start)),
        limits: Limits::default(),
    }
}

impl Factory for Automerge {
    fn open(&self, n: u8, start: u8, rows: &mut dyn Rows) -> Box<dyn Engine> {
        open(args(n, start), rows).unwrap()
    }

    fn reader(&self) -> Box<dyn Pinset> {
        Box::new(Reader)
    }

    fn peer(&self, n: u8) -> PeerId {
        peer(n)
    }
}

suite!(Automerge);

#[test]
fn a_store_of_something_else_is_refused_by_name() {
    let mut rows = MapRows::default();
    drop(open(args(1, 0), &mut rows).unwrap());
    let wrong = |change: &dyn Fn(&mut MapRows)| {
        let mut rows = rows.clone();
        change(&mut rows);
        open(args(1, 1), &mut rows).map(drop).unwrap_err().to_string()
    };
    let other = open(EngineArgs { epoch: 8, ..args(1, 1) }, &mut rows.clone()).map(drop).unwrap_err();
    assert_eq!(
        other.to_string(),
        "the pinset is of epoch 7, and the configuration says 8: `ipfs-cluster-service state new-epoch` brings them together"
    );
    let meta = |key: &'static [u8], value: &'static [u8]| {
        wrong(&move |rows: &mut MapRows| rows.put(Table::Meta, key, value).unwrap())
    };
    assert!(meta(b"format", &[2]).contains("format 2"));
    assert!(meta(b"engine", b"merkle").contains("merkle"));
    assert!(meta(b"digest", b"short").contains("digest"));
    assert!(meta(b"counters", b"short").contains("counters"));
    assert!(wrong(&|rows| rows.put(Table::Clock, b"nobody", b"").unwrap()).contains("Clock"));
    assert!(wrong(&|rows| rows.put(Table::Stage, b"nobody", b"").unwrap()).contains("Stage"));
}

#[test]
fn a_record_that_a_glance_does_not_understand_is_read_whole_and_a_damaged_row_is_named() {
    use crate::crdt::Span;
    use crate::crdt::automerge::formats::model::Key;
    use crate::crdt::contract::cid;
    use crate::model::Replication;

    let row = |record: &[u8]| [&[1, 0, 0, 0, 0, u8::try_from(record.len()).unwrap()], record].concat();
    let key = Key::of(&cid(1));
    let mut rows = MapRows::default();
    let mut sifted = |value: &[u8]| {
        rows.put(Table::Pins, key.as_bytes(), value).unwrap();
        Reader.sift(&Span::default(), 100, &|_| false, &rows).map(|(pins, _)| pins)
    };
    assert!(sifted(&row(&hex::decode("320408021004").unwrap())).unwrap().is_empty());
    // A factor of more than 32 bits, of which protobuf takes the low ones.
    let pins = sifted(&row(&hex::decode("32080882808080101002").unwrap())).unwrap();
    assert_eq!(pins[0].replication, Replication::Between { min: 1, max: 1 });
    assert!(sifted(&row(&hex::decode("1a026161").unwrap())).unwrap().is_empty(), "ruled out by the sieve");
    assert!(sifted(&row(&[0xff])).unwrap().is_empty(), "no pin record reads as not pinned");
    assert!(sifted(&[1, 2]).unwrap_err().to_string().contains("winner"));
}
