//! The latest alerts, in memory: neither who raises one nor who asks for them waits for the disk.
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use crate::cluster::net::Counts;
use crate::model::Alert;
use crate::store::ledger::{ALERTS_MAX, TEXT_MAX};

/// Alerts that wait for the disk: as many as it keeps.
const WAITING_MAX: usize = 1_000;

/// The latest alerts of this peer, those of its earlier starts too.
#[derive(Debug)]
pub struct Alerts {
    latest: Mutex<VecDeque<Alert>>,
    to_disk: mpsc::Sender<Alert>,
    counts: Arc<Counts>,
}

impl Alerts {
    /// Goes on with the alerts that are on disk, newest first; new ones come out of the receiver.
    #[must_use]
    pub fn new(kept: Vec<Alert>, counts: Arc<Counts>) -> (Self, mpsc::Receiver<Alert>) {
        let (to_disk, waiting) = mpsc::channel(WAITING_MAX);
        (Self { latest: Mutex::new(kept.into()), to_disk, counts }, waiting)
    }

    /// Shows an alert from now on, and has it written; the oldest goes when there are too many. Never waits.
    ///
    /// When the disk has not kept up for as many alerts as it has room for, the alert is shown until the peer stops, and
    /// that it will not be on disk is counted.
    pub fn raise(&self, mut alert: Alert) {
        // What is shown now is what is read from disk later; a stranger's metric may be 64 KiB.
        cut(&mut alert.metric.name);
        cut(&mut alert.metric.value);
        let mut latest = self.lock();
        latest.push_front(alert.clone());
        latest.truncate(usize::try_from(ALERTS_MAX).unwrap_or(usize::MAX));
        drop(latest);
        if self.to_disk.try_send(alert).is_err() {
            self.counts.add("alerts_not_kept", 1);
        }
    }

    /// Returns them, newest first.
    #[must_use]
    pub fn all(&self) -> Vec<Alert> {
        self.lock().iter().cloned().collect()
    }

    /// Returns how many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    /// A list is whole whatever happened to who added to it.
    fn lock(&self) -> MutexGuard<'_, VecDeque<Alert>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cut(text: &mut String) {
    text.truncate(text.floor_char_boundary(TEXT_MAX));
}
