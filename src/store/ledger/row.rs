//! The row of one CID.
use super::bytes::{Reader, Writer};
use crate::model::{TrackerStatus, UnixMillis};

/// Version of the row's format.
const VERSION: u8 = 1;
/// Bytes of an error's text that are kept.
const ERROR_MAX: usize = 1024;

/// The error of a row that does not decode.
pub(super) fn damaged() -> redb::Error {
    redb::Error::Corrupted("a row does not decode".into())
}

/// When something is to be done about a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// It is being done now; after a restart it is done again, first of all.
    Running,
    /// At this moment.
    At(UnixMillis),
    /// Only when somebody asks for it.
    Never,
    /// There is nothing to do.
    Settled,
}

impl Due {
    /// The first part of its key in `DUE`: running first, never last; [`None`] when settled.
    #[must_use]
    pub fn key(self) -> Option<u64> {
        match self {
            Self::Running => Some(0),
            Self::At(moment) => Some(u64::try_from(moment.0).unwrap_or(0).clamp(1, u64::MAX - 1)),
            Self::Never => Some(u64::MAX),
            Self::Settled => None,
        }
    }

    fn from_key(key: Option<u64>) -> Self {
        match key {
            None => Self::Settled,
            Some(0) => Self::Running,
            Some(u64::MAX) => Self::Never,
            Some(n) => Self::At(UnixMillis(i64::try_from(n).unwrap_or(i64::MAX))),
        }
    }
}

/// What the ledger knows of one CID; a CID without a row was never wanted here, or is gone for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Where it stands.
    pub status: TrackerStatus,
    /// Whether the root alone is wanted.
    pub direct: bool,
    /// Whether the daemon was ever asked to pin it: only then is there something to unpin.
    pub asked: bool,
    /// How often it was tried since it last went well.
    pub attempts: u32,
    /// When something is to be done about it.
    pub due: Due,
    /// Since when it stands there.
    pub since: UnixMillis,
    /// Bytes that the daemon fetched for it.
    pub bytes: u64,
    /// The last sweep that found it in the daemon.
    pub generation: u32,
    /// What went wrong, at most 1 KiB; empty when nothing did.
    pub error: String,
}

impl Row {
    /// A row that is new at `now`.
    #[must_use]
    pub fn new(status: TrackerStatus, due: Due, now: UnixMillis) -> Self {
        Self {
            status,
            direct: false,
            asked: false,
            attempts: 0,
            due,
            since: now,
            bytes: 0,
            generation: 0,
            error: String::new(),
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        Writer::default()
            .u8(VERSION)
            .u8(status_index(self.status))
            .u8(u8::from(self.direct) | u8::from(self.asked) << 1 | u8::from(self.due != Due::Settled) << 2)
            .u32(self.attempts)
            .u64(self.due.key().unwrap_or(0))
            .i64(self.since.0)
            .u64(self.bytes)
            .u32(self.generation)
            .text(&self.error, ERROR_MAX)
            .0
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Reader(bytes);
        if fields.u8()? != VERSION {
            return None;
        }
        let status = status_at(fields.u8()?)?;
        let flags = fields.u8()?;
        let attempts = fields.u32()?;
        let due = fields.u64()?;
        Some(Self {
            status,
            direct: flags & 1 != 0,
            asked: flags & 2 != 0,
            attempts,
            due: Due::from_key((flags & 4 != 0).then_some(due)),
            since: UnixMillis(fields.i64()?),
            bytes: fields.u64()?,
            generation: fields.u32()?,
            error: fields.text()?,
        })
    }
}

/// The number of a status on disk: its place in the enum, which only ever grows.
pub(super) fn status_index(status: TrackerStatus) -> u8 {
    let at = TrackerStatus::ALL.iter().position(|s| *s == status).unwrap_or(0);
    u8::try_from(at).unwrap_or(0)
}

pub(super) fn status_at(index: u8) -> Option<TrackerStatus> {
    TrackerStatus::ALL.get(usize::from(index)).copied()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_row_reads_back_as_written(
            (status, direct, asked) in (0..13_u8, any::<bool>(), any::<bool>()),
            (attempts, due) in (any::<u32>(), 0..4_u8),
            (since, bytes, generation, error) in (0..i64::MAX / 2, any::<u64>(), any::<u32>(), ".{0,300}"),
        ) {
            let due = [Due::Running, Due::At(UnixMillis(since.max(1))), Due::Never, Due::Settled][usize::from(due)];
            let status = status_at(status).unwrap();
            let since = UnixMillis(since);
            let row = Row { status, direct, asked, attempts, due, since, bytes, generation, error };
            let read = Row::decode(&row.encode()).unwrap();
            prop_assert!(row.error.starts_with(&read.error));
            prop_assert_eq!(Row { error: row.error.clone(), ..read }, row);
        }

        #[test]
        fn hostile_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Row::decode(&bytes);
        }
    }

    #[test]
    fn a_long_error_is_cut_at_a_character() {
        let mut row = Row::new(TrackerStatus::PinError, Due::Never, UnixMillis(1));
        row.error = "ü".repeat(700);
        assert_eq!(Row::decode(&row.encode()).unwrap().error, "ü".repeat(512));
    }
}
