use multihash::Multihash;

use super::*;
use crate::model::{Happening, Metric, PeerId, TrackerStatus};
use crate::store::ledger::Due;

fn cid(n: u64) -> Cid {
    Cid::new_v1(0x55, Multihash::wrap(0x12, blake3::hash(&n.to_be_bytes()).as_bytes()).unwrap())
}

fn queued(at: i64) -> Row {
    Row::new(TrackerStatus::PinQueued, Due::At(UnixMillis(at)), UnixMillis(at))
}

fn open() -> (tempfile::TempDir, LedgerDb) {
    let dir = tempfile::tempdir().unwrap();
    let ledger = LedgerDb::open(dir.path()).unwrap();
    (dir, ledger)
}

fn batch(rows: impl IntoIterator<Item = (Cid, Option<Row>)>) -> Batch {
    Batch { rows: rows.into_iter().collect(), ..Batch::default() }
}

#[test]
fn rows_their_counts_and_the_cursor_move_together() {
    let (dir, ledger) = open();
    assert_eq!(ledger.cursor().unwrap(), None);
    let rows = (0..10).map(|n| (cid(n), Some(queued(5))));
    ledger.commit(&Batch { cursor: Some(7), ..batch(rows) }).unwrap();
    let pinned = Row::new(TrackerStatus::Pinned, Due::Settled, UnixMillis(9));
    ledger.commit(&batch([(cid(3), Some(pinned.clone())), (cid(4), None)])).unwrap();
    drop(ledger);

    let ledger = LedgerDb::open(dir.path()).unwrap();
    assert_eq!(ledger.cursor().unwrap(), Some(7));
    assert_eq!(ledger.get_many(&[cid(3), cid(4)]).unwrap(), [Some(pinned), None]);
    let counts = ledger.counts().unwrap();
    assert_eq!((counts.of(TrackerStatus::PinQueued), counts.of(TrackerStatus::Pinned)), (8, 1));
}

#[test]
fn what_is_due_comes_in_order_and_what_runs_or_never_comes_is_left_out() {
    let (_dir, ledger) = open();
    let running = Row::new(TrackerStatus::Pinning, Due::Running, UnixMillis(1));
    let never = Row::new(TrackerStatus::UnpinError, Due::Never, UnixMillis(1));
    let rows = [(cid(1), queued(30)), (cid(2), queued(10)), (cid(3), queued(20)), (cid(4), running), (cid(5), never)];
    ledger.commit(&batch(rows.into_iter().map(|(cid, row)| (cid, Some(row))))).unwrap();

    let due = |now| ledger.due(UnixMillis(now), 10).unwrap().into_iter().map(|(cid, _)| cid).collect::<Vec<_>>();
    assert_eq!(due(9), []);
    assert_eq!(due(20), [cid(2), cid(3)]);
    assert_eq!(due(1000), [cid(2), cid(3), cid(1)]);
    assert_eq!(ledger.next_due(UnixMillis(20)).unwrap(), Some(UnixMillis(30)));
    assert_eq!(ledger.next_due(UnixMillis(30)).unwrap(), None);
    assert_eq!(ledger.running(10).unwrap()[0].0, cid(4));

    let (page, last) = ledger.unsettled(None, 4).unwrap();
    assert_eq!(page.len(), 4);
    let (rest, last) = ledger.unsettled(last.as_deref(), 4).unwrap();
    assert_eq!(rest[0].0, cid(5));
    assert_eq!(ledger.unsettled(last.as_deref(), 4).unwrap(), (vec![], None));
}

#[test]
fn a_row_has_one_place_in_the_due_table_however_often_it_moves() {
    let (_dir, ledger) = open();
    for at in [10, 30, 20] {
        ledger.commit(&batch([(cid(1), Some(queued(at)))])).unwrap();
    }
    assert_eq!(ledger.unsettled(None, 10).unwrap().0.len(), 1);
    ledger.commit(&batch([(cid(1), None)])).unwrap();
    assert_eq!(ledger.unsettled(None, 10).unwrap().0.len(), 0);
    assert_eq!(ledger.counts().unwrap(), Counts::default());
}

#[test]
fn pages_cover_every_row_once() {
    let (_dir, ledger) = open();
    ledger.commit(&batch((0..25).map(|n| (cid(n), Some(queued(5)))))).unwrap();
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = ledger.page(after.as_ref(), 10).unwrap();
        let Some((last, _)) = page.last() else { break };
        after = Some(*last);
        seen.extend(page.into_iter().map(|(cid, _)| cid));
    }
    let mut all: Vec<Cid> = (0..25).map(cid).collect();
    all.sort_by_key(Cid::to_bytes);
    assert_eq!(seen, all);
}

#[test]
fn a_sweep_marks_the_rows_that_are_there_and_makes_none() {
    let (_dir, ledger) = open();
    ledger.commit(&batch((1..4).map(|n| (cid(n), Some(queued(5)))))).unwrap();
    let found = [(cid(1), false), (cid(2), true), (cid(9), false)].into();
    ledger.commit(&Batch { found, generation: Some(3), ..Batch::default() }).unwrap();
    assert_eq!(ledger.generation().unwrap(), 3);
    let generations = |n| ledger.get(&cid(n)).unwrap().map(|row| row.generation);
    let recursive_rows_found_direct_are_not_marked = Some(0);
    let marks = [generations(1), generations(2), generations(3), generations(9)];
    assert_eq!(marks, [Some(3), recursive_rows_found_direct_are_not_marked, Some(0), None]);
}

