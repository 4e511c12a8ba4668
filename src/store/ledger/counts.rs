//! How many rows stand where.
use redb::{ReadableTable, Table};

use super::row::status_index;
use crate::model::TrackerStatus;

/// How many rows stand where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts([u64; TrackerStatus::ALL.len()]);

impl Counts {
    /// Rows of `status`.
    #[must_use]
    pub fn of(&self, status: TrackerStatus) -> u64 {
        self.0[usize::from(status_index(status))]
    }

    pub(super) fn more(&mut self, status: TrackerStatus) {
        self.0[usize::from(status_index(status))] += 1;
    }

    pub(super) fn less(&mut self, status: TrackerStatus) {
        let n = &mut self.0[usize::from(status_index(status))];
        *n = n.saturating_sub(1);
    }

    pub(super) fn read(table: &impl ReadableTable<u8, u64>) -> Result<Self, redb::Error> {
        let mut counts = Self::default();
        for row in table.iter()? {
            let (status, n) = row?;
            if let Some(count) = counts.0.get_mut(usize::from(status.value())) {
                *count = n.value();
            }
        }
        Ok(counts)
    }

    pub(super) fn write(&self, table: &mut Table<'_, u8, u64>) -> Result<(), redb::Error> {
        for status in TrackerStatus::ALL {
            let n = self.of(status);
            if table.get(status_index(status))?.map_or(0, |n| n.value()) != n {
                table.insert(status_index(status), n)?;
            }
        }
        Ok(())
    }
}
