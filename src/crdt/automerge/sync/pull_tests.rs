use super::*;
use crate::crdt::automerge::formats::heartbeat::Heartbeat;
use crate::crdt::automerge::sync::check::{CHANGES_TOPIC, HEARTBEATS_TOPIC};
use crate::crdt::automerge::tests::fixtures::{next, put};
use crate::crdt::automerge::tests::sites::{Site, all, gossip, hello_to, sync};
use crate::crdt::automerge::tests::testing::{CLUSTER, EPOCH, keypair, peer};
use crate::crdt::{Input, Notice, Refused, Table, Turn};
use crate::model::UnixMillis;

#[test]
fn heartbeats_come_every_ten_seconds_and_a_second_after_a_change() {
    let mut site = Site::new(1, Trust::Everyone);
    let mut beats = Vec::new();
    for _ in 0..2_000 {
        site.mono += 100;
        if !gossip(&site.turn(vec![Input::Tick]), HEARTBEATS_TOPIC).is_empty() {
            beats.push(site.mono);
        }
    }
    let gaps: Vec<u64> = beats.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.iter().all(|gap| (9_000..=11_100).contains(gap)), "{gaps:?}");
    assert!(gaps.iter().any(|gap| *gap != gaps[0]), "with jitter");
    assert!(gossip(&site.pin(1), HEARTBEATS_TOPIC).is_empty());
    site.mono += 999;
    assert!(gossip(&site.turn(vec![Input::Tick]), HEARTBEATS_TOPIC).is_empty());
    site.mono += 1;
    assert_eq!(gossip(&site.turn(vec![Input::Tick]), HEARTBEATS_TOPIC).len(), 1);
}

#[test]
fn a_turn_says_when_it_wants_the_next() {
    let mut site = Site::new(1, Trust::Everyone);
    let due = site.pin(1).tick_at.unwrap();
    assert_eq!(due, UnixMillis(1_000));
    let turn = site.turn(vec![Input::PeerSeen(peer(2))]);
    assert_eq!(gossip(&turn, HEARTBEATS_TOPIC).len(), 1, "whoever is new hears it at once");
}

#[test]
fn a_heartbeat_of_another_clock_starts_one_pull_and_an_equal_one_none() {
    let (mut a, mut b) = (Site::new(1, Trust::Everyone), Site::new(2, Trust::Everyone));
    let empty = b.heartbeat();
    a.turn(vec![Input::PeerSeen(peer(2))]);
    assert_eq!(hello_to(&a.hear(HEARTBEATS_TOPIC, &empty), 2), None);
    b.pin(1);
    let news = b.heartbeat();
    let hello = hello_to(&a.hear(HEARTBEATS_TOPIC, &news), 2).unwrap();
    let again = b.heartbeat();
    assert_eq!(hello_to(&a.hear(HEARTBEATS_TOPIC, &again), 2), None, "one sync a peer");
    assert_eq!(sync(&mut a, (2, &b), &hello), 1);
    assert_eq!(a.engine.summary().clock_hash, b.engine.summary().clock_hash);
    assert!(hello_to(&b.hear(HEARTBEATS_TOPIC, &a.heartbeat()), 1).is_none());
}

#[test]
fn a_peer_that_is_only_behind_is_not_asked() {
    let (mut a, mut b) = (Site::new(1, Trust::Everyone), Site::new(2, Trust::Everyone));
    a.turn(vec![Input::PeerSeen(peer(2))]);
    a.hear(CHANGES_TOPIC, &gossip(&b.pin(1), CHANGES_TOPIC)[0]);
    a.pin(2);
    assert_eq!(hello_to(&a.hear(HEARTBEATS_TOPIC, &b.heartbeat()), 2), None);
    assert!(!a.engine.summary().in_sync);
}

#[test]
fn a_trusted_peer_with_our_clock_and_another_digest_twice_is_told_of_when_our_rows_are_counted() {
    let (mut a, mut b) = (Site::new(1, Trust::Everyone), Site::new(2, Trust::Everyone));
    a.hear(CHANGES_TOPIC, &gossip(&b.pin(1), CHANGES_TOPIC)[0]);
    assert_eq!(a.hear(HEARTBEATS_TOPIC, &b.heartbeat()).notices, []);
    let mut wrong = Heartbeat::decode(&b.heartbeat()).unwrap();
    let mut bad = |a: &mut Site, count| {
        (wrong.count, wrong.digest_hash) = (count, [9; 32]);
        wrong.sign(&keypair(2), CLUSTER);
        a.hear(HEARTBEATS_TOPIC, &wrong.encode().into())
    };
    assert!(bad(&mut a, 100).survey.is_none(), "once is what two that change at one time see");
    let survey = bad(&mut a, 101).survey.expect("our own rows are counted");
    assert_eq!(a.found(survey), [Notice::Divergence { peer: peer(2) }]);
    assert!(bad(&mut a, 102).survey.is_none(), "once an hour");
    // It went before it lent its state; ours is known to be sound.
    a.turn(vec![Input::PeerGone(peer(2))]);
    a.mono += 120_000;
    let sends = [103, 104].map(|count| bad(&mut a, count).sends).concat();
    let is_open = |sending: &Sending| matches!(sending, Sending::Open { talk: Talk::Snapshot, .. });
    assert!(sends.iter().any(is_open), "and what differs is healed within that hour");
}

