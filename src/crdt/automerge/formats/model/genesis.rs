//! The change that every document begins with.
use std::num::NonZeroU64;

use automerge::legacy::{Key as LegacyKey, ObjectId, Op, OpType};
use automerge::{ActorId, Change, ExpandedChange, ObjType};

use super::{BUCKETS, GENESIS_ACTOR};

/// The name of a map in the document's root.
pub fn bucket_name(n: u32) -> String {
    format!("{n:03x}")
}

/// The chunk of the genesis: 4,096 empty maps.
pub fn chunk() -> Vec<u8> {
    let map = |n: u32| Op {
        action: OpType::Make(ObjType::Map),
        obj: ObjectId::Root,
        key: LegacyKey::Map(bucket_name(n).as_str().into()),
        pred: Vec::new().into(),
        insert: false,
    };
    let change = ExpandedChange {
        operations: (0..BUCKETS).map(map).collect(),
        actor_id: ActorId::from(GENESIS_ACTOR),
        hash: None,
        seq: 1,
        start_op: NonZeroU64::MIN,
        time: 0,
        message: None,
        deps: Vec::new(),
        extra_bytes: Vec::new(),
        author: None,
    };
    Change::from(change).raw_bytes().to_vec()
}
