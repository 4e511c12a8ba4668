//! Streams that fail on the way.
use crate::harness::{Peer, Test};
use crate::pair::Pair;
use crate::wire::between;

/// Lists; the peer has some pins.
const STREAMS: [&str; 5] = ["pin ls", "status", "status --local", "status --filter pinned", "peers ls"];

#[test]
fn a_stream_that_fails_midway_is_an_error_to_both() {
    let test = Test::new();
    let [peer]: [Peer; 1] = test.peers();
    let mut pair = Pair::new("broken", &peer);
    for name in ["some", "more"] {
        let cid = peer.kubo().add(name.as_bytes());
        peer.ctl(["pin", "add", "--wait", "--no-status", &cid]).code(0);
    }
    let port = between(peer.rest_port(), "the disk is gone");
    pair.name("told", &format!("/ip4/127.0.0.1/tcp/{port}"));
    for stream in STREAMS {
        pair.failing(&format!("--host {{told}} {stream}"), 2, "the disk is gone");
    }
    pair.finish();
}
