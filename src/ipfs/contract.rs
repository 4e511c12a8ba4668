//! What every connector does, whatever node is behind it.
use futures::{StreamExt, TryStreamExt};

use super::connector::{Connector, Held, IpfsError, PinRequest};
use super::fake::{Fake, Script};
use crate::model::{Cid, MaxDepth};

/// Content that the node has but does not pin, and content that nobody has.
pub struct Content {
    pub file: Cid,
    pub other: Cid,
    pub missing: Cid,
}

fn request(cid: Cid, max_depth: MaxDepth) -> PinRequest {
    PinRequest { cid, max_depth, name: "a name & more".into(), update_from: None, origins: Vec::new() }
}

async fn pin(node: &dyn Connector, request: PinRequest) -> Result<(), IpfsError> {
    node.pin(request).try_for_each(|_| async { Ok(()) }).await
}

async fn list(node: &dyn Connector, cid: Cid) -> Vec<Held> {
    node.list()
        .filter_map(|pin| async { pin.ok() })
        .filter(|(c, _)| std::future::ready(*c == cid))
        .map(|p| p.1)
        .collect()
        .await
}

/// Runs the suite.
pub async fn check(node: &dyn Connector, content: &Content) {
    pins_are_held_and_listed_until_they_are_unpinned(node, content).await;
    a_direct_pin_becomes_recursive(node, content).await;
    what_is_held_whole_is_enough_for_a_direct_pin(node, content).await;
    an_update_pins_the_new_and_keeps_the_old(node, content).await;
    what_nobody_has_stalls_and_is_not_held(node, content).await;
    a_node_says_who_it_is_and_what_fits(node, content).await;
}

async fn pins_are_held_and_listed_until_they_are_unpinned(node: &dyn Connector, content: &Content) {
    assert_eq!(node.held(content.file).await.unwrap(), None);
    let size = node.size(content.file).await.unwrap();
    assert!(size > Some(0));
    for _again in 0..2 {
        let progress: Vec<_> = node.pin(request(content.file, MaxDepth::Recursive)).try_collect().await.unwrap();
        assert_eq!(progress.last().map(|progress| progress.bytes), size);
        assert_eq!(node.held(content.file).await.unwrap(), Some(Held::Recursive));
        assert_eq!(list(node, content.file).await, [Held::Recursive]);
    }
    for _again in 0..2 {
        node.unpin(content.file).await.unwrap();
        assert_eq!(node.held(content.file).await.unwrap(), None);
        assert_eq!(list(node, content.file).await, []);
    }
}

async fn a_direct_pin_becomes_recursive(node: &dyn Connector, content: &Content) {
    pin(node, request(content.file, MaxDepth::Direct)).await.unwrap();
    assert_eq!(node.held(content.file).await.unwrap(), Some(Held::Direct));
    assert_eq!(list(node, content.file).await, [Held::Direct]);
    pin(node, request(content.file, MaxDepth::Recursive)).await.unwrap();
    assert_eq!(node.held(content.file).await.unwrap(), Some(Held::Recursive));
    node.unpin(content.file).await.unwrap();
}

/// Kubo refuses to pin a root of what it holds whole; a pinset may ask for that when an unpin and a new pin come together.
async fn what_is_held_whole_is_enough_for_a_direct_pin(node: &dyn Connector, content: &Content) {
    pin(node, request(content.file, MaxDepth::Recursive)).await.unwrap();
    pin(node, request(content.file, MaxDepth::Direct)).await.unwrap();
    assert_eq!(node.held(content.file).await.unwrap(), Some(Held::Recursive));
    node.unpin(content.file).await.unwrap();
}

async fn an_update_pins_the_new_and_keeps_the_old(node: &dyn Connector, content: &Content) {
    pin(node, request(content.file, MaxDepth::Recursive)).await.unwrap();
    let update = PinRequest { update_from: Some(content.file), ..request(content.other, MaxDepth::Recursive) };
    for _again in 0..2 {
        pin(node, update.clone()).await.unwrap();
    }
    for cid in [content.file, content.other] {
        assert_eq!(node.held(cid).await.unwrap(), Some(Held::Recursive));
        node.unpin(cid).await.unwrap();
    }
    let from_nothing = PinRequest { update_from: Some(content.missing), ..update };
    pin(node, from_nothing).await.unwrap();
    node.unpin(content.other).await.unwrap();
}

async fn what_nobody_has_stalls_and_is_not_held(node: &dyn Connector, content: &Content) {
    let error = pin(node, request(content.missing, MaxDepth::Recursive)).await.unwrap_err();
    assert!(matches!(error, IpfsError::Stalled { cid, .. } if cid == content.missing), "{error}");
    assert_eq!(node.held(content.missing).await.unwrap(), None);
    assert!(matches!(node.size(content.missing).await, Err(IpfsError::Stalled { .. })));
}

async fn a_node_says_who_it_is_and_what_fits(node: &dyn Connector, content: &Content) {
    assert!(node.id().await.unwrap().id.is_some());
    let space = node.repo_stat().await.unwrap();
    assert!(space.size < space.max);
    node.swarm_peers().await.unwrap();
    assert_eq!(node.resolve(content.file.to_string()).await.unwrap(), content.file);
    let nobody = "/ip4/127.0.0.1/tcp/9/p2p/12D3KooWEFRPzXkLZZkHGSzcNPdvX3gbeZPYKCnjBiB5pPmBRgH8".parse().unwrap();
    assert!(matches!(node.connect(nobody).await, Err(IpfsError::Refused(_))));
}

#[tokio::test(start_paused = true)]
async fn the_fake_keeps_the_contract() {
    let cid = |text: &str| text.parse().unwrap();
    let content = Content {
        file: cid("QmaKtvC1QxgReLFj8Rqnn1jrmX1VsYwUjh4eBxoCvgPjuP"),
        other: cid("QmfH8QzzBAbecgaeeM6n5ri5gdE4kFfogLabSBbyXqtaLq"),
        missing: cid("QmP63DkAFEnDYNjDYBpyNDfttu1fvUw99x1brscPzpqmm1"),
    };
    let fake = Fake::default();
    fake.script(content.missing, Script::Stall(std::time::Duration::from_secs(3)));
    check(&fake, &content).await;
}
