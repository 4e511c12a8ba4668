//! Rows that have to be sorted and need not fit into memory. Nothing of them outlives who reads them.
use std::fs::{File, remove_file};
use std::ops::Bound;
use std::path::{Path, PathBuf};

use redb::{Builder, Database, Durability, ReadableDatabase, TableDefinition};

use super::StoreError;

const ROWS: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("rows");
/// Memory for pages.
const CACHE_BYTES: usize = 1 << 20;

/// A key and its value.
pub type ScratchRow = (Vec<u8>, Vec<u8>);

/// A sorted table in a file that has no name any more.
pub struct Scratch {
    path: PathBuf,
    redb: Database,
}

impl Scratch {
    /// Sorts all rows of these batches by their keys, in a file in `dir`; of two rows with one key the later counts.
    /// Waits for the batches, and for the disk.
    ///
    /// # Errors
    /// [`StoreError`]: the disk is full, or the system refuses.
    pub fn sort(dir: &Path, batches: impl IntoIterator<Item = Vec<ScratchRow>>) -> Result<Self, StoreError> {
        let path = dir.join(format!("scratch-{:016x}", rand::random::<u64>()));
        let io = |source| StoreError::Io { path: path.clone(), source };
        let file = File::options().read(true).write(true).create_new(true).open(&path).map_err(io)?;
        // From here on it goes with the process, however that ends.
        remove_file(&path).map_err(io)?;
        let redb = StoreError::guard(&path, || Builder::new().set_cache_size(CACHE_BYTES).create_file(file))?;
        StoreError::guard(&path, || {
            let mut write = redb.begin_write()?;
            write.set_durability(Durability::None)?;
            let mut table = write.open_table(ROWS)?;
            for (key, value) in batches.into_iter().flatten() {
                table.insert(&key[..], &value[..])?;
            }
            drop(table);
            write.commit()?;
            Ok::<_, redb::Error>(())
        })?;
        Ok(Self { path, redb })
    }

    /// Returns at most `limit` rows after `after`, in the order of their keys.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn page(&self, after: Option<&[u8]>, limit: usize) -> Result<Vec<ScratchRow>, StoreError> {
        StoreError::guard(&self.path, || {
            let table = self.redb.begin_read()?.open_table(ROWS)?;
            let from = after.map_or(Bound::Unbounded, Bound::Excluded);
            let mut rows = Vec::new();
            for row in table.range::<&[u8]>((from, Bound::Unbounded))?.take(limit) {
                let (key, value) = row?;
                rows.push((key.value().to_vec(), value.value().to_vec()));
            }
            Ok::<_, redb::Error>(rows)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(n: u32) -> ScratchRow {
        (n.to_be_bytes().to_vec(), n.to_string().into_bytes())
    }

    #[test]
    fn what_comes_in_any_order_is_read_in_order_and_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let mixed: Vec<u32> = (0..5_000).map(|n| n * 7_919 % 5_000).collect();
        let batches = mixed.chunks(999).map(|batch| batch.iter().map(|n| row(*n)).collect());
        let scratch = Scratch::sort(dir.path(), batches).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "the file has no name");
        let (mut after, mut read) = (None, Vec::new());
        loop {
            let page = scratch.page(after.as_deref(), 777).unwrap();
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            read.extend(page);
        }
        assert_eq!(read, (0..5_000).map(row).collect::<Vec<_>>());
    }

    #[test]
    fn nothing_is_sorted_too_and_a_folder_that_is_not_there_is_named() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Scratch::sort(dir.path(), []).unwrap().page(None, 9).unwrap().is_empty());
        let nowhere = dir.path().join("nowhere");
        let error = Scratch::sort(&nowhere, []).err().unwrap().to_string();
        assert!(error.starts_with(&nowhere.display().to_string()), "{error}");
    }
}
