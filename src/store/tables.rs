//! Every table of `pinset.redb`: its key, its value, and how long its rows live.
//!
//! Keys and values are bytes that the engine encodes; numbers in keys are big endian, so that byte order is theirs.
//! The engine named in `META` owns the encodings: `crdt/automerge/` for `"automerge"`.
use redb::TableDefinition;

use crate::crdt::Table;

/// The file name of the pinset's database.
pub const PINSET_FILE: &str = "pinset.redb";

/// A table as the pinset's database keeps it.
pub(super) type Definition = TableDefinition<'static, &'static [u8], &'static [u8]>;

/// What to read the file with. Key: `"version"`; value: the number that `migrate.rs` brings up to date. For ever.
pub(super) const FORMAT: TableDefinition<'static, &'static str, u32> = TableDefinition::new("format");

/// Single values. Key: a name; value: that of the name (engine, epoch, digest, counters, join marker). For ever.
const META: Definition = TableDefinition::new("meta");
/// The pinset. Key: the canonical text of a CID; value: its live entries, winner first. As long as one entry lives.
const PINS: Definition = TableDefinition::new("pins");
/// The clock. Key: actor; value: seq, greatest counter, tip hash, head flag. For ever: a clock forgets nobody.
const CLOCK: Definition = TableDefinition::new("clock");
/// The newest signed headers. Key: actor; value: the header of its last change. Replaced by its next one.
const TIPS: Definition = TableDefinition::new("tips");
/// The log. Key: actor, seq; value: a signed envelope. Until the log is dropped below a floor.
const CHANGES: Definition = TableDefinition::new("changes");
/// The log's order here. Key: number of application; value: actor, seq. As long as its row of `changes`.
const APPLIED: Definition = TableDefinition::new("applied");
/// Equivocation. Key: actor; value: fork point and the two headers that prove it. For ever.
const FORKED: Definition = TableDefinition::new("forked");
/// Removed entries above a fork point. Key: key, counter, actor; value: empty. For ever.
const TOMBSTONES: Definition = TableDefinition::new("tombstones");
/// Changes of untrusted authors. Key: actor, seq; value: an envelope. Until a trusted change above it, or eviction.
const STAGE: Definition = TableDefinition::new("stage");
/// Index of the pins that expire. Key: expiry, key of `pins`; value: empty. As long as that winner.
const BY_EXPIRY: Definition = TableDefinition::new("by_expiry");
/// Work for the tracker. Key: commit number (8 bytes), n (4 bytes); value: CID, or empty for all. Until worked off.
const NEWS: Definition = TableDefinition::new("news");
/// Snapshots: the one that others may have, and one on its way in or being made. Key: generation, kind, place; value: a
/// manifest or a packed frame. Until a newer one is there.
const SNAPSHOTS: Definition = TableDefinition::new("snapshots");
/// Keys above the cursor of a join that were worked on. Key: key of `pins`; value: empty. Until the join is at its end.
const JOINED: Definition = TableDefinition::new("joined");

/// Returns where the rows of `table` are.
pub(super) const fn definition(table: Table) -> Definition {
    match table {
        Table::Meta => META,
        Table::Pins => PINS,
        Table::Clock => CLOCK,
        Table::Tips => TIPS,
        Table::Changes => CHANGES,
        Table::Applied => APPLIED,
        Table::Forked => FORKED,
        Table::Tombstones => TOMBSTONES,
        Table::Stage => STAGE,
        Table::ByExpiry => BY_EXPIRY,
        Table::News => NEWS,
        Table::Snapshots => SNAPSHOTS,
        Table::Joined => JOINED,
    }
}