#[test]
fn an_old_heartbeat_says_nothing() {
    let (mut a, mut b) = (Site::new(1, Trust::Everyone), Site::new(2, Trust::Everyone));
    b.pin(1);
    let (old, new) = (b.heartbeat(), b.heartbeat());
    a.hear(HEARTBEATS_TOPIC, &new);
    a.turn(vec![Input::PeerGone(peer(2))]);
    let turn = a.turn(vec![Input::PeerSeen(peer(2))]);
    assert!(hello_to(&turn, 2).is_some(), "what was said before the connection counts");
    a.turn(vec![Input::Ended { peer: peer(2), talk: Talk::Sync, complete: false }]);
    assert_eq!(hello_to(&a.hear(HEARTBEATS_TOPIC, &old), 2), None);
    assert!(hello_to(&a.hear(HEARTBEATS_TOPIC, &b.heartbeat()), 2).is_some());
}

#[test]
fn four_syncs_run_at_once_and_a_silent_one_makes_room_after_a_minute() {
    let mut a = Site::new(1, Trust::Everyone);
    let mut open = 0;
    for n in 2..8 {
        let mut site = Site::new(n, Trust::Everyone);
        site.pin(n.into());
        a.turn(vec![Input::PeerSeen(peer(n))]);
        open += usize::from(hello_to(&a.hear(HEARTBEATS_TOPIC, &site.heartbeat()), n).is_some());
    }
    assert_eq!(open, 4);
    a.mono += 60_000;
    let sends = a.turn(vec![Input::Tick]).sends;
    let closed = sends.iter().filter(|sending| matches!(sending, Sending::Close { .. })).count();
    let opened = sends.iter().filter(|sending| matches!(sending, Sending::Open { .. })).count();
    assert_eq!((closed, opened), (4, 2));
}

#[test]
fn a_peer_that_had_nothing_for_us_is_not_asked_again_until_something_changes() {
    let (mut a, mut b) = (Site::new(1, Trust::Only([peer(3)].into())), Site::new(2, Trust::Everyone));
    b.pin(1);
    a.turn(vec![Input::PeerSeen(peer(2))]);
    let hello = hello_to(&a.hear(HEARTBEATS_TOPIC, &b.heartbeat()), 2).unwrap();
    assert_eq!(sync(&mut a, (2, &b), &hello), 0, "nobody that the asker trusts wrote it");
    assert_eq!(hello_to(&a.hear(HEARTBEATS_TOPIC, &b.heartbeat()), 2), None);
    a.pin(2);
    a.mono += 5_000;
    assert!(hello_to(&a.hear(HEARTBEATS_TOPIC, &b.heartbeat()), 2).is_some());
}

#[test]
fn a_stranger_is_asked_once_in_five_seconds_whatever_it_says() {
    let (mut a, mut b) = (Site::new(1, Trust::Only([peer(3)].into())), Site::new(2, Trust::Everyone));
    b.pin(1);
    a.turn(vec![Input::PeerSeen(peer(2))]);
    let hello = hello_to(&a.hear(HEARTBEATS_TOPIC, &b.heartbeat()), 2).unwrap();
    sync(&mut a, (2, &b), &hello);
    b.pin(2);
    let turn = a.hear(HEARTBEATS_TOPIC, &b.heartbeat());
    assert_eq!((hello_to(&turn, 2), turn.tick_at), (None, Some(UnixMillis(5_000))));
    a.mono += 5_000;
    assert!(hello_to(&a.turn(vec![Input::Tick]), 2).is_some());
}

/// A site that has just opened a sync with peer 2.
fn asking() -> Site {
    let (mut a, mut b) = (Site::new(1, Trust::Everyone), Site::new(2, Trust::Everyone));
    b.pin(1);
    a.turn(vec![Input::PeerSeen(peer(2))]);
    assert!(hello_to(&a.hear(HEARTBEATS_TOPIC, &b.heartbeat()), 2).is_some());
    a
}

fn is_closed(turn: &Turn) -> bool {
    turn.sends.iter().any(|sending| matches!(sending, Sending::Close { .. }))
}

