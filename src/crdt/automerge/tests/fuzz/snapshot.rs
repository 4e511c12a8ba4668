use bytes::Bytes;

use super::{size, told};
use crate::crdt::automerge::formats::snapshot::frame::tests::{frames, sorted};
use crate::crdt::automerge::formats::snapshot::frame::{Content, ENTRIES_MAX, Filling};
use crate::crdt::automerge::formats::snapshot::lend::tests::{asks, lents};
use crate::crdt::automerge::formats::snapshot::lend::{Ask, Lent};
use crate::crdt::automerge::formats::snapshot::manifest::Manifest;
use crate::crdt::automerge::formats::snapshot::manifest::tests::manifest;
use crate::fuzz::Target;

/// Rows of the clock that frames are read with.
const ACTORS: usize = 2;

#[test]
fn fuzz_manifest() {
    Target::new("manifest").seeds([manifest().encode()]).up_to(64 << 10).run(|bytes| {
        let manifest = Manifest::decode(bytes).map_err(|refused| told(&refused))?;
        assert_eq!(manifest.encode(), bytes, "a manifest has one spelling");
        assert!(manifest.core.frames.iter().all(|frame| frame.plain > 0));
        Ok(format!("{} groups, {} frames", size(manifest.core.groups.len()), size(manifest.core.frames.len())))
    });
}

#[test]
fn fuzz_snapshot_frame() {
    let seeds = frames(&sorted(5)).into_iter().map(|frame| frame.plain);
    Target::new("snapshot_frame").seeds(seeds).up_to(64 << 10).run(|bytes| {
        let mut again = Filling::of(ENTRIES_MAX);
        let verdict = match Content::decode(bytes, ACTORS).map_err(|refused| told(&refused))? {
            Content::Entries(rows) => {
                for (key, entries) in &rows {
                    again.entries(key.as_bytes(), entries);
                }
                format!("entries of {} keys", size(rows.len()))
            }
            Content::Tombstones(rows) => {
                for (key, counter, number) in &rows {
                    again.tombstone(key.as_bytes(), *counter, *number);
                }
                format!("{} tombstones", size(rows.len()))
            }
        };
        let again = again.take().expect("a frame that is read has rows");
        assert_eq!(again.plain, bytes, "a frame has one spelling");
        Ok(verdict)
    });
}

#[test]
fn fuzz_lend() {
    let seeds = asks().into_iter().map(|ask| ask.encode());
    Target::new("lend").seeds(seeds.chain(lents().into_iter().map(|lent| lent.encode()))).up_to(4 << 10).run(|bytes| {
        let ask = Ask::decode(bytes).map_err(|refused| told(&refused));
        let lent = Lent::decode(&Bytes::copy_from_slice(bytes)).map_err(|refused| told(&refused));
        if let Ok(ask) = &ask {
            assert_eq!(ask.encode(), bytes, "what is asked has one spelling");
        }
        if let Ok(lent) = &lent {
            assert_eq!(lent.encode(), bytes, "what is lent has one spelling");
        }
        match (ask, lent) {
            (Err(ask), Err(lent)) => Err(format!("{ask}; {lent}")),
            (ask, lent) => Ok(format!("{} {}", ask.is_ok(), lent.is_ok())),
        }
    });
}