#[test]
fn events_are_a_ring() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = LedgerDb::open_with(dir.path(), Options { events_max: 3, ..Options::default() }).unwrap();
    for n in 0..5 {
        let event = Event { at: UnixMillis(n), what: Happening::Wished(cid(1)) };
        ledger.commit(&Batch { events: vec![event], ..Batch::default() }).unwrap();
    }
    let numbers: Vec<u64> = ledger.events(0, 10).unwrap().into_iter().map(|(n, _)| n).collect();
    assert_eq!(numbers, [2, 3, 4]);
    assert_eq!(ledger.events(4, 10).unwrap().len(), 1);
    assert_eq!(ledger.events_end().unwrap(), 5);
}

#[test]
fn the_last_signs_of_life_take_the_place_of_those_before_and_are_bounded() {
    let (_dir, ledger) = open();
    let metric = |value: &str, peer| Metric {
        name: "ping".into(),
        peer,
        value: value.into(),
        expire_nanos: 1,
        valid: true,
        weight: 0,
        partitionable: false,
        received_nanos: 0,
    };
    let (a, b) = (PeerId::random(), PeerId::random());
    ledger.keep_lives(&[metric("old", a), metric("b", b)]).unwrap();
    ledger.keep_lives(&[metric("new", a)]).unwrap();
    assert_eq!(ledger.lives().unwrap(), [metric("new", a)]);
    let many: Vec<_> = (0..PEERS_MAX + 5).map(|_| metric("", PeerId::random())).collect();
    ledger.keep_lives(&many).unwrap();
    assert_eq!(ledger.lives().unwrap().len(), PEERS_MAX);
}

#[test]
fn a_ledger_in_use_or_of_a_newer_program_is_refused_by_name() {
    use std::os::unix::fs::PermissionsExt;
    let (dir, ledger) = open();
    let mode = std::fs::metadata(dir.path().join(LEDGER_FILE)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(matches!(LedgerDb::open(dir.path()), Err(StoreError::Locked { .. })));
    ledger
        .write(|tx| {
            tx.open_table(META)?.insert("version", u64::from(VERSION) + 1)?;
            Ok(())
        })
        .unwrap();
    drop(ledger);
    assert!(matches!(LedgerDb::open(dir.path()), Err(StoreError::Newer { found: 2, known: 1, .. })));
}

/// Any page may be wrong: what is read is right or an error that names the file, and no panic gets out.
#[test]
fn damage_is_an_error_that_names_the_file() {
    let (dir, ledger) = open();
    ledger.commit(&batch((0..200).map(|n| (cid(n), Some(queued(5)))))).unwrap();
    drop(ledger);
    let path = dir.path().join(LEDGER_FILE);
    let whole = std::fs::read(&path).unwrap();
    let mut refused = 0;
    for page in 0..whole.len() / 4096 {
        let mut bytes = whole.clone();
        bytes.chunks_mut(4096).nth(page).unwrap().iter_mut().for_each(|byte| *byte ^= 0x5a);
        std::fs::write(&path, &bytes).unwrap();
        match LedgerDb::open(dir.path()).and_then(|ledger| ledger.page(None, 1_000)) {
            Ok(rows) => assert_eq!(rows.len(), 200),
            Err(error) => {
                refused += 1;
                assert!(error.to_string().contains("ledger.redb"), "{error}");
            }
        }
    }
    assert!(refused > 0);
}

#[test]
fn a_ledger_that_failed_is_opened_again_by_the_next_call() {
    let (_dir, ledger) = open();
    ledger.commit(&batch([(cid(1), Some(queued(5)))])).unwrap();
    let failed = ledger.write(|tx| {
        tx.open_table(STATUS)?.insert([].as_slice(), b"no row".as_slice())?;
        panic!("a page leads astray");
    });
    assert!(matches!(failed, Err(StoreError::Damaged { .. })), "{failed:?}");
    assert_eq!(ledger.page(None, 10).unwrap(), [(cid(1), queued(5))]);
    ledger
        .write(|tx| {
            tx.open_table(STATUS)?.insert([].as_slice(), b"no row".as_slice())?;
            Ok(())
        })
        .unwrap();
    let error = ledger.page(None, 10).unwrap_err().to_string();
    assert!(error.contains("ledger.redb is damaged (a row does not decode)"), "{error}");
    assert_eq!(ledger.get(&cid(1)).unwrap(), Some(queued(5)));
}

#[test]
fn that_a_peer_is_drained_outlives_a_restart() {
    let (dir, ledger) = open();
    assert!(!ledger.is_leaving().unwrap());
    for leaving in [true, false] {
        ledger.set_leaving(leaving).unwrap();
        assert_eq!(ledger.is_leaving().unwrap(), leaving);
    }
    ledger.set_leaving(true).unwrap();
    drop(ledger);
    assert!(LedgerDb::open(dir.path()).unwrap().is_leaving().unwrap());
}