#[test]
fn a_sync_that_never_ends_makes_room_after_ten_minutes() {
    let mut a = asking();
    let nothing = Frame::Changes(Vec::new()).encode().into();
    let closed = (0..20).map(|_| {
        a.mono += 30_000;
        is_closed(&a.frame(2, &nothing))
    });
    assert_eq!(closed.collect::<Vec<_>>(), [vec![false; 19], vec![true]].concat());
}

#[test]
fn a_server_gets_our_rows_once() {
    let mut a = asking();
    let rows = Frame::Rows { groups: Vec::new(), more: false }.encode().into();
    assert!(!is_closed(&a.frame(2, &rows)));
    assert!(is_closed(&a.frame(2, &rows)));
}

#[test]
fn a_peer_that_starts_again_with_its_wall_clock_set_back_is_heard() {
    let (mut a, mut b) = (Site::new(1, Trust::Everyone), Site::new(2, Trust::Everyone));
    a.turn(vec![Input::PeerSeen(peer(2))]);
    (0..3).for_each(|_| drop(a.hear(HEARTBEATS_TOPIC, &b.heartbeat())));
    let mut b = Site::on(2, Trust::Everyone, b.rows);
    b.pin(1);
    assert!(
        hello_to(&a.hear(HEARTBEATS_TOPIC, &b.heartbeat()), 2).is_some(),
        "or it is not heard for three heartbeats"
    );
}

#[test]
fn an_old_heartbeat_vouches_for_nothing() {
    let mut a = Site::new(1, Trust::Only([peer(3)].into()));
    let (mut b, mut c) = (Site::new(2, Trust::Everyone), Site::new(3, Trust::Everyone));
    let change = gossip(&b.pin(1), CHANGES_TOPIC).remove(0);
    a.hear(HEARTBEATS_TOPIC, &c.heartbeat());
    c.hear(CHANGES_TOPIC, &change);
    let mut old = Heartbeat::decode(&c.heartbeat()).unwrap();
    old.count = 1;
    old.sign(&keypair(3), CLUSTER);
    a.hear(HEARTBEATS_TOPIC, &old.encode().into());
    a.hear(CHANGES_TOPIC, &change);
    assert_eq!((a.engine.summary().entries, a.engine.summary().staged), (0, 1));
}

#[test]
fn an_untrusted_server_passes_on_what_a_trusted_author_stands_on() {
    let mut untrusted = Site::new(2, Trust::Everyone);
    let mut trusted = Site::new(3, Trust::Everyone);
    untrusted.pin(1);
    let first = gossip(&untrusted.pin(2), CHANGES_TOPIC);
    untrusted.mono = 0;
    let mut hello = None;
    trusted.turn(vec![Input::PeerSeen(peer(2))]);
    hello = hello_to(&trusted.hear(HEARTBEATS_TOPIC, &untrusted.heartbeat()), 2).or(hello);
    assert_eq!(sync(&mut trusted, (2, &untrusted), &hello.unwrap()), 2);
    let above = gossip(&trusted.pin(3), CHANGES_TOPIC);
    untrusted.hear(CHANGES_TOPIC, &above[0]);
    untrusted.pin(4);
    let mut asker = Site::new(1, Trust::Only([peer(3)].into()));
    asker.turn(vec![Input::PeerSeen(peer(2))]);
    let hello = hello_to(&asker.hear(HEARTBEATS_TOPIC, &untrusted.heartbeat()), 2).unwrap();
    assert_eq!(sync(&mut asker, (2, &untrusted), &hello), 3, "not what was written after it");
    assert_eq!((asker.engine.summary().entries, asker.engine.summary().staged, first.len()), (3, 0, 1));
}

#[test]
fn what_a_trusted_peer_sends_counts_though_its_heartbeat_has_no_room_to_name_it() {
    let mut asker = Site::new(1, Trust::Only([peer(2)].into()));
    let mut server = Site::new(2, Trust::Everyone);
    for n in 10..30 {
        server.hear(CHANGES_TOPIC, &next(n, None, &[], vec![put(n.into(), &[])]).bytes);
    }
    assert!(Heartbeat::decode(&server.heartbeat()).unwrap().heads.len() < 20);
    assert_eq!(ask(&mut asker, &mut server), 20);
    assert_eq!((asker.engine.summary().entries, asker.engine.summary().staged), (20, 0));
}

#[test]
fn a_server_in_the_middle_of_a_join_serves_nothing() {
    let (mut asker, mut server) = (Site::new(1, Trust::Everyone), Site::new(2, Trust::Everyone));
    server.pin(1);
    server.rows.put(Table::Meta, b"join", &[]).unwrap();
    assert_eq!(ask(&mut asker, &mut server), 0, "its clock is ahead of its keys");
    server.rows.remove(Table::Meta, b"join").unwrap();
    let ended = Input::Ended { peer: peer(2), talk: Talk::Sync, complete: false };
    let hello = hello_to(&asker.turn(vec![ended, Input::PeerSeen(peer(2))]), 2).unwrap();
    assert_eq!(sync(&mut asker, (2, &server), &hello), 1);
}

