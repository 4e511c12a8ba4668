//! Export, import, cleanup: pins one by one.
use std::path::{Path, PathBuf};

use libp2p::identity::Keypair;
use tokio::sync::mpsc;

use crate::cluster::Error;
use crate::cluster::build::{open_pinset, stores};
use crate::cluster::pinset::{Outbound, Pinset, Writer};
use crate::config::{Config, make_folder};
use crate::crdt::{self, Op, Pinset as _, RowsError, Seen, automerge};
use crate::model::Pin;
use crate::store::{Options, PinsetDb};
use crate::task::Fatal;

/// Pins read or written at a time: one transaction of some milliseconds.
pub const BATCH: usize = 4096;

/// Where an import is built before it takes the old pinset's place.
pub(super) const ASIDE: &str = "import";

/// Calls `each` with every pin of the pinset in `folder`, in key order, a transaction a page; returns how many.
///
/// # Errors
/// When the store cannot be opened or read, or `each` fails.
pub fn export(folder: &Path, mut each: impl FnMut(Pin) -> Result<(), Fatal>) -> Result<u64, Fatal> {
    let [pinset, _] = stores(folder);
    if !pinset.exists() {
        return Ok(0);
    }
    let (db, reader) = (PinsetDb::open(folder, Options::default())?, automerge::Reader);
    let (mut cursor, mut count): (Option<Vec<u8>>, u64) = (None, 0);
    loop {
        let page = |rows: &dyn crdt::ReadRows| reader.page(cursor.as_deref(), BATCH, rows);
        let (pins, next) = db.read::<_, RowsError>(page)?;
        for pin in pins {
            each(pin)?;
            count += 1;
        }
        match next {
            Some(next) => cursor = Some(next),
            None => return Ok(count),
        }
    }
}

/// A pinset that is built aside, and takes the old one's place only when it is whole.
pub struct Import {
    folder: PathBuf,
    pinset: Pinset,
    writer: Writer,
    /// What the engine would send; nobody is there to send it to.
    _outbound: mpsc::Receiver<Outbound>,
    /// Last: it goes after those who write there.
    aside: Aside,
}

/// The folder of an import, which is gone when the import ends, however it does.
pub(super) struct Aside(pub(super) PathBuf);

impl Aside {
    pub(super) fn make(path: PathBuf) -> Result<Self, Fatal> {
        remove_folder(&path)?;
        make_folder(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        if let Err(error) = remove_folder(&self.0) {
            tracing::warn!(folder = %self.0.display(), %error, "what an import left cannot be removed");
        }
    }
}

impl Import {
    /// Begins an import for the peer of `config` and `keypair`; what an earlier one left half done is removed.
    ///
    /// # Errors
    /// When there is no place to write.
    pub fn begin(config: &Config, keypair: &Keypair) -> Result<Self, Fatal> {
        let folder = config.folder.clone();
        let aside = Aside::make(folder.join(ASIDE))?;
        let config = Config { folder: aside.0.clone(), ..config.clone() };
        let (pinset, outbound, writer) = open_pinset(&config, keypair)?;
        Ok(Self { folder, pinset, writer, _outbound: outbound, aside })
    }

    /// Adds pins; they are on disk when this returns. At most [`BATCH`] at a time keep memory flat.
    ///
    /// # Errors
    /// When one of them cannot be written.
    pub async fn add(&self, pins: Vec<Pin>) -> Result<(), Error> {
        let writes = pins.into_iter().map(|pin| self.pinset.write(Op::Pin(Box::new(pin)), Seen::Any));
        futures::future::try_join_all(writes).await?;
        Ok(())
    }

    /// Puts the import in the place of the old pinset.
    ///
    /// # Errors
    /// When a file cannot be moved; the old pinset is there until its name is taken.
    pub async fn finish(self) -> Result<(), Fatal> {
        let Self { folder, pinset, writer, _outbound, aside } = self;
        drop(pinset);
        writer.stop().await?;
        take_place(&folder, aside)
    }
}

/// Puts the pinset that was built aside in the place of the old one.
pub(super) fn take_place(folder: &Path, aside: Aside) -> Result<(), Fatal> {
    let ([old, ledger], [new, _]) = (stores(folder), stores(&aside.0));
    // Pages that were free when the last pin was in would stay in the file for ever.
    PinsetDb::open(&aside.0, Options::default())?.compact()?;
    // The ledger's cursor counts the old pinset's commits; a new ledger begins with a walk over all pins.
    remove(&ledger)?;
    std::fs::rename(new, old)?;
    drop(aside);
    std::fs::File::open(folder)?.sync_all()?;
    Ok(())
}

/// Removes the pinset in `folder`, with the ledger that follows it.
///
/// # Errors
/// When a file cannot be removed.
pub fn cleanup(folder: &Path) -> std::io::Result<()> {
    let [pinset, ledger] = stores(folder);
    remove_folder(&folder.join(ASIDE))?;
    remove(&ledger)?;
    remove(&pinset)
}

fn remove_folder(folder: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn remove(file: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::testing::{Home, cid};

    fn names(folder: &Path) -> Vec<String> {
        let mut names = Vec::new();
        let count = export(folder, |pin| {
            names.push(pin.name);
            Ok(())
        });
        assert_eq!(count.unwrap(), names.len() as u64);
        names.sort();
        names
    }

    fn pin(n: u64) -> Pin {
        Pin { name: n.to_string(), ..Pin::recursive(cid(n)) }
    }

    #[tokio::test]
    async fn an_import_takes_the_old_pinsets_place_when_it_is_whole() {
        let home = Home::new();
        let folder = home.config.folder.clone();
        assert!(names(&folder).is_empty());
        let import = Import::begin(&home.config, home.keypair()).unwrap();
        import.add(vec![pin(1), pin(2)]).await.unwrap();
        import.finish().await.unwrap();
        assert_eq!(names(&folder), ["1", "2"]);
        // One that is given up changes nothing, and leaves nothing in the way of the next.
        let given_up = Import::begin(&home.config, home.keypair()).unwrap();
        given_up.add(vec![pin(3)]).await.unwrap();
        drop(given_up);
        assert_eq!(names(&folder), ["1", "2"]);
        let import = Import::begin(&home.config, home.keypair()).unwrap();
        import.add(vec![pin(4)]).await.unwrap();
        import.finish().await.unwrap();
        assert_eq!(names(&folder), ["4"]);
        assert!(!folder.join(ASIDE).exists());
        cleanup(&folder).unwrap();
        assert!(names(&folder).is_empty());
        cleanup(&folder).unwrap();
    }
}
