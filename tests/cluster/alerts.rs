//! Who died while this peer was away is told of when it is back.
use std::time::Duration;

use crate::rig::{Home, Node, acquainted, shared, until};

/// Long enough for a peer that lives to be heard.
const GRACE: Duration = Duration::from_secs(5);

fn home() -> Home {
    let mut home = Home::new();
    home.config.cluster.repin_grace = GRACE;
    home.config.monitor.check_interval = Duration::from_millis(200);
    home
}

fn missed(node: &Node) -> Vec<String> {
    let alerts = node.cluster.alerts().into_iter().filter(|alert| alert.metric.name == "ping");
    alerts.map(|alert| alert.metric.peer.to_string()).collect()
}

#[tokio::test]
async fn a_peer_that_died_while_this_one_was_away_is_an_alert_after_the_grace() {
    let _turn = shared().await;
    let [home, dies, lives] = [(); 3].map(|()| home());
    let node = home.start(&[]).await;
    let address = node.address().await;
    let dying = dies.start(std::slice::from_ref(&address)).await;
    let other = lives.start(&[address]).await;
    acquainted(&[&node, &dying, &other]).await;
    node.stop().await;
    let dead = dying.cluster.own_id().to_string();
    drop(dying);
    let node = home.start(&[other.address().await]).await;
    until("the death is told of", || !missed(&node).is_empty()).await;
    assert_eq!(missed(&node), [dead]);
}
