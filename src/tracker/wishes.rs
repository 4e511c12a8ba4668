//! What the tracker reads of the pinset, and what of that this peer is to hold.
use std::sync::Arc;

use tokio::sync::watch;

use super::core::is_unpin;
use crate::model::{Cid, PeerId, Pin, PinType, Replication};
use crate::store::ledger::Row;

/// Why the pinset could not be read; it is asked again.
#[derive(Debug, thiserror::Error)]
#[error("the pinset cannot be read: {0}")]
pub struct WishesError(pub String);

/// One row of news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct News {
    /// The commit that made it.
    pub commit: u64,
    /// Its place in the commit.
    pub n: u32,
    /// Whose wish changed; [`None`] is everybody's.
    pub cid: Option<Cid>,
}

/// The pinset, as far as the tracker needs it. Calls are short reads of committed rows.
pub trait Wishes: Send + Sync + 'static {
    /// Returns the news of the commits after `after`, oldest first, at least the first `limit` rows where there are as
    /// many.
    ///
    /// # Errors
    /// [`WishesError`].
    fn news(&self, after: u64, limit: usize) -> Result<Vec<News>, WishesError>;

    /// Returns the pin of a CID.
    ///
    /// # Errors
    /// [`WishesError`].
    fn pin(&self, cid: &Cid) -> Result<Option<Pin>, WishesError>;

    /// Returns at most `limit` pins after the cursor in key order, and the next cursor; [`None`] at the end.
    ///
    /// # Errors
    /// [`WishesError`].
    fn page(&self, after: Option<&[u8]>, limit: usize) -> Result<(Vec<Pin>, Option<Vec<u8>>), WishesError>;

    /// Says that the news of `commit` and before are on disk here, so that their rows may go.
    fn worked_off(&self, commit: u64);

    /// The number of the last commit that had news, worked off or not.
    ///
    /// One below what is worked off means another pinset: then every pin is looked at.
    fn changed(&self) -> watch::Receiver<u64>;
}

/// The share of a peer that does not hold everything. Calls are short, and never wait.
pub trait Share: Send + Sync + 'static {
    /// Returns whether a pin that is for everybody is to be here, which it `is_held` already or is not.
    fn takes(&self, cid: &Cid, is_held: bool) -> bool;

    /// Promises a transfer room for `bytes` in all, `counted` of which are counted already; false when there is none, and
    /// then the transfer must not go on.
    fn reserve(&self, cid: &Cid, bytes: u64, counted: u64) -> bool;

    /// The transfer ended, and what it left is counted.
    fn close(&self, cid: &Cid);

    /// Bytes that are held of a pin were `before`, and are `after`.
    fn count(&self, cid: &Cid, before: u64, after: u64);

    /// Returns why a pin is not taken, if it is for a reason of its own.
    fn refusal(&self, cid: &Cid) -> Option<String>;
}

/// What a peer is to hold.
#[derive(Clone)]
pub(super) struct Wanted {
    /// The peer.
    pub own: PeerId,
    /// Its share; [`None`]: everything.
    pub share: Option<Arc<dyn Share>>,
}

impl Wanted {
    /// Returns whether the daemon is to hold what `pin` names; `row` is what is known of it.
    pub fn is_wanted(&self, pin: &Pin, row: Option<&Row>) -> bool {
        match pin.kind {
            PinType::Data | PinType::ClusterDag | PinType::Shard => match (pin.replication, &self.share) {
                (Replication::Everywhere, Some(share)) => {
                    // What only waits for its turn is no reason to fetch it.
                    share.takes(&pin.cid, row.is_some_and(|row| row.asked && !is_unpin(row.status)))
                }
                (Replication::Everywhere | Replication::Between { .. }, _) => !pin.is_remote(&self.own),
            },
            PinType::Meta | PinType::Bad => false,
        }
    }

    /// Returns why a pin is not taken, if it is for a reason of its own.
    pub fn refusal(&self, cid: &Cid) -> String {
        self.share.as_ref().and_then(|share| share.refusal(cid)).unwrap_or_default()
    }
}

/// Bytes of a row that count as held: those of what the daemon was asked for.
pub(super) fn held(row: Option<&Row>) -> u64 {
    row.filter(|row| row.asked).map_or(0, |row| row.bytes)
}
