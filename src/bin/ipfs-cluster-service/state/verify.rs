//! `state verify`: whether the store of a peer is whole.
use std::path::Path;

use ipfs_cluster::cluster::offline;
use ipfs_cluster::crdt::automerge::inspect::Verified;

use super::folder::locked;
use super::progress::Progress;
use crate::exit::Failure;

/// Prints what was found; a store that is not sound is a failure.
pub fn run(folder: &Path) -> Result<(), Failure> {
    let _lock = locked(folder)?;
    let progress = Progress::of_pins(true);
    let verified = offline::verify(folder, &mut |done, total| {
        progress.of(total);
        progress.at(done);
    });
    progress.end();
    let Some(verified) = verified.map_err(|e| Failure::new("verifying the pinset", e))? else {
        println!("There is no pinset in {} yet: nothing to verify.", folder.display());
        return Ok(());
    };
    told(&verified)
}

fn told(verified: &Verified) -> Result<(), Failure> {
    println!("epoch:   {}", verified.epoch);
    println!("pins:    {}", verified.pins);
    println!("entries: {}", verified.entries);
    println!("changes: {}", verified.changes);
    println!("digest:  {}", hex::encode(verified.digest));
    let count = verified.faults.len() as u64 + verified.more;
    if count == 0 {
        println!("ok");
        return Ok(());
    }
    for fault in &verified.faults {
        println!("fault:   {fault}");
    }
    if verified.more > 0 {
        println!("         and {} more", verified.more);
    }
    Err(Failure::new("verifying the pinset", format!("it is not sound, {count} faults were found")))
}
