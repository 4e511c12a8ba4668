//! Rows in memory: what tests and the simulation run engines on.
use std::collections::BTreeMap;
use std::ops::{Bound, Range};

use super::{ReadRows, Rows, RowsError, Table, Visit};

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

/// The tables of a database as sorted maps; a clone is a copy of the disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MapRows {
    tables: BTreeMap<Table, Map>,
}

impl MapRows {
    /// Returns the rows of `table` in key order.
    #[must_use]
    pub fn rows(&self, table: Table) -> impl DoubleEndedIterator<Item = (&[u8], &[u8])> {
        self.tables.get(&table).into_iter().flatten().map(|(key, value)| (key.as_slice(), value.as_slice()))
    }

    /// Returns the number of rows of `table`.
    #[must_use]
    pub fn len(&self, table: Table) -> usize {
        self.tables.get(&table).map_or(0, BTreeMap::len)
    }

    /// Returns whether no table has a row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tables.values().all(BTreeMap::is_empty)
    }

    /// Returns the rows of `range`, none when it is empty or backward.
    fn range(&self, table: Table, range: &Range<&[u8]>) -> impl DoubleEndedIterator<Item = (&Vec<u8>, &Vec<u8>)> {
        let end = if range.end.is_empty() { Bound::Unbounded } else { Bound::Excluded(range.end) };
        let sound = range.end.is_empty() || range.start < range.end;
        let map = self.tables.get(&table).filter(|_| sound);
        map.into_iter().flat_map(move |map| map.range::<[u8], _>((Bound::Included(range.start), end)))
    }
}

impl ReadRows for MapRows {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, RowsError> {
        Ok(self.tables.get(&table).and_then(|map| map.get(key)).cloned())
    }

    fn scan(&self, table: Table, range: Range<&[u8]>, visit: Visit<'_>) -> Result<(), RowsError> {
        let _ = self.range(table, &range).try_for_each(|(key, value)| visit(key, value));
        Ok(())
    }

    fn scan_back(&self, table: Table, range: Range<&[u8]>, visit: Visit<'_>) -> Result<(), RowsError> {
        let _ = self.range(table, &range).rev().try_for_each(|(key, value)| visit(key, value));
        Ok(())
    }
}

impl Rows for MapRows {
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), RowsError> {
        self.tables.entry(table).or_default().insert(key.to_vec(), value.to_vec());
        Ok(())
    }

    fn remove(&mut self, table: Table, key: &[u8]) -> Result<(), RowsError> {
        if let Some(map) = self.tables.get_mut(&table) {
            map.remove(key);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;

    fn keys(rows: &MapRows, range: Range<&[u8]>, back: bool) -> Vec<u8> {
        let mut seen = Vec::new();
        let mut visit = |key: &[u8], _: &[u8]| {
            seen.push(key[0]);
            if seen.len() == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        if back {
            rows.scan_back(Table::Pins, range, &mut visit).unwrap();
        } else {
            rows.scan(Table::Pins, range, &mut visit).unwrap();
        }
        seen
    }

    #[test]
    fn ranges_are_half_open_ordered_and_stop_when_told() {
        let mut rows = MapRows::default();
        for key in [5_u8, 1, 4, 2, 3] {
            rows.put(Table::Pins, &[key], b"v").unwrap();
        }
        assert_eq!(keys(&rows, b""..b"", false), [1, 2, 3]);
        assert_eq!(keys(&rows, b""..b"", true), [5, 4, 3]);
        assert_eq!(keys(&rows, &[2]..&[4], false), [2, 3]);
        assert_eq!(keys(&rows, &[2]..&[4], true), [3, 2]);
        assert_eq!(keys(&rows, &[4]..&[2], true), [0_u8; 0]);
        rows.remove(Table::Pins, &[2]).unwrap();
        assert_eq!((rows.len(Table::Pins), rows.get(Table::Pins, &[2]).unwrap()), (4, None));
    }
}
