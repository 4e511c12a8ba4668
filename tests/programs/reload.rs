//! SIGHUP: whom a daemon trusts is read anew.
use nix::sys::signal::Signal;

use crate::daemon::Daemon;
use crate::stage::Stage;

const CIDS: [&str; 2] =
    ["QmP63DkAFEnDYNjDYBpyNDfttu1fvUw99x1brscPzpqmmq", "QmbrCtydGyPeHiLURSPMqrvE5mCgMCwFYq3UD4XLCeAYw6"];

#[test]
fn what_waited_for_trust_counts_after_sighup_and_a_bad_file_changes_nothing() {
    let stage = Stage::new();
    let (mut reader, mut writer) = (Daemon::new(&stage, "reader"), Daemon::new(&stage, "writer"));
    let nobody: [String; 0] = [];
    reader.configure("consensus.crdt.trusted_peers", &nobody[..]);
    reader.start(&[]);
    writer.start(&["--bootstrap", &reader.address()]);
    writer.pin(CIDS[0]);
    // Once the reader's own pin is at the writer, the two have met.
    reader.pin(CIDS[1]);
    writer.until("the two have met", |writer| writer.has(CIDS[1]));
    assert!(!reader.has(CIDS[0]), "nobody vouches for it");

    let good = std::fs::read(reader.folder.join("service.json")).unwrap();
    for (broken, cause) in [
        ("{", "unexpected end of JSON input"),
        (r#"{"consensus": {"crdt": {"trusted_peers": ["x"]}}}"#, "error parsing trusted peers"),
    ] {
        std::fs::write(reader.folder.join("service.json"), broken).unwrap();
        reader.signal(Signal::SIGHUP);
        reader.until("the fault is told", |reader| reader.log().contains(cause));
        let told = reader.log().lines().filter(|line| line.contains("the trusted peers stay as they were")).count();
        assert!(told > 0 && !reader.has(CIDS[0]));
    }

    std::fs::write(reader.folder.join("service.json"), good).unwrap();
    let writer_id = writer.id();
    reader.configure("consensus.crdt.trusted_peers", &[writer_id.clone()][..]);
    reader.signal(Signal::SIGHUP);
    reader.until("what waited counts", |reader| reader.has(CIDS[0]));
    assert!(reader.log().contains(&format!("added: {writer_id}; removed: nobody")), "{}", reader.log());

    reader.configure("consensus.crdt.trusted_peers", &nobody[..]);
    reader.signal(Signal::SIGHUP);
    let removed = format!("added: nobody; removed: {writer_id}");
    reader.until("the removal is told", |reader| reader.log().contains(&removed));
    assert!(reader.has(CIDS[0]), "what counted before stays");
    reader.stop();
    writer.stop();
}