#[test]
fn a_stranger_who_breaks_the_order_of_frames_is_cut_off() {
    let mut b = Site::new(2, Trust::Everyone);
    b.pin(1);
    let answer = b.engine.answer();
    let done = Frame::Done { clock_hash: [0; 32] }.encode();
    assert!(answer.session(peer(1), Talk::Sync).receive(&done).is_err());
    assert!(answer.session(peer(1), Talk::Sync).receive(b"").is_err());
    let hello = |epoch| {
        let (clock_hash, digest_hash, trust) = ([0; 32], [0; 32], Trust::Everyone);
        Frame::Hello(Hello { epoch, clock_hash, digest_hash, trust, groups: Vec::new() }).encode()
    };
    assert!(answer.session(peer(1), Talk::Sync).receive(&hello(EPOCH + 1)).is_err());
    let mut session = answer.session(peer(1), Talk::Sync);
    session.receive(&hello(EPOCH)).unwrap();
    assert!(session.receive(&hello(EPOCH)).is_err());
    assert!(session.done() && all(&mut *session, &b.rows).is_empty());
}

#[test]
fn a_clock_of_many_starts_goes_out_in_frames_that_fit() {
    let row = |n: u32| crate::crdt::automerge::formats::clock::GroupRow {
        suffix: u64::from(n).to_be_bytes(),
        row: Row { seq: 1, max_op: 5_000, tip: [7; 32], head: false },
        fork: None,
    };
    let groups = vec![
        Group { peer: peer(1), rows: (0..60_000).map(row).collect() },
        Group { peer: peer(2), rows: (0..5).map(row).collect() },
    ];
    let frames = rows_frames(groups.clone());
    assert!(frames.len() > 2 && frames.iter().all(|frame| frame.len() <= FRAME_MAX));
    let mut clock = crate::crdt::automerge::tables::view::Clock::default();
    for (n, frame) in frames.iter().enumerate() {
        let Frame::Rows { groups, more } = Frame::decode(frame).unwrap() else { panic!("rows") };
        assert_eq!(more, n + 1 < frames.len());
        for group in &groups {
            clock.extend(group);
        }
    }
    assert_eq!([clock.group(peer(1)), clock.group(peer(2))], groups[..]);
}

/// Lets `asker`, which is peer 1, sync with peer 2; returns the number of changes that came.
fn ask(asker: &mut Site, server: &mut Site) -> usize {
    asker.turn(vec![Input::PeerSeen(peer(2))]);
    let hello = hello_to(&asker.hear(HEARTBEATS_TOPIC, &server.heartbeat()), 2).unwrap();
    sync(asker, (2, server), &hello)
}

#[test]
fn a_sync_brings_the_proof_of_a_fork_to_who_saw_no_branch_of_it() {
    let (mut asker, mut server) = (Site::new(1, Trust::Everyone), Site::new(2, Trust::Everyone));
    for n in [1, 2] {
        server.hear(CHANGES_TOPIC, &next(3, None, &[], vec![put(n, &[])]).bytes);
    }
    assert_eq!((server.engine.summary().forks, ask(&mut asker, &mut server)), (1, 0), "no branch goes on");
    assert_eq!(asker.engine.summary().forks, 1);
    assert_eq!(asker.engine.summary().clock_hash, server.engine.summary().clock_hash);
}

#[test]
fn a_sync_between_two_branches_of_one_length_proves_the_fork() {
    let (mut asker, mut server) = (Site::new(1, Trust::Everyone), Site::new(2, Trust::Everyone));
    for (site, n) in [(&mut asker, 1), (&mut server, 2)] {
        site.hear(CHANGES_TOPIC, &next(3, None, &[], vec![put(n, &[])]).bytes);
        assert_eq!(site.engine.summary().forks, 0);
    }
    ask(&mut asker, &mut server);
    assert_eq!(asker.engine.summary().forks, 1, "the log of neither lacks anything, their signed tips differ");
}

#[test]
fn changes_on_a_refused_branch_are_not_forwarded() {
    let mut a = Site::new(1, Trust::Everyone);
    let (first, twin) = (next(2, None, &[], vec![put(1, &[])]), next(2, None, &[], vec![put(2, &[])]));
    let on_top = next(2, Some(&first), &[], vec![put(3, &[])]);
    a.hear(CHANGES_TOPIC, &first.bytes);
    assert!(a.engine.check().gossip(CHANGES_TOPIC, &on_top.bytes).is_ok());
    assert_eq!(a.hear(CHANGES_TOPIC, &twin.bytes).notices, [Notice::Fork { peer: peer(2), seq: 1 }]);
    assert!(matches!(a.engine.check().gossip(CHANGES_TOPIC, &on_top.bytes), Err(Refused::Foreign(_))));
}
