//! The pinset as the tracker sees it: what this peer is to hold.
use tokio::sync::watch;

use super::handle::Pinset;
use crate::cluster::Error;
use crate::model::{Cid, Pin};
use crate::tracker::{News, Wishes, WishesError};

/// The tracker's view of a pinset.
pub struct PinsetWishes {
    pinset: Pinset,
}

impl PinsetWishes {
    /// A view of `pinset`.
    #[must_use]
    pub fn new(pinset: Pinset) -> Self {
        Self { pinset }
    }
}

impl Wishes for PinsetWishes {
    fn news(&self, after: u64, limit: usize) -> Result<Vec<News>, WishesError> {
        let news = self.pinset.news(after, limit).map_err(failed)?;
        Ok(news.into_iter().map(|news| News { commit: news.commit, n: news.n, cid: news.cid }).collect())
    }

    fn pin(&self, cid: &Cid) -> Result<Option<Pin>, WishesError> {
        Ok(self.pinset.get(cid).map_err(failed)?.map(|(pin, _)| pin))
    }

    fn page(&self, after: Option<&[u8]>, limit: usize) -> Result<(Vec<Pin>, Option<Vec<u8>>), WishesError> {
        self.pinset.page(after, limit).map_err(failed)
    }

    fn worked_off(&self, commit: u64) {
        self.pinset.worked_off(commit);
    }

    fn changed(&self) -> watch::Receiver<u64> {
        self.pinset.news_watch()
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of map_err")]
fn failed(error: Error) -> WishesError {
    WishesError(error.to_string())
}
