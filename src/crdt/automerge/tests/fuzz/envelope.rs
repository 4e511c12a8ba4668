use std::sync::LazyLock;

use bytes::Bytes;
use rand::Rng;
use rand::rngs::StdRng;

use super::{size, told};
use crate::crdt::automerge::formats::change::tests::{encoded_again, samples};
use crate::crdt::automerge::formats::change::{CHANGE_PREDS_MAX, Dot};
use crate::crdt::automerge::formats::envelope::tests::mended;
use crate::crdt::automerge::formats::envelope::{ENVELOPE_MAX, Envelope, Header, Signed, reload, seal, verify};
use crate::crdt::automerge::tests::fixtures::World;
use crate::crdt::automerge::tests::testing::{CLUSTER, EPOCH, actor, dep, keypair, peer};
use crate::fuzz::{Target, boundary};
use crate::model::PeerId;

/// Peers whose keys the target has.
const PEERS: u8 = 3;

static AUTHORS: LazyLock<Vec<(u8, PeerId)>> = LazyLock::new(|| (1..=PEERS).map(|n| (n, peer(n))).collect());

/// What holds of each envelope that is admitted; and the engine takes it.
fn hold(signed: &Signed) -> String {
    assert_eq!(reload(signed.bytes.clone()).as_ref(), Ok(signed));
    assert_eq!(Envelope::decode(&signed.bytes).expect("what is admitted is an envelope").encode(), signed.bytes);
    assert!(signed.weight() <= ENVELOPE_MAX + CHANGE_PREDS_MAX * size_of::<Dot>());
    assert_eq!(signed.header.ops(), signed.ops.len());
    for trusted in [&[1, 2, 3][..], &[]] {
        let mut world = World::trusting(trusted);
        world.receive(signed);
        world.receive(signed);
        world.check();
    }
    format!("{} deps, {} ops", size(signed.deps.len()), size(signed.ops.len()))
}

/// The envelope with hashes and signature made anew, when its author is one whose key is known.
fn mend(mut envelope: Envelope) -> Option<Envelope> {
    let author = envelope.header.actor.peer();
    let (author, _) = AUTHORS.iter().find(|(_, peer)| *peer == author)?;
    if let Some((chunk, hash)) = encoded_again(&envelope.chunk) {
        (envelope.chunk, envelope.header.change_hash) = (chunk, hash);
    }
    Some(mended(envelope, *author))
}

/// Changes a number of the header, the dependencies, or the chunk inside; [`mend`] makes the rest fit.
fn shaped(rng: &mut StdRng, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut envelope = Envelope::decode(bytes).ok()?;
    let Envelope { header, deps, chunk } = &mut envelope;
    for _ in 0..rng.random_range(1..4) {
        let near = header.start_op.wrapping_add(rng.random_range(0..4)).wrapping_sub(2);
        let number = if rng.random() { near } else { u32::try_from(boundary(rng)).unwrap_or(u32::MAX) };
        match rng.random_range(0..12) {
            0 => header.seq = number,
            1 => header.start_op = number,
            2 => header.max_op = number,
            3 => (header.prev_max_op, header.prev_hash) = (number, [1; 32]),
            4 => header.actor = actor(rng.random_range(1..=PEERS), rng.random()),
            5 => deps.push(dep(rng.random(), number, number)),
            6 => drop(deps.pop()),
            7 => deps.reverse(),
            8 => deps.iter_mut().for_each(|dep| dep.max_op = number),
            _ => *chunk = super::change::shaped(rng, chunk)?,
        }
    }
    if rng.random() {
        deps.sort_by(|a, b| a.actor.cmp(&b.actor));
    }
    Some(envelope.encode())
}

#[test]
fn fuzz_envelope() {
    let seeds = samples().into_iter().map(|draft| seal(&draft, &keypair(1), EPOCH, CLUSTER).encode());
    Target::new("envelope").seeds(seeds).shaped(shaped).up_to(ENVELOPE_MAX + 9).run(|bytes| {
        let verdict = match verify(Bytes::copy_from_slice(bytes), EPOCH, CLUSTER) {
            Ok(signed) => return Ok(hold(&signed)),
            Err(refused) => told(&refused),
        };
        if let Ok(header) = Header::decode(bytes) {
            assert_eq!(header.encode(), bytes, "a header has one spelling");
        }
        let Ok(envelope) = Envelope::decode(bytes) else { return Err(verdict) };
        assert_eq!(envelope.encode(), bytes, "an envelope has one spelling");
        let Some(envelope) = mend(envelope) else { return Err(verdict) };
        let signed = verify(envelope.encode().into(), EPOCH, CLUSTER);
        let signed = signed.map_err(|refused| format!("mended {}", told(&refused)))?;
        Ok(format!("mended {}", hold(&signed)))
    });
}
