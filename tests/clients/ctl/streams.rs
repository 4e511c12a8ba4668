//! Streams that fail on the way.
use super::pair::Pair;
use super::wire::{Harm, between};
use crate::harness::{Peer, Test};

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
    for (name, harm, code, told) in
        [("told", Harm::Trailer("the disk is gone"), 2, "the disk is gone"), ("cut", Harm::Cut, 1, "unexpected EOF")]
    {
        pair.name(name, &format!("/ip4/127.0.0.1/tcp/{}", between(peer.rest_port(), harm)));
        for stream in STREAMS {
            pair.failing(&format!("--host {{{name}}} {stream}"), code, told);
        }
    }
    pair.finish();
}
