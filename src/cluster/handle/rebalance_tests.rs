use std::collections::BTreeMap;

use super::*;
use crate::cluster::testing::{Lone, between, cid, metric_of};
use crate::model::{Cid, PinOptions};

const DRY: Rebalance = Rebalance { dry_run: true, max_bytes: None };
const WET: Rebalance = Rebalance { dry_run: false, max_bytes: None };

/// A peer that balances by the number of pins.
async fn lone() -> Lone {
    Lone::start(|config| config.allocator.allocate_by = vec!["numpin".into()]).await
}

/// Makes two others known that are not there: one holds ten pins, the other none.
async fn pair(lone: &Lone) -> [PeerId; 2] {
    let full = lone.hear_of(&[("ping", 0), ("numpin", -10)]);
    for n in 0..10 {
        assert_eq!(lone.cluster.pin(cid(n), between(1, 1)).await.unwrap().allocations, [full]);
    }
    lone.cluster.pin(cid(10), PinOptions::default()).await.unwrap();
    let new = lone.hear_of(&[("ping", 0), ("numpin", 0)]);
    [full, new]
}

async fn run(lone: &Lone, wish: Rebalance) -> (Vec<Shift>, Balance) {
    let mut lines: Vec<Rebalanced> = lone.cluster.rebalance(wish).map(Result::unwrap).collect::<Vec<_>>().await;
    let Some(Rebalanced::Ended(balance)) = lines.pop() else { panic!("the last line says what came of it") };
    let shift = |line| match line {
        Rebalanced::Moved(shift) => shift,
        Rebalanced::Ended(_) => panic!("it ends once"),
    };
    (lines.into_iter().map(shift).collect(), balance)
}

async fn fails(lone: &Lone, wish: Rebalance) -> String {
    let lines: Vec<Result<Rebalanced, Error>> = lone.cluster.rebalance(wish).collect().await;
    let [Err(error)] = &lines[..] else { panic!("{lines:?}") };
    error.to_string()
}

/// How many of the ten pins each peer is to hold.
fn held(lone: &Lone) -> BTreeMap<PeerId, usize> {
    let mut held = BTreeMap::new();
    for n in 0..10 {
        for peer in lone.cluster.allocation(cid(n)).unwrap().allocations {
            *held.entry(peer).or_default() += 1;
        }
    }
    held
}

#[tokio::test]
async fn copies_move_as_was_said_and_no_more_of_them_after_that() {
    let lone = lone().await;
    let [full, new] = pair(&lone).await;
    let (planned, balance) = run(&lone, DRY).await;
    assert!(planned.len() == 5 && planned.iter().all(|shift| (shift.from, shift.to) == (full, new)), "{planned:?}");
    assert_eq!((balance.dry_run, balance.pins, balance.moved, balance.unknown), (true, 11, 5, 5));
    let shares: BTreeMap<_, _> = balance.shares.iter().map(|share| (share.peer, (share.before, share.after))).collect();
    assert_eq!(shares, [(full, (-10, -5)), (new, (0, -5))].into());
    assert_eq!(balance.shares[0].peername, "far");
    assert_eq!(held(&lone), [(full, 10)].into(), "nothing was written");

    let before = lone.cluster.allocation(planned[0].cid).unwrap();
    let (moved, balance) = run(&lone, WET).await;
    assert_eq!((&moved, balance.moved, balance.skipped, balance.stopped), (&planned, 5, 0, false));
    assert_eq!(held(&lone), [(full, 5), (new, 5)].into());
    assert_eq!(lone.cluster.allocation(moved[0].cid).unwrap(), Pin { allocations: vec![new], ..before });

    // Both say what they said before: nothing has arrived yet.
    let (moved, balance) = run(&lone, WET).await;
    assert_eq!((moved.len(), balance.shares.iter().all(|share| share.before == -5)), (0, true));
    lone.stop().await;
}

