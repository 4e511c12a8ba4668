use super::*;
use crate::crdt::automerge::formats::snapshot::manifest::{Core, FrameInfo};
use crate::crdt::automerge::tests::fixtures::World;
use crate::crdt::automerge::tests::testing::{CLUSTER, EPOCH, peer};
use crate::model::UnixMillis;

#[test]
fn a_heal_does_not_wait_for_a_snapshot_that_nobody_lends_any_more() {
    let now = Now { wall: UnixMillis(0), mono: 0 };
    let heal = Heal { peer: peer(3), is_repair: false };
    let belief = Belief { by: peer(2), digest_hash: [0; 32], tips: BTreeMap::new(), proofs: Vec::new() };
    let frames = vec![FrameInfo { hash: [0; 32], plain: 1, first: Vec::new() }];
    let core = Core { epoch: EPOCH, frames, ..Core::default() };
    let mut world = World::trusting(&[2, 3]);
    for is_lent in [true, false] {
        let mut fetch = Fetch::open(EPOCH, CLUSTER.to_owned(), &world.merge, &mut world.rows).unwrap();
        fetch.wanted = Some(Wanted::new(1, core.clone(), belief.clone(), Some(peer(2)), false));
        if is_lent {
            fetch.lenders.insert(peer(2), Lender::new(now));
        }
        fetch.heal(heal, now);
        assert_eq!(fetch.heal.is_none(), is_lent);
        assert_eq!(fetch.wanted.is_some(), is_lent, "what still comes is waited for");
    }
}
