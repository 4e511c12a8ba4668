//! SIGHUP: whom the peer trusts is read anew, while it runs, and the file of the log is opened anew; everything else is read at the next start.
use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::BoxFuture;
use ipfs_cluster::cluster::Cluster;
use ipfs_cluster::model::{PeerId, Trust};
use ipfs_cluster::task::{Fatal, Task};
use tokio::sync::Notify;

use super::super::logging::Log;

/// Reads the trust list where the program read it at its start.
pub type ReadTrust = Box<dyn Fn() -> BoxFuture<'static, Result<Trust, Fatal>> + Send + Sync>;

/// When the trust list is read anew, and how.
pub struct Reload {
    /// Rung by SIGHUP; rings while a list is being read are one.
    pub hangup: Arc<Notify>,
    /// How.
    pub read: ReadTrust,
    /// The log whose file somebody may have moved away.
    pub log: Log,
}

/// Renews the trust list of `cluster` at each SIGHUP.
pub fn spawn(cluster: Cluster, reload: Reload) -> Task {
    Task::spawn(move |stop| async move {
        let renew = async {
            loop {
                reload.hangup.notified().await;
                if let Err(error) = reload.log.reopen() {
                    tracing::error!("SIGHUP: the log goes on in the old file: {error}");
                }
                renew(&cluster, &reload.read).await;
            }
        };
        tokio::select! { biased;
            () = stop.cancelled() => Ok(()),
            never = renew => never,
        }
    })
}

async fn renew(cluster: &Cluster, read: &ReadTrust) {
    let renewed = async {
        let (old, new) = (cluster.trust(), read().await?);
        if old != new {
            cluster.set_trust(new.clone()).await?;
        }
        Ok::<_, Fatal>(difference(&old, &new))
    };
    match renewed.await {
        Ok(difference) => tracing::info!("SIGHUP: trusted peers were read anew: {difference}"),
        Err(error) => tracing::error!("SIGHUP: the trusted peers stay as they were: {error}"),
    }
}

/// Says what is another in the new list.
fn difference(old: &Trust, new: &Trust) -> String {
    match (old, new) {
        (Trust::Only(old), Trust::Only(new)) if old != new => {
            format!("added: {}; removed: {}", list(&(new - old)), list(&(old - new)))
        }
        (Trust::Everyone, Trust::Only(new)) => format!("everybody was trusted, and now only: {}", list(new)),
        (Trust::Only(old), Trust::Everyone) => format!("everybody is trusted now; before: {}", list(old)),
        (Trust::Everyone, Trust::Everyone) | (Trust::Only(_), Trust::Only(_)) => "nothing changed".into(),
    }
}

fn list(peers: &BTreeSet<PeerId>) -> String {
    let ids: Vec<String> = peers.iter().map(PeerId::to_string).collect();
    if ids.is_empty() { "nobody".into() } else { ids.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_list_is_told_by_what_is_another() {
        let mut peers = [PeerId::random(), PeerId::random(), PeerId::random()];
        peers.sort();
        let [a, b, c] = peers;
        let only = |peers: &[PeerId]| Trust::Only(peers.iter().copied().collect());
        assert_eq!(difference(&only(&[a]), &only(&[b, c])), format!("added: {b}, {c}; removed: {a}"));
        assert_eq!(difference(&only(&[a]), &only(&[a, b])), format!("added: {b}; removed: nobody"));
        assert_eq!(difference(&only(&[a]), &only(&[a])), "nothing changed");
        assert_eq!(difference(&Trust::Everyone, &Trust::Everyone), "nothing changed");
        assert!(difference(&Trust::Everyone, &only(&[a])).ends_with(&format!("now only: {a}")));
        assert!(difference(&only(&[a]), &Trust::Everyone).ends_with(&format!("before: {a}")));
    }
}
