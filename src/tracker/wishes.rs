//! What the tracker reads of the pinset.
use tokio::sync::watch;

use crate::model::{Cid, PeerId, Pin, PinType};

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

/// Returns whether the daemon of `own` is to hold what `pin` names.
pub(super) fn is_wanted(pin: &Pin, own: &PeerId) -> bool {
    match pin.kind {
        PinType::Data | PinType::ClusterDag | PinType::Shard => !pin.is_remote(own),
        PinType::Meta | PinType::Bad => false,
    }
}
