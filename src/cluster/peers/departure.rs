//! Whether this peer is being drained: on disk, so that it stays so over restarts.
use std::sync::Arc;

use tokio::sync::watch;

use crate::store::StoreError;
use crate::store::ledger::LedgerDb;

/// Whether this peer is to be taken away.
pub struct Departure {
    ledger: Arc<LedgerDb>,
    is_leaving: watch::Sender<bool>,
}

impl Departure {
    /// As the ledger says.
    ///
    /// # Errors
    /// [`StoreError`] when the ledger cannot be read.
    pub fn open(ledger: Arc<LedgerDb>) -> Result<Self, StoreError> {
        let is_leaving = watch::Sender::new(ledger.is_leaving()?);
        Ok(Self { ledger, is_leaving })
    }

    /// Returns whether it is to be taken away.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        *self.is_leaving.borrow()
    }

    /// Says whether it is; on disk when this returns. Blocks for as long as the disk takes.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing has changed.
    pub fn set(&self, is_leaving: bool) -> Result<(), StoreError> {
        self.ledger.set_leaving(is_leaving)?;
        self.is_leaving.send_replace(is_leaving);
        Ok(())
    }

    /// Returns what tells when that changes.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<bool> {
        self.is_leaving.subscribe()
    }
}
