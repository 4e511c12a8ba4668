//! All recordings of three peers that are well, in their order.
use crate::harness::Test;
use crate::recording::names;
use crate::stage::{Stage, three};

/// Recordings that need no other stage.
pub fn is_asked_of_well_peers(name: &str) -> bool {
    !["add-", "auth-", "special-"].iter().any(|start| name.starts_with(start))
}

#[test]
fn three_peers_answer_as_recorded() {
    let test = Test::new();
    let mut stage = Stage::new(three(&test), &["peers"]);
    for name in names().into_iter().filter(|name| is_asked_of_well_peers(name)) {
        match name.as_str() {
            // The uploads came before.
            "pin-plain" => stage.upload(),
            // Go had pinned it everywhere after each bad option.
            "pin-too-many" => stage.put("QmSeNaPFzUvzcAUXWg5kSh3uwR8nZMeSduuWMbMwfq1PKr?replication=-1"),
            // The recordings were taken when all was pinned, or had failed.
            "status-one" => settle(&stage),
            _ => {}
        }
        stage.replay(0, &name);
    }
    stage.finish();
}

fn settle(stage: &Stage) {
    let there = ["QmU6PrA9xo7xueMPQ5nAgMdp6KhuyDqtBex18WpaVqnscM", "QmSeNaPFzUvzcAUXWg5kSh3uwR8nZMeSduuWMbMwfq1PKr"];
    let absent = "QmP63DkAFEnDYNjDYBpyNDfttu1fvUw99x1brscPzpqmm1";
    stage.peer(0).until("what is there is pinned", |peer| {
        peer.count(there[0], "pinned") == 3 && peer.count(there[1], "pinned") == 2
    });
    stage.peer(0).until("what nobody has failed", |peer| peer.count(absent, "pin_error") == 3);
}
