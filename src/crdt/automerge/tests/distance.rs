//! What a sync costs follows what differs, not what there is.
use bytes::Bytes;

use super::sites::{Site, all, gossip, hello_to};
use super::testing::{cid, peer};
use crate::crdt::automerge::formats::frames::{FRAME_MAX, Frame};
use crate::crdt::automerge::sync::check::{CHANGES_TOPIC, HEARTBEATS_TOPIC};
use crate::crdt::{Input, Op, Seen, Sending, Talk, Ticket, Turn};
use crate::model::{Pin, Trust};

/// Two peers of which the second has `pins` and the first heard of all of them but the last `lacks` changes.
fn apart(pins: u32, lacks: usize) -> (Site, Site) {
    let (mut asker, mut server) = (Site::new(1, Trust::Everyone), Site::new(2, Trust::Everyone));
    let mut changes: Vec<Bytes> = Vec::new();
    for batch in 0..pins / 100 {
        let write = |n: u32| Input::Write {
            ticket: Ticket(n.into()),
            op: Op::Pin(Box::new(Pin::recursive(cid(n)))),
            seen: Seen::Any,
        };
        changes.extend(gossip(&server.turn((batch * 100..batch * 100 + 100).map(write).collect()), CHANGES_TOPIC));
    }
    let known = changes.len() - lacks;
    for change in &changes[..known] {
        asker.hear(CHANGES_TOPIC, change);
    }
    asker.turn(vec![Input::PeerSeen(peer(2))]);
    (asker, server)
}

/// Syncs; returns the bytes of all frames both ways, and of the largest.
fn cost(asker: &mut Site, server: &mut Site) -> (usize, usize) {
    let Some(hello) = hello_to(&asker.hear(HEARTBEATS_TOPIC, &server.heartbeat()), 2) else { return (0, 0) };
    let mut session = server.engine.answer().session(peer(1), Talk::Sync);
    session.receive(&hello).unwrap();
    let (mut sum, mut largest) = (hello.len(), hello.len());
    loop {
        let frames = all(&mut *session, &server.rows);
        if frames.is_empty() {
            return (sum, largest);
        }
        let turns: Vec<Turn> = frames.iter().map(|bytes| asker.frame(2, bytes)).collect();
        for sending in turns.into_iter().flat_map(|turn| turn.sends) {
            if let Sending::Frame { bytes, .. } = sending {
                (sum, largest) = (sum + bytes.len(), largest.max(bytes.len()));
                session.receive(&bytes).unwrap();
            }
        }
        sum += frames.iter().map(Bytes::len).sum::<usize>();
        largest = frames.iter().map(Bytes::len).fold(largest, usize::max);
    }
}

#[test]
fn nothing_is_said_when_nothing_differs() {
    let (mut asker, mut server) = apart(500, 0);
    assert_eq!(cost(&mut asker, &mut server), (0, 0));
}

#[test]
fn one_change_apart_costs_the_same_whatever_the_pinset_is() {
    let cost_of_one = |pins| {
        let (mut asker, mut server) = apart(pins, 0);
        server.pin(1_000_000);
        let cost = cost(&mut asker, &mut server);
        assert_eq!(asker.engine.summary().entries, u64::from(pins) + 1);
        cost.0
    };
    let (few, many) = (cost_of_one(200), cost_of_one(5_000));
    assert!(many < 2_000 && many.abs_diff(few) < 100, "{few} and {many} bytes");
}

#[test]
fn a_far_distance_is_streamed_in_frames_that_fit() {
    let (mut asker, mut server) = apart(10_000, 100);
    let (sum, largest) = cost(&mut asker, &mut server);
    assert_eq!(asker.engine.summary().entries, 10_000);
    assert!(largest <= FRAME_MAX, "{largest}");
    assert!(sum < 10_000 * 200, "{sum} bytes for 10,000 pins");
}

#[test]
fn a_slow_reader_makes_the_server_hold_one_frame() {
    let (mut asker, mut server) = apart(5_000, 50);
    let hello = hello_to(&asker.hear(HEARTBEATS_TOPIC, &server.heartbeat()), 2).unwrap();
    let mut session = server.engine.answer().session(peer(1), Talk::Sync);
    session.receive(&hello).unwrap();
    let rows = all(&mut *session, &server.rows);
    assert!(rows.iter().all(|bytes| !matches!(Frame::decode(bytes), Ok(Frame::Changes(_)))));
    // Nothing of the log is read before the asker says its rows, however long it takes.
    assert_eq!(session.next(&server.rows).unwrap(), None);
    assert!(!session.done());
}
