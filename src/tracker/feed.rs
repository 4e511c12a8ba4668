//! Wishes, as they come in: news, or the whole pinset when nobody knows what is new.
use super::wishes::{News, Wishes, WishesError};
use crate::model::{Cid, Pin};

/// Rows of news read at once.
const NEWS_MAX: usize = 1_000;
/// The greatest number of news that one commit can have; a batch that is larger is taken as it comes.
const COMMIT_MAX: usize = 1 << 20;
/// Pins or rows looked at in one step of a walk, about 5 ms.
const PAGE: usize = 500;

/// Where reading wishes stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Feed {
    /// The news of the commits up to this one are taken.
    News(u64),
    /// Every pin is looked at.
    Pins {
        /// The commits that the walk makes up for.
        upto: u64,
        /// The cursor in the pinset.
        after: Option<Vec<u8>>,
    },
    /// Every row is looked at, for pins that are gone.
    Rows {
        /// The commits that the walk makes up for.
        upto: u64,
        /// The cursor in the ledger.
        after: Option<Cid>,
    },
}

/// What a step found.
#[derive(Debug)]
pub(super) enum Step {
    /// Nothing new.
    Nothing,
    /// These wishes changed, with the commits up to this one.
    Changed(Vec<Cid>, u64),
    /// These pins are there.
    Pins(Vec<Pin>),
    /// The rows after this CID are to be held against the pinset, so many at a time.
    Rows(Option<Cid>, usize),
}

impl Feed {
    /// Begins where the ledger ended; a new ledger looks at every pin, and so does one of another pinset.
    pub fn new(cursor: Option<u64>, wishes: &dyn Wishes) -> Self {
        let last = *wishes.changed().borrow();
        cursor.filter(|cursor| *cursor <= last).map_or_else(|| Self::walk(wishes), Self::News)
    }

    fn walk(wishes: &dyn Wishes) -> Self {
        let upto = *wishes.changed().borrow();
        Self::Pins { upto, after: None }
    }

    /// Returns the next step, and where reading stands when it is done; nothing is lost when it is not.
    ///
    /// # Errors
    /// [`WishesError`]; the step is to be taken again.
    pub fn step(&self, wishes: &dyn Wishes) -> Result<(Step, Self), WishesError> {
        match self {
            Self::News(after) => {
                let news = whole_commits(wishes, *after)?;
                if news.iter().any(|row| row.cid.is_none()) {
                    return Self::walk(wishes).step(wishes);
                }
                let Some(last) = news.last() else { return Ok((Step::Nothing, self.clone())) };
                let mut cids: Vec<Cid> = news.iter().filter_map(|row| row.cid).collect();
                cids.sort_unstable();
                cids.dedup();
                Ok((Step::Changed(cids, last.commit), Self::News(last.commit)))
            }
            Self::Pins { upto, after } => {
                let (pins, next) = wishes.page(after.as_deref(), PAGE)?;
                let next = match next {
                    Some(next) => Self::Pins { upto: *upto, after: Some(next) },
                    None => Self::Rows { upto: *upto, after: None },
                };
                Ok((Step::Pins(pins), next))
            }
            Self::Rows { after, .. } => Ok((Step::Rows(*after, PAGE), self.clone())),
        }
    }

    /// Where a walk stands when the rows up to `last` were looked at; [`None`] was the end, and the commit that is
    /// made up for by then comes with it.
    pub fn looked_at(&self, last: Option<Cid>) -> (Self, Option<u64>) {
        match (self, last) {
            (Self::Rows { upto, .. }, Some(last)) => (Self::Rows { upto: *upto, after: Some(last) }, None),
            (Self::Rows { upto, .. }, None) => (Self::News(*upto), Some(*upto)),
            (Self::News(_) | Self::Pins { .. }, _) => (self.clone(), None),
        }
    }
}

/// The next news, in whole commits: the cursor is a commit's number.
fn whole_commits(wishes: &dyn Wishes, after: u64) -> Result<Vec<News>, WishesError> {
    let mut limit = NEWS_MAX;
    loop {
        let mut news = wishes.news(after, limit)?;
        let last = news.last().map_or(after, |row| row.commit);
        if news.len() < limit || limit >= COMMIT_MAX {
            return Ok(news);
        }
        news.retain(|row| row.commit != last);
        if !news.is_empty() {
            return Ok(news);
        }
        limit *= 2;
    }
}
