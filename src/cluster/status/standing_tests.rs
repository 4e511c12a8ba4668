use futures::TryStreamExt;

use super::*;
use crate::cluster::testing::{Lone, between, cid};
use crate::model::PinOptions;

fn statuses(row: &GlobalPinInfo) -> Vec<(PeerId, TrackerStatus)> {
    row.peer_map.iter().map(|(peer, short)| (*peer, short.status)).collect()
}

#[tokio::test]
async fn what_is_not_pinned_is_unpinned_everywhere_and_has_no_moment_here() {
    let lone = Lone::start(|_| ()).await;
    let far = lone.hear_of(&[("ping", 0)]);
    let row = lone.cluster.status(cid(1), false).await.unwrap();
    assert!(row.peer_map.len() == 2 && row.peer_map.values().all(|row| row.status == TrackerStatus::Unpinned));
    assert!(row.created.is_some() && row.peer_map[&far].peername == "far");
    let local = lone.cluster.status(cid(1), true).await.unwrap();
    assert_eq!(statuses(&local), [(lone.cluster.own_id(), TrackerStatus::Unpinned)]);
    assert_eq!(local.created, None);
    let again = lone.cluster.recover(cid(1), false).await.unwrap();
    assert!(again.peer_map.values().all(|row| row.status == TrackerStatus::Unpinned));
    assert!(matches!(lone.cluster.recover(cid(1), true).await, Err(Error::NotFound)));
    lone.stop().await;
}

#[tokio::test]
async fn a_pin_of_others_is_remote_here_and_an_error_where_nobody_answers() {
    let lone = Lone::start(|_| ()).await;
    let holder = lone.hear_of(&[("ping", 0), ("freespace", 100)]);
    let other = lone.hear_of(&[("ping", 0)]);
    lone.cluster.pin(cid(1), between(1, 1)).await.unwrap();
    let row = lone.cluster.status(cid(1), false).await.unwrap();
    assert_eq!(row.allocations, [holder]);
    assert_eq!(row.peer_map[&lone.cluster.own_id()].status, TrackerStatus::Remote);
    assert_eq!(row.peer_map[&other].status, TrackerStatus::Remote);
    let silent = &row.peer_map[&holder];
    assert_eq!((silent.status, silent.peername.as_str()), (TrackerStatus::ClusterError, "far"));
    assert_eq!(silent.error, "routing: not found");
    lone.stop().await;
}

#[tokio::test]
async fn a_list_has_every_pin_and_says_who_did_not_answer() {
    let lone = Lone::start(|_| ()).await;
    for n in 0..3 {
        lone.cluster.pin(cid(n), PinOptions::default()).await.unwrap();
    }
    let far = lone.hear_of(&[("ping", 0)]);
    let rows: Vec<_> = lone.cluster.status_all(StatusFilter::ALL, false).try_collect().await.unwrap();
    assert_eq!(rows.len(), 3);
    for row in &rows {
        assert_eq!(row.peer_map[&far].status, TrackerStatus::ClusterError);
        assert!(row.peer_map.contains_key(&lone.cluster.own_id()));
    }
    let local: Vec<_> = lone.cluster.status_all(StatusFilter::ALL, true).try_collect().await.unwrap();
    assert!(local.len() == 3 && local.iter().all(|row| row.peer_map.len() == 1));
    lone.stop().await;
}

#[tokio::test]
async fn a_peer_that_answers_in_its_own_order_is_sorted_first() {
    let lone = Lone::start(|_| ()).await;
    for n in 0..3 {
        lone.cluster.pin(cid(n), PinOptions::default()).await.unwrap();
    }
    let all: Vec<PinInfo> = lone.cluster.inner.local.statuses(StatusFilter::ALL).try_collect().await.unwrap();
    let ask = |keys: fn() -> CallError, rows: Vec<PinInfo>| {
        let answer = move |_: &Calls, order| match order {
            Order::Keys => stream::iter([Err(keys())]).boxed(),
            Order::Any => stream::iter(rows.clone().into_iter().rev().map(Ok)).boxed(),
        };
        lone.cluster.in_order(answer, Busy::default())
    };
    let unknown = || CallError::Unknown("rpc: can't find service Ordered".into());
    let rows: Vec<_> = ask(unknown, all.clone()).try_collect().await.unwrap();
    assert_eq!(rows, all);
    let closed: Vec<_> = ask(|| CallError::Closed, all).collect().await;
    assert_eq!(closed, [Err(Missing::Failed("EOF".into()))]);
    lone.stop().await;
}

#[tokio::test]
async fn a_follower_shows_itself_alone() {
    let lone = Lone::start(|config| config.cluster.follower_mode = true).await;
    let own = lone.cluster.own_id();
    lone.hear_of(&[("ping", 0)]);
    let row = lone.cluster.status(cid(1), false).await.unwrap();
    assert_eq!(statuses(&row), [(own, TrackerStatus::Unpinned)]);
    assert!(row.created.is_some());
    let row = lone.cluster.recover(cid(1), false).await.unwrap();
    assert_eq!(statuses(&row), [(own, TrackerStatus::Unpinned)]);
    assert!(lone.cluster.status_all(StatusFilter::ALL, false).next().await.is_none());
    assert!(lone.cluster.recover_all(false).next().await.is_none());
    lone.stop().await;
}

#[test]
fn a_peer_that_does_not_let_us_ask_is_left_out() {
    assert_eq!(missing(&CallError::Refused("no".into())), Missing::NotAllowed);
    assert_eq!(missing(&CallError::Closed), Missing::Failed("EOF".into()));
    assert_eq!(unless_refused(Err(CallError::Refused("no".into()))), Ok(None));
    assert_eq!(unless_refused(Err(CallError::Closed)), Err("EOF".into()));
}
