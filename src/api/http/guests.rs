//! Who is connected: bounded, and whoever is idle longest makes room.
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use nix::sys::resource::{Resource, getrlimit};
use tokio::task::{AbortHandle, JoinSet};

use super::connection::{Phase, Shared};

/// Most connections at a time; each takes some KiB and a file descriptor.
const GUESTS_MAX: usize = 10_000;

/// The connections of a server.
pub(super) struct Guests {
    tasks: JoinSet<u64>,
    open: BTreeMap<u64, (Arc<Shared>, AbortHandle)>,
    next: u64,
    max: usize,
}

impl Guests {
    /// As many as are reasonable, and no more than half of the files that this process may open: the peer needs the others.
    pub(super) fn new() -> Self {
        let files = getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft);
        Self::at_most(usize::try_from(files / 2).unwrap_or(usize::MAX).clamp(1, GUESTS_MAX))
    }

    fn at_most(max: usize) -> Self {
        Self { tasks: JoinSet::new(), open: BTreeMap::new(), next: 0, max }
    }

    /// Whether one more can come, if need be in place of one that is idle.
    pub(super) fn has_room(&self) -> bool {
        self.open.len() < self.max || self.idlest().is_some()
    }

    /// Takes a connection in; when there are too many, the one that is idle longest goes.
    pub(super) fn welcome(&mut self, shared: Arc<Shared>, talk: impl Future<Output = ()> + Send + 'static) {
        if self.open.len() >= self.max
            && let Some(number) = self.idlest()
            && let Some((_, handle)) = self.open.remove(&number)
        {
            handle.abort();
        }
        let number = self.next;
        self.next += 1;
        let handle = self.tasks.spawn(async move {
            talk.await;
            number
        });
        self.open.insert(number, (shared, handle));
    }

    /// The connection that waits longest for its client.
    fn idlest(&self) -> Option<u64> {
        let waiting = self.open.iter().map(|(number, (shared, _))| (shared.phase(), *number));
        let waiting = waiting.filter(|((phase, _), _)| *phase != Phase::Answer);
        waiting.min_by_key(|((_, since), _)| *since).map(|(_, number)| number)
    }

    /// Waits until one has gone; `None` when there is nobody.
    pub(super) async fn gone(&mut self) -> Option<()> {
        match self.tasks.join_next().await? {
            Ok(number) => drop(self.open.remove(&number)),
            // One that made room has no number any more; of one that failed it is not known.
            Err(_) => self.open.retain(|_, (_, handle)| !handle.is_finished()),
        }
        Some(())
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// Sends everybody away.
    pub(super) async fn shutdown(&mut self) {
        self.tasks.shutdown().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_is_idle_longest_makes_room_and_who_is_answered_stays() {
        let mut guests = Guests::at_most(2);
        let (busy, idle) = (Shared::new(), Shared::new());
        busy.begin(false);
        guests.welcome(busy, std::future::pending());
        guests.welcome(idle, std::future::pending());
        assert!(guests.has_room());
        let late = Shared::new();
        late.begin(false);
        guests.welcome(late, std::future::pending());
        assert_eq!(guests.open.keys().copied().collect::<Vec<_>>(), [0, 2]);
        assert!(!guests.has_room());
        assert_eq!(guests.gone().await, Some(()));
        assert_eq!(guests.len(), 2);
        guests.shutdown().await;
    }

    #[tokio::test]
    async fn who_leaves_or_fails_makes_room_too() {
        let mut guests = Guests::at_most(2);
        guests.welcome(Shared::new(), async {});
        guests.welcome(Shared::new(), async { panic!("a connection fails") });
        guests.gone().await;
        guests.gone().await;
        assert_eq!((guests.len(), guests.gone().await), (0, None));
    }
}
