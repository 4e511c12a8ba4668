use super::*;
use crate::crdt::automerge::formats::change::ChangeOp;
use crate::crdt::automerge::tests::fixtures::{World, next};
use crate::crdt::automerge::tests::testing::{cid, key};
use crate::crdt::{MapRows, Rows};
use crate::model::{Pin, UnixMillis};

/// A store with twelve pins of two authors, of which four expire.
fn rows() -> MapRows {
    let mut world = World::trusting(&[1, 2]);
    let put = |n: u32| {
        let expire_at = n.is_multiple_of(3).then(|| UnixMillis::from_seconds(1_000 + i64::from(n)));
        let record = model::record(&Pin { expire_at, ..Pin::recursive(cid(n)) });
        ChangeOp { key: key(n), put: Some(record), preds: Vec::new() }
    };
    let first = next(1, None, &[], (0..6).map(put).collect());
    let second = next(2, None, &[&first], (6..12).map(put).collect());
    let third = next(1, Some(&first), &[&second], vec![put(0)]);
    for change in [&first, &second, &third] {
        world.receive(change);
    }
    world.check();
    world.rows
}

fn faults(rows: &MapRows) -> Vec<String> {
    verify(rows, &mut |_, _| ()).unwrap().faults.iter().map(ToString::to_string).collect()
}

/// The first row of a table.
fn first(table: Table, rows: &MapRows) -> (Vec<u8>, Vec<u8>) {
    let mut found = None;
    rows.scan(table, b""..b"", &mut |key, value| {
        found = Some((key.to_vec(), value.to_vec()));
        ControlFlow::Break(())
    })
    .unwrap();
    found.unwrap()
}

#[test]
fn a_sound_store_has_its_own_digest() {
    let rows = rows();
    let mut seen = Vec::new();
    let verified = verify(&rows, &mut |done, of| seen.push((done, of))).unwrap();
    assert_eq!(verified.faults, []);
    assert_eq!((verified.pins, verified.entries, verified.changes), (12, 12, 3));
    assert_eq!(seen, (1..=12).map(|n| (n, 12)).collect::<Vec<_>>());
    let stored = Digest::decode(&rows.get(Table::Meta, b"digest").unwrap().unwrap()).unwrap();
    assert_eq!(verified.digest, stored.hash());
    assert_eq!(verify(&MapRows::default(), &mut |_, _| ()).unwrap().faults, []);
}

#[test]
fn whatever_is_changed_is_found_and_has_a_remedy() {
    for table in [Table::Pins, Table::Clock, Table::Tips, Table::Changes, Table::Applied, Table::ByExpiry] {
        let mut rows = rows();
        rows.remove(table, &first(table, &rows).0).unwrap();
        // A log may begin anywhere, and older tips are nobody's business.
        let faults = faults(&rows);
        assert!(!faults.is_empty() || table == Table::Tips, "{table:?}");
        assert!(faults.iter().all(|fault| fault.contains("`state import`")), "{faults:?}");
    }
    for table in [Table::Pins, Table::Clock, Table::Tips, Table::Changes, Table::Applied] {
        let mut rows = rows();
        let (key, mut value) = first(table, &rows);
        // The head of each row is in use, and so is the end of all but the log's.
        value[0] ^= 1;
        rows.put(table, &key, &value).unwrap();
        assert!(!faults(&rows).is_empty(), "{table:?}");
    }
}

#[test]
fn one_byte_of_one_record_is_found_by_the_digest() {
    let mut rows = rows();
    let (key, mut value) = first(Table::Pins, &rows);
    *value.last_mut().unwrap() ^= 1;
    rows.put(Table::Pins, &key, &value).unwrap();
    let faults = faults(&rows);
    assert!(faults[0].starts_with("the digest is not that of the entries"), "{faults:?}");
}

#[test]
fn an_entry_that_the_clock_has_not_seen_and_a_row_too_many_are_found() {
    let mut world = rows();
    world.put(Table::ByExpiry, b"rubbish", &[]).unwrap();
    assert!(faults(&world)[0].contains("the pins are whole"), "{:?}", faults(&world));
    let mut world = rows();
    let (key, mut value) = first(Table::Pins, &world);
    value[3] = 0x70;
    world.put(Table::Pins, &key, &value).unwrap();
    assert!(faults(&world)[0].contains("which the clock has not seen"), "{:?}", faults(&world));
}

#[test]
fn faults_are_bounded_and_counted() {
    let mut rows = rows();
    for n in 0..100_u32 {
        rows.put(Table::Pins, format!("rubbish {n}").as_bytes(), b"").unwrap();
    }
    let verified = verify(&rows, &mut |_, _| ()).unwrap();
    assert_eq!((verified.faults.len(), verified.more > 80), (FAULTS_MAX, true));
}

#[test]
fn another_programs_store_is_left_to_it() {
    let mut rows = rows();
    rows.put(Table::Meta, b"format", &[9]).unwrap();
    let faults = faults(&rows);
    assert_eq!(faults.len(), 1);
    assert!(faults[0].ends_with("verify it with the program that wrote it"), "{faults:?}");
}
