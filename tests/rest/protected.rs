//! The recordings of a peer that asks who is there.
use serde_json::json;

use crate::harness::Test;
use crate::recording::names;
use crate::stage::Stage;

#[test]
fn a_protected_peer_answers_as_recorded() {
    let test = Test::new();
    let mut peer = test.peer("auth0");
    peer.start(&[]);
    peer.wait_for_members(1);
    let mut stage = Stage::new(vec![peer], &["auth-ok"]);
    let peer = stage.peer_mut(0);
    peer.stop();
    peer.configure(|config| {
        let api = &mut config["api"]["restapi"];
        api["basic_auth_credentials"] = json!({"testuser": "testpass", "u2": "p2"});
        api["headers"] = json!({"X-Custom": ["one", "two"]});
    });
    peer.start_protected();
    for name in names().into_iter().filter(|name| name.starts_with("auth-")) {
        stage.replay(0, &name);
    }
    stage.finish();
}
