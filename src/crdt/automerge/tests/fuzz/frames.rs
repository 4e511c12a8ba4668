use std::sync::LazyLock;

use bytes::Bytes;

use super::{size, told};
use crate::crdt::automerge::formats::frames::{FRAME_MAX, Frame, tests::frames};
use crate::crdt::automerge::sync::check::{CHANGES_TOPIC, HEARTBEATS_TOPIC};
use crate::crdt::automerge::tests::sites::{Site, all, gossip, hello_to};
use crate::crdt::automerge::tests::testing::peer;
use crate::crdt::{Input, MapRows, Talk};
use crate::fuzz::Target;
use crate::model::Trust;

/// Frames that a session may send to one of ours: its rows are few.
const ANSWERS_MAX: usize = 64;

/// A peer with a few changes, and what it and another one say in a sync.
struct Said {
    rows: MapRows,
    heartbeat: Bytes,
    hello: Bytes,
    frames: Vec<Bytes>,
}

static SAID: LazyLock<Said> = LazyLock::new(|| {
    let (mut asker, mut server) = (Site::new(1, Trust::Everyone), Site::new(2, Trust::Everyone));
    for n in 0..6 {
        let changes = gossip(&server.pin(n), CHANGES_TOPIC);
        let answer = gossip(&asker.pin(n + 3), CHANGES_TOPIC);
        if n == 0 {
            asker.hear(CHANGES_TOPIC, &changes[0]);
            server.hear(CHANGES_TOPIC, &answer[0]);
        }
    }
    let heartbeat = server.heartbeat();
    asker.turn(vec![Input::PeerSeen(peer(2))]);
    let hello = hello_to(&asker.hear(HEARTBEATS_TOPIC, &heartbeat), 2).unwrap();
    let mut session = server.engine.answer().session(peer(1), Talk::Sync);
    session.receive(&hello).unwrap();
    let frames = all(&mut *session, &server.rows);
    Said { rows: server.rows, heartbeat, hello, frames }
});

/// The answering side: `bytes` as the first frame, and as the one after a good first one.
fn ask(bytes: &[u8]) {
    let server = Site::new(2, Trust::Everyone);
    for first in [None, Some(&SAID.hello)] {
        let mut session = server.engine.answer().session(peer(1), Talk::Sync);
        let mut answers = 0;
        for frame in first.map(|bytes| &bytes[..]).into_iter().chain([bytes]) {
            if let Err(refused) = session.receive(frame) {
                told(&refused);
                break;
            }
            let frames = all(&mut *session, &SAID.rows);
            assert!(frames.iter().all(|frame| frame.len() <= FRAME_MAX && Frame::decode(frame).is_ok()));
            answers += frames.len();
        }
        assert!(answers <= ANSWERS_MAX, "{answers} frames");
    }
}

/// The asking side, in the middle of a sync that `bytes` belong to.
fn answer(bytes: &[u8]) -> Result<(), String> {
    let mut site = Site::new(1, Trust::Everyone);
    let frame = site.engine.check().frame(Talk::Sync, bytes).map_err(|refused| told(&refused))?;
    site.turn(vec![Input::PeerSeen(peer(2))]);
    assert!(hello_to(&site.hear(HEARTBEATS_TOPIC, &SAID.heartbeat), 2).is_some());
    site.turn(vec![Input::Frame { peer: peer(2), talk: Talk::Sync, frame }]);
    site.turn(vec![Input::Ended { peer: peer(2), talk: Talk::Sync, complete: true }]);
    Ok(())
}

fn shape(frame: &Frame) -> String {
    match frame {
        Frame::Hello(hello) => match &hello.trust {
            Trust::Everyone => format!("a hello with {} groups", size(hello.groups.len())),
            Trust::Only(peers) => format!("a hello with {} groups of {}", size(hello.groups.len()), size(peers.len())),
        },
        Frame::Rows { groups, more } => {
            let rows: Vec<_> = groups.iter().map(|group| size(group.rows.len())).take(3).collect();
            format!("{} groups, {rows:?} {more}", size(groups.len()))
        }
        Frame::Proof(_) => "a proof".into(),
        Frame::Changes(changes) => format!("{} changes", size(changes.len())),
        Frame::Reach { actors, attested } => {
            format!("{} actors, {} attested", size(actors.len()), size(attested.len()))
        }
        Frame::Tip(_) => "a tip".into(),
        Frame::Done { .. } => "done".into(),
    }
}

#[test]
fn fuzz_frames() {
    let seeds = frames().into_iter().map(|frame| frame.encode());
    let said = SAID.frames.iter().chain([&SAID.hello]).map(|bytes| bytes.to_vec());
    Target::new("frames").seeds(seeds.chain(said)).up_to(64 << 10).run(|bytes| {
        let frame = Frame::decode(&Bytes::copy_from_slice(bytes)).map_err(|refused| told(&refused))?;
        assert_eq!(Frame::decode(&frame.encode().into()).as_ref(), Ok(&frame), "a frame is read as it was written");
        ask(bytes);
        Ok(format!("{}, {:?}", shape(&frame), answer(bytes)))
    });
}
