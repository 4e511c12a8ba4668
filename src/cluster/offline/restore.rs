//! A pinset from the file of a snapshot, and such a file from the pinset of a peer that does not run.
use std::io::{Read, Write};

use futures::StreamExt;
use libp2p::identity::Keypair;

use super::import::Aside;
use crate::cluster::build::open_pinset;
use crate::cluster::replication::copy_of;
use crate::config::Config;
use crate::crdt::automerge::{FRAME_MAX, MAGIC, RestoreArgs, RestoreError, Restoring};
use crate::observe::PinsetMeters;
use crate::store::{Options, PinsetDb};
use crate::task::{self, Fatal};

/// Greatest manifest in a file.
const MANIFEST_MAX: usize = 32 << 20;

/// Replaces the pinset of the peer of `config` by that of a snapshot's file, once it is read and found whole: its frames are
/// what a trusted peer attests. `progress` is told how many frames of how many are there. Returns how many pins.
///
/// # Errors
/// What is wrong with the file or the store; the old pinset is as it was.
pub fn restore(
    config: &Config,
    keypair: &Keypair,
    input: &mut dyn Read,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<u64, Fatal> {
    let mut magic = [0; MAGIC.len()];
    input.read_exact(&mut magic).map_err(|_| "the file is too short for a snapshot")?;
    if magic != MAGIC {
        return Err("the file is no snapshot: its first bytes are others".into());
    }
    let aside = Aside::make(&config.folder)?;
    let db = PinsetDb::open(&aside.path, Options::default())?;
    let manifest = sized(input, MANIFEST_MAX)?;
    let args = RestoreArgs {
        epoch: u32::try_from(config.crdt.epoch).map_err(|_| "consensus.crdt.epoch is above 4294967295")?,
        cluster_name: config.crdt.cluster_name.clone(),
        own: keypair.public().to_peer_id(),
        trust: config.crdt.trusted_peers.clone(),
        now: task::wall(),
    };
    let mut restoring = db.write::<_, Failure>(|rows| Ok(Restoring::begin(&manifest, args, rows)?))?;
    let (frames, pins) = (restoring.frames() as u64, restoring.pins());
    for frame in 0..frames {
        progress(frame, frames);
        let packed = sized(input, FRAME_MAX)?;
        db.write::<_, Failure>(|rows| Ok(restoring.frame(&packed, rows)?))?;
    }
    progress(frames, frames);
    while db.write::<_, Failure>(|rows| Ok(restoring.step(rows)?))? {}
    drop(db);
    aside.take_place(&config.folder)?;
    Ok(pins)
}

/// Writes the pinset of the peer of `config`, which does not run, as the file of a snapshot; returns its bytes.
///
/// # Errors
/// What the store says, or that no trusted peer attests the state.
pub async fn save(config: &Config, keypair: &Keypair, out: &mut dyn Write) -> Result<u64, Fatal> {
    let (pinset, _outbound, writer) = open_pinset(config, keypair, &PinsetMeters::default())?;
    let mut parts = copy_of(&pinset);
    let mut bytes = 0;
    while let Some(part) = parts.next().await {
        let part = part?;
        bytes += part.len() as u64;
        out.write_all(&part)?;
    }
    drop((parts, pinset));
    writer.stop().await?;
    out.flush()?;
    Ok(bytes)
}

fn sized(input: &mut dyn Read, max: usize) -> Result<Vec<u8>, Fatal> {
    let cut = |_| "the file is cut off in the middle";
    let mut length = [0; 4];
    input.read_exact(&mut length).map_err(cut)?;
    let length = u32::from_le_bytes(length) as usize;
    if length > max {
        return Err("the file is no snapshot: a part of it is too large".into());
    }
    let mut bytes = vec![0; length];
    input.read_exact(&mut bytes).map_err(cut)?;
    Ok(bytes)
}

/// Why a transaction was dropped.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Restore(#[from] RestoreError),
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::offline::folder::aside;
    use crate::cluster::offline::{Import, Pages};
    use crate::cluster::testing::{Home, cid};
    use crate::model::Pin;

    fn names(home: &Home) -> Vec<String> {
        let mut pages = Pages::open(&home.config.folder).unwrap().unwrap();
        let mut names = Vec::new();
        while let Some(pins) = pages.page().unwrap() {
            names.extend(pins.into_iter().map(|pin| pin.name));
        }
        names.sort();
        names
    }

    async fn filled(pins: u64) -> (Home, Vec<u8>) {
        let home = Home::new();
        let mut import = Import::begin(&home.config, home.keypair()).unwrap();
        let pin = |n: u64| Pin { name: format!("{n:04}"), ..Pin::recursive(cid(n)) };
        import.add((0..pins).map(pin).collect()).unwrap();
        import.finish().unwrap();
        let mut file = Vec::new();
        assert_eq!(save(&home.config, home.keypair(), &mut file).await.unwrap(), file.len() as u64);
        (home, file)
    }

    #[tokio::test]
    async fn what_one_peer_saves_another_restores() {
        let (from, file) = filled(5_000).await;
        let to = Home::new();
        let mut seen = Vec::new();
        let restored = restore(&to.config, to.keypair(), &mut &file[..], &mut |n, of| seen.push((n, of)));
        assert_eq!(restored.unwrap(), 5_000);
        assert_eq!(names(&to), names(&from));
        assert_eq!(seen.last().map(|(n, of)| n == of), Some(true));
    }

    #[tokio::test]
    async fn a_file_that_is_not_whole_changes_nothing() {
        let (_, file) = filled(300).await;
        let (to, _) = filled(3).await;
        let mut changed = file.clone();
        let last = changed.len() - 9;
        changed[last] ^= 1;
        for broken in [&file[..4], &file[..file.len() / 2], &file[..file.len() - 1], &changed, b"something else"] {
            assert!(restore(&to.config, to.keypair(), &mut &broken[..], &mut |_, _| ()).is_err());
        }
        assert_eq!(names(&to).len(), 3);
        assert!(!aside(&to.config.folder).exists());
    }

    #[tokio::test]
    async fn a_snapshot_of_peers_that_we_do_not_trust_is_not_believed() {
        let (_, file) = filled(3).await;
        let mut to = Home::new();
        to.config.crdt.trusted_peers = crate::model::Trust::Only([].into());
        let error = restore(&to.config, to.keypair(), &mut &file[..], &mut |_, _| ()).unwrap_err().to_string();
        assert!(error.contains("attested by a trusted peer"), "{error}");
    }
}
