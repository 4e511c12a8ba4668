use super::{size, told};
use crate::crdt::Input;
use crate::crdt::automerge::formats::heartbeat::{HEARTBEAT_MAX, Heartbeat, tests::heartbeat};
use crate::crdt::automerge::sync::check::HEARTBEATS_TOPIC;
use crate::crdt::automerge::tests::sites::Site;
use crate::crdt::automerge::tests::testing::{CLUSTER, EPOCH, keypair, peer};
use crate::fuzz::Target;
use crate::model::Trust;

#[test]
fn fuzz_heartbeat() {
    let seeds = (0..4).map(|heads| heartbeat(heads).encode());
    Target::new("heartbeat").seeds(seeds).up_to(HEARTBEAT_MAX + 9).run(|bytes| {
        let mut heartbeat = Heartbeat::decode(bytes).map_err(|refused| told(&refused))?;
        assert_eq!(heartbeat.encode(), bytes, "a heartbeat has one spelling");
        let as_sent = Heartbeat::verify(bytes, EPOCH, CLUSTER);
        if let Ok(verified) = &as_sent {
            assert_eq!(*verified, heartbeat);
        }
        heartbeat.sign(&keypair(2), CLUSTER);
        let signed = heartbeat.encode();
        let mut site = Site::new(1, Trust::Everyone);
        match site.engine.check().gossip(HEARTBEATS_TOPIC, &signed) {
            Ok(item) => drop(site.turn(vec![Input::Checked { from: peer(3), item }, Input::PeerSeen(peer(2))])),
            Err(refused) => return Err(format!("signed {}", told(&refused))),
        }
        Ok(format!("{} heads, as sent {:?}", size(heartbeat.heads.len()), as_sent.err()))
    });
}
