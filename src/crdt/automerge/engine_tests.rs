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
