//! Every table of the ledger: key, value, lifetime.
use redb::TableDefinition;

/// The ledger's file.
pub const LEDGER_FILE: &str = "ledger.redb";
/// Events kept: a ring, so that the disk is bounded; about 100 bytes each.
pub const EVENTS_MAX: u64 = 100_000;
/// Alerts kept, as Go keeps them.
pub const ALERTS_MAX: u64 = 1_000;
/// Peers whose last sign of life is kept: more than are known at a time.
pub const PEERS_MAX: usize = 10_000;
/// The version of these tables.
pub(super) const VERSION: u32 = 1;

/// A table of byte rows.
pub(super) type Bytes = TableDefinition<'static, &'static [u8], &'static [u8]>;
/// A table of numbered rows.
pub(super) type Numbered = TableDefinition<'static, u64, &'static [u8]>;
/// A table of named numbers.
pub(super) type Numbers = TableDefinition<'static, &'static str, u64>;

/// `version`: [`VERSION`]; `cursor`: the commit of the pinset whose news are worked off; `generation`: number of the
/// last sweep; `leaving`: 1 while this peer is being drained; `webhook`: the alert that the webhook is told next, as long
/// as there is one. For ever.
pub(super) const META: Numbers = TableDefinition::new("META");
/// CID -> row. From the first wish that this peer hold it until the daemon let go of it.
pub(super) const STATUS: Bytes = TableDefinition::new("STATUS");
/// Due time in Unix milliseconds, 8 bytes big endian, then CID -> nothing. While a row is not settled; 0 while it is
/// being worked on, the greatest number when it waits for somebody to ask.
pub(super) const DUE: Bytes = TableDefinition::new("DUE");
/// Number of a status -> rows that stand there; in the transaction of the rows. For ever.
pub(super) const COUNTS: TableDefinition<'static, u8, u64> = TableDefinition::new("COUNTS");
/// Number -> event, oldest first; the oldest goes when there are more than [`EVENTS_MAX`].
pub(super) const EVENTS: Numbered = TableDefinition::new("EVENTS");
/// Number -> alert, oldest first; the oldest goes when there are more than [`ALERTS_MAX`].
pub(super) const ALERTS: Numbered = TableDefinition::new("ALERTS");
/// (peer, metric's name) -> the last ping of a peer that lived, at most [`PEERS_MAX`]. Written anew every minute and at the
/// end, so that a death while this peer is away is noticed.
pub(super) const PEERS: Bytes = TableDefinition::new("PEERS");
