//! A daemon without room, and a queue that is bounded.
use super::*;
use crate::store::ledger::Batch;

const MINUTE: Duration = Duration::from_mins(1);

#[tokio::test(start_paused = true)]
async fn above_the_mark_pins_wait_and_say_why_and_unpins_do_not() {
    let peer = Peer::new();
    peer.wishes.put(&[pin(1)]);
    peer.until(1, Status::Pinned, SOON).await;
    peer.ipfs.set_repo(95, 100);
    tokio::time::sleep(MINUTE).await;
    peer.wishes.put(&[pin(2)]);
    peer.wishes.remove(&cid(1));
    peer.until(1, Status::Unpinned, SOON).await;
    tokio::time::sleep(MINUTE * 60).await;
    let short = peer.tracker.status(&cid(2)).unwrap().short;
    assert_eq!((short.status, short.attempt_count), (Status::PinQueued, 0));
    assert!(short.error.starts_with("deferred: the IPFS repository has 95 of 100 bytes"), "{}", short.error);
    assert!(!peer.ipfs.calls().contains(&format!("pin {}", cid(2))));
    peer.ipfs.set_repo(50, 100);
    peer.until(2, Status::Pinned, Duration::from_secs(20)).await;
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_is_tried_by_a_few_pins_until_there_is_room() {
    let peer = Peer::new();
    let pins: Vec<Pin> = (0..40).map(pin).collect();
    peer.ipfs.set_full(true);
    peer.wishes.put(&pins);
    tokio::time::sleep(SOON).await;
    let first = peer.ipfs.calls().len();
    assert!(first > 0, "somebody has to find out");
    for n in 0..40 {
        let short = peer.tracker.status(&cid(n)).unwrap().short;
        assert_eq!((short.status, short.attempt_count), (Status::PinQueued, 0), "{n}");
        assert!(short.error.starts_with("deferred: the disk of the IPFS daemon is full"), "{}", short.error);
        assert!(short.error.ends_with("no space left on device"), "{}", short.error);
    }
    for again in 1..4 {
        tokio::time::sleep(MINUTE * 2_u32.pow(again)).await;
    }
    let tries = peer.ipfs.calls().len() - first;
    assert!((1..=16).contains(&tries), "{tries} tries in a quarter of an hour");
    peer.ipfs.set_full(false);
    // The next look is minutes away, and somebody knows better.
    let _: Vec<_> = peer.tracker.recover_all().try_collect().await.unwrap();
    for n in 0..40 {
        peer.until(n, Status::Pinned, SOON).await;
    }
    assert_eq!(peer.tracker.held_up(), None);
}

/// A peer whose disk was full, with `others` pinned before, and whose few trials ask for content that nobody has.
async fn on_trial(others: &[Pin]) -> Peer {
    let peer = Peer::new();
    peer.wishes.put(others);
    tokio::time::sleep(SOON).await;
    (1..=4).for_each(|n| peer.ipfs.script(cid(n), Script::Hang));
    peer.ipfs.set_full(true);
    peer.wishes.put(&(1..=4).map(pin).collect::<Vec<_>>());
    tokio::time::sleep(SOON).await;
    peer.ipfs.set_full(false);
    for n in 1..=4 {
        peer.until(n, Status::Pinning, MINUTE).await;
    }
    peer
}

#[tokio::test(start_paused = true)]
async fn trials_of_content_that_nobody_has_do_not_keep_the_others_waiting() {
    let peer = on_trial(&[]).await;
    peer.wishes.put(&[pin(9)]);
    peer.until(9, Status::Pinned, MINUTE * 2).await;
    assert_eq!(peer.tracker.held_up(), None);
}

#[tokio::test(start_paused = true)]
async fn an_unpin_is_no_sign_of_room() {
    let peer = on_trial(&[pin(9)]).await;
    peer.wishes.remove(&cid(9));
    peer.until(9, Status::Unpinned, SOON).await;
    assert!(peer.tracker.held_up().is_some_and(|reason| reason.ends_with("no space left on device")));
}

#[tokio::test(start_paused = true)]
async fn what_the_last_process_left_counts_in_the_queue() {
    let peer = Peer::with(|args| {
        args.max_queue = NonZeroUsize::new(1);
        let row = Row::new(Status::Pinning, Due::Running, UnixMillis(1));
        let rows = [(cid(1), Some(row))].into();
        args.ledger.commit(&Batch { rows, ..Batch::default() }).unwrap();
    });
    peer.ipfs.set_away(true);
    peer.wishes.put(&[pin(1), pin(2)]);
    peer.until(2, Status::PinError, SOON).await;
    assert_eq!(peer.status(1), Status::PinQueued);
}

#[tokio::test(start_paused = true)]
async fn a_queue_of_three_takes_three_and_the_others_later() {
    let peer = Peer::with(|args| args.max_queue = NonZeroUsize::new(3));
    peer.ipfs.set_away(true);
    tokio::time::sleep(MINUTE).await;
    peer.wishes.put(&(0..10).map(pin).collect::<Vec<_>>());
    tokio::time::sleep(SOON).await;
    let counts = peer.tracker.counts().unwrap();
    assert_eq!((counts.of(Status::PinQueued), counts.of(Status::PinError)), (3, 7));
    let full: Vec<String> = (0..10)
        .map(|n| peer.tracker.status(&cid(n)).unwrap().short)
        .filter(|short| short.status == Status::PinError)
        .map(|short| short.error)
        .collect();
    assert!(full.iter().all(|error| error == "pin/unpin operation queue is full. Try increasing max_pin_queue_size"));
    peer.ipfs.set_away(false);
    for n in 0..10 {
        peer.until(n, Status::Pinned, MINUTE * 2).await;
    }
}
