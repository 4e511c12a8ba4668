use std::collections::BTreeMap;
use std::io::BufReader;

use automerge::transaction::Transactable;
use automerge::{Automerge, ObjType, ROOT, ReadDoc};

use super::*;
use crate::crdt::MapRows;
use crate::crdt::automerge::formats::change::ChangeOp;
use crate::crdt::automerge::formats::model::genesis;
use crate::crdt::automerge::formats::model::{self, GENESIS, Key};
use crate::crdt::automerge::tests::fixtures::{World, next};
use crate::crdt::automerge::tests::testing::{cid, peer};
use crate::model::{Cid, Pin};

/// Pins of every kind of key, and more than one change holds.
fn pins(count: u32) -> Vec<Pin> {
    let hash = |n| *cid(n).hash();
    let odd = [Cid::new_v0(hash(1)).unwrap(), Cid::new_v1(0x70, hash(1)), Cid::new_v1(0x71, hash(1))];
    let cids = odd.into_iter().chain((0..count).map(cid));
    cids.map(|cid| Pin { name: format!("pin of {cid}"), ..Pin::recursive(cid) }).collect()
}

fn rows(pins: &[Pin]) -> MapRows {
    let mut world = World::trusting(&[1]);
    let mut prev = None;
    for pins in pins.chunks(100) {
        let put = |pin: &Pin| ChangeOp { key: Key::of(&pin.cid), put: Some(model::record(pin)), preds: Vec::new() };
        let change = next(1, prev.as_ref(), &[], pins.iter().map(put).collect());
        world.receive(&change);
        prev = Some(change);
    }
    world.check();
    world.rows
}

fn exported(rows: &MapRows) -> Vec<u8> {
    let mut out = Vec::new();
    write_document(rows, peer(1), &mut out, &mut |_, _| ()).unwrap();
    out
}

/// What a document says, in the order of the keys.
fn read(bytes: &[u8]) -> Result<BTreeMap<String, Pin>, DocumentError> {
    // A small buffer, so that changes lie across its ends.
    let mut reader = DocumentReader::new(BufReader::with_capacity(1_000, bytes));
    let mut pins = BTreeMap::new();
    while let Some(more) = reader.entries()? {
        pins.extend(more.into_iter().map(|(pin, _)| (Key::of(&pin.cid).as_str().to_owned(), pin)));
    }
    Ok(pins)
}

fn by_key(pins: &[Pin]) -> BTreeMap<String, Pin> {
    pins.iter().map(|pin| (Key::of(&pin.cid).as_str().to_owned(), pin.clone())).collect()
}

#[test]
fn automerge_loads_an_export_and_finds_every_key_in_its_map_with_its_record() {
    let pins = pins(1_500);
    let rows = rows(&pins);
    let mut seen = Vec::new();
    let mut out = Vec::new();
    let count = write_document(&rows, peer(1), &mut out, &mut |done, of| seen.push((done, of))).unwrap();
    assert_eq!((count, seen.len(), seen.last()), (1_503, 1_503, Some(&(1_503, 1_503))));
    let document = Automerge::load(&out).unwrap();
    assert_eq!(document.keys(&ROOT).count(), 4096);
    let mut found = BTreeMap::new();
    for bucket in document.keys(&ROOT) {
        let (_, map) = document.get(&ROOT, &bucket).unwrap().unwrap();
        for key in document.keys(&map) {
            let values = document.get_all(&map, &key).unwrap();
            assert_eq!(values.len(), 1);
            let record = values[0].0.as_bytes().unwrap().to_vec();
            let key = Key::parse(&key).unwrap();
            assert_eq!(genesis::bucket_name(key.bucket().into()), bucket);
            found.insert(key.as_str().to_owned(), model::pin(&key, &record).unwrap());
        }
    }
    assert_eq!(found, by_key(&pins));
}

#[test]
fn the_genesis_is_the_one_that_every_change_descends_from() {
    let document = Automerge::load(&genesis::chunk()).unwrap();
    assert_eq!(document.get_heads(), [automerge::ChangeHash(GENESIS)]);
}

#[test]
fn what_is_exported_is_read_back_and_equal_states_give_equal_files() {
    for count in [0, 1, 1_500] {
        let pins = pins(count);
        let bytes = exported(&rows(&pins));
        assert_eq!(read(&bytes).unwrap(), by_key(&pins));
        assert_eq!(exported(&rows(&pins)), bytes);
    }
    assert_eq!(read(&exported(&MapRows::default())).unwrap(), BTreeMap::new());
}

#[test]
fn a_document_that_was_changed_and_saved_whole_is_read_too() {
    let pins = pins(600);
    let mut document = Automerge::load(&exported(&rows(&pins))).unwrap();
    let (gone, new) = (Key::of(&pins[5].cid), Pin::recursive(cid(100_000)));
    let mut transaction = document.transaction();
    let map = |document: &automerge::transaction::Transaction<'_>, key: &Key| {
        document.get(&ROOT, genesis::bucket_name(key.bucket().into())).unwrap().unwrap().1
    };
    let of_gone = map(&transaction, &gone);
    transaction.delete(&of_gone, gone.as_str()).unwrap();
    let key = Key::of(&new.cid);
    let of_new = map(&transaction, &key);
    transaction.put(&of_new, key.as_str(), model::record(&new)).unwrap();
    transaction.commit();
    let mut expected = by_key(&pins);
    expected.remove(gone.as_str());
    expected.insert(key.as_str().to_owned(), new);
    assert_eq!(read(&document.save()).unwrap(), expected);
    // Changes that somebody added to the file are not passed over.
    let appended = [exported(&rows(&pins)), document.save_after(&[])].concat();
    assert!(matches!(read(&appended), Err(DocumentError::Change { .. })));
}

#[test]
fn what_is_no_pinset_is_told() {
    let no_document: [&[u8]; 3] = [b"", b"rubbish", b"{\"cid\": 1}"];
    for bytes in no_document {
        assert!(matches!(read(bytes), Err(DocumentError::NoDocument(_))), "{bytes:?}");
    }
    let mut other = Automerge::new();
    let mut transaction = other.transaction();
    transaction.put_object(&ROOT, "000", ObjType::Map).unwrap();
    transaction.put_object(&ROOT, "title", ObjType::Text).unwrap();
    transaction.commit();
    assert!(matches!(read(&other.save()), Err(DocumentError::NoPinset(key)) if key == "title"));
    let mut other = Automerge::new();
    let mut transaction = other.transaction();
    let map = transaction.put_object(&ROOT, "000", ObjType::Map).unwrap();
    transaction.put(&map, "no key", vec![1, 2]).unwrap();
    transaction.commit();
    assert!(matches!(read(&other.save()), Err(DocumentError::NoPin { key, .. }) if key == "no key"));
}

#[test]
fn an_export_that_is_cut_or_changed_is_refused() {
    let bytes = exported(&rows(&pins(1_500)));
    let end = bytes.len();
    let error = read(&bytes[..end - 1]).unwrap_err();
    assert!(error.to_string().contains("cut short"), "{error}");
    let mut changed = bytes.clone();
    changed[end - 10] ^= 1;
    assert!(matches!(read(&changed), Err(DocumentError::Change { .. })));
    // A byte less of the first change, and nothing that follows is where it should be.
    let first = genesis::chunk().len();
    assert!(read(&[&bytes[..first], &bytes[first + 1..]].concat()).is_err());
}
