//! Gossip topics: the epoch and the cluster's name are in them, so that clusters and epochs do not hear each other.

/// The topic of changes.
pub fn changes(epoch: u32, cluster_name: &str) -> String {
    format!("automerge/1/{epoch}/{cluster_name}")
}

/// The topic of heartbeats.
pub fn heartbeats(epoch: u32, cluster_name: &str) -> String {
    format!("automerge-heartbeat/1/{epoch}/{cluster_name}")
}

/// The epoch of a topic of heartbeats of this cluster; [`None`] for any other text.
pub fn epoch_of(topic: &str, cluster_name: &str) -> Option<u32> {
    let (epoch, _) = topic.strip_prefix("automerge-heartbeat/1/")?.split_once('/')?;
    epoch.parse().ok().filter(|epoch| topic == heartbeats(*epoch, cluster_name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_tells_its_epoch_to_its_own_cluster_alone() {
        for name in ["ipfs-cluster", "", "with/slashes/7/"] {
            for epoch in [0, 7, u32::MAX] {
                assert_eq!(epoch_of(&heartbeats(epoch, name), name), Some(epoch));
                assert_eq!(epoch_of(&heartbeats(epoch, name), "another"), None);
                assert_eq!(epoch_of(&changes(epoch, name), name), None);
            }
        }
        for text in ["", "automerge-heartbeat/1/", "automerge-heartbeat/1/07/x", "automerge-heartbeat/1/4294967296/x"] {
            assert_eq!(epoch_of(text, "x"), None, "{text}");
        }
        assert_eq!(epoch_of("automerge-heartbeat/1/+7/x", "x"), None);
    }
}
