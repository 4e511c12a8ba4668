//! Epochs of a cluster: peers of different ones do not mix.
use crate::daemon::Daemon;
use crate::stage::Stage;

const CIDS: [&str; 2] =
    ["QmP63DkAFEnDYNjDYBpyNDfttu1fvUw99x1brscPzpqmmq", "QmbrCtydGyPeHiLURSPMqrvE5mCgMCwFYq3UD4XLCeAYw6"];

/// Waits until each of two peers has named the other, and its epoch.
fn until_they_name_each_other(peers: [(&mut Daemon<'_>, u32); 2]) {
    let [(a, a_epoch), (b, b_epoch)] = peers;
    let (a_id, b_id) = (a.id(), b.id());
    let told = |peer: &str, epoch, ours| format!("peer {peer} speaks epoch {epoch}, we speak {ours}");
    a.until("it names the other", |a| a.log().contains(&told(&b_id, b_epoch, a_epoch)));
    b.until("it names the other", |b| b.log().contains(&told(&a_id, a_epoch, b_epoch)));
}

#[test]
fn peers_of_different_epochs_do_not_mix_and_name_each_other() {
    let stage = Stage::new();
    let (mut old, mut new) = (Daemon::new(&stage, "old"), Daemon::new(&stage, "new"));
    new.configure("consensus.crdt.epoch", 1);
    old.start(&[]);
    old.pin(CIDS[0]);
    new.start(&["--bootstrap", &old.address()]);
    new.pin(CIDS[1]);
    until_they_name_each_other([(&mut old, 0), (&mut new, 1)]);
    assert!(!old.has(CIDS[1]) && !new.has(CIDS[0]));
    // Once is enough.
    assert_eq!(old.log().matches("speaks epoch").count(), 1);
    old.stop();
    new.stop();
}