#[tokio::test]
async fn no_more_bytes_move_than_may() {
    let lone = lone().await;
    let [full, new] = pair(&lone).await;
    let (moved, balance) = run(&lone, Rebalance { max_bytes: Some(3 * UNKNOWN_BYTES + 1), ..WET }).await;
    assert_eq!((moved.len(), balance.bytes, balance.stopped), (3, 3 * UNKNOWN_BYTES, true));
    assert_eq!(held(&lone), [(full, 7), (new, 3)].into());
    lone.stop().await;
}

#[tokio::test]
async fn one_run_goes_on_at_a_time_and_who_stops_reading_ends_it() {
    let lone = lone().await;
    let [full, new] = pair(&lone).await;
    let mut first = lone.cluster.rebalance(WET);
    assert!(matches!(first.next().await, Some(Ok(Rebalanced::Moved(_)))));
    assert!(fails(&lone, DRY).await.contains("rebalancing already"));
    drop(first);
    assert_eq!(held(&lone), [(full, 9), (new, 1)].into());
    assert_eq!(run(&lone, WET).await.1.moved, 4, "the next one goes on");
    lone.stop().await;
}

#[tokio::test]
async fn what_changes_before_its_turn_is_not_written_over() {
    let lone = lone().await;
    let [full, new] = pair(&lone).await;
    let mut lines = lone.cluster.rebalance(WET);
    let Some(Ok(Rebalanced::Moved(first))) = lines.next().await else { panic!("a copy moves") };
    let others: Vec<Cid> = (0..10).map(cid).filter(|cid| *cid != first.cid).collect();
    let stale: Vec<Pin> = others.iter().map(|cid| lone.cluster.allocation(*cid).unwrap()).collect();
    for cid in &others {
        lone.cluster.pin(*cid, PinOptions { name: "new".into(), ..between(1, 1) }).await.unwrap();
    }
    // Some of them were read before that, some are read after it.
    let lines: Vec<Rebalanced> = lines.map(Result::unwrap).collect().await;
    assert!(matches!(lines.last(), Some(Rebalanced::Ended(balance)) if balance.moved == lines.len() as u64));
    assert!(others.iter().all(|cid| lone.cluster.allocation(*cid).unwrap().name == "new"));
    for pin in &stale {
        let moved = Pin { allocations: vec![new], ..pin.clone() };
        assert!(!lone.cluster.shift(pin, moved).await.unwrap());
    }
    assert!(lone.cluster.allocation(first.cid).unwrap().allocations == [new] && held(&lone)[&full] >= 5);
    lone.stop().await;
}

#[tokio::test]
async fn a_peer_that_leaves_gives_and_takes_nothing_here() {
    let lone = lone().await;
    let [full, new] = pair(&lone).await;
    assert!(lone.cluster.can_take(&new) && !lone.cluster.can_take(&lone.cluster.own_id()), "it counts no pins");
    let leaving = metric_of(crate::monitor::LEAVING, new, 0);
    assert!(lone.cluster.inner.members.receive(leaving, task::wall()));
    assert!(!lone.cluster.can_take(&new) && lone.cluster.can_take(&full));
    let (moved, balance) = run(&lone, DRY).await;
    assert_eq!((moved, balance.shares.len()), (vec![], 1));
    lone.stop().await;
}

#[tokio::test]
async fn what_cannot_be_balanced_says_why() {
    let lone = Lone::start(|config| config.allocator.allocate_by = vec!["tag:region".into()]).await;
    assert!(fails(&lone, DRY).await.contains("freespace or reposize has to be in it"));
    lone.stop().await;

    let lone = Lone::start(|_| ()).await;
    for free in [0, 1 << 40] {
        lone.hear_of(&[("ping", 0), ("freespace", free)]);
    }
    assert!(fails(&lone, WET).await.contains("ask a peer that holds some"));
    lone.stop().await;
}

#[tokio::test]
async fn a_follower_looks_and_moves_nothing() {
    let lone = Lone::start(|config| {
        config.cluster.follower_mode = true;
        config.allocator.allocate_by = vec!["numpin".into()];
    })
    .await;
    assert!(fails(&lone, WET).await.contains("follower mode"));
    assert_eq!(run(&lone, DRY).await.1.moved, 0);
    lone.stop().await;
}
