//! What an operator should hear of, the latest of it.
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::crdt::Notice;
use crate::model::UnixMillis;

/// Notices that are kept: what an operator reads after a bad night.
const NOTICES_MAX: usize = 100;

/// The latest notices.
#[derive(Debug, Default)]
pub struct Notices(Mutex<VecDeque<(UnixMillis, Notice)>>);

impl Notices {
    /// Says a notice in the log and keeps it; the oldest goes when there are too many.
    pub fn tell(&self, notice: Notice, now: UnixMillis) {
        match notice {
            Notice::Joined { .. } => tracing::info!("{notice}"),
            Notice::OtherEpoch { .. }
            | Notice::OverRate { .. }
            | Notice::BadSnapshot { .. }
            | Notice::OtherStart
            | Notice::ManyStarts { .. } => {
                tracing::warn!("{notice}");
            }
            Notice::Fork { .. } | Notice::Divergence { .. } | Notice::Damaged | Notice::OwnActor { .. } => {
                tracing::error!("{notice}");
            }
        }
        let mut notices = self.lock();
        notices.push_front((now, notice));
        notices.truncate(NOTICES_MAX);
    }

    /// Returns them, newest first.
    #[must_use]
    pub fn all(&self) -> Vec<(UnixMillis, Notice)> {
        self.lock().iter().cloned().collect()
    }

    /// A list is whole whatever happened to who added to it.
    fn lock(&self) -> MutexGuard<'_, VecDeque<(UnixMillis, Notice)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
