//! The pinset of a folder whose peer does not run, as Go's JSON lines.
use std::io::{BufRead, Write};
use std::path::Path;

use ipfs_cluster::cluster::offline;
use ipfs_cluster::config::{Config, Identity};
use ipfs_cluster::model::{PeerId, Pin, Replication};
use ipfs_cluster::task::Fatal;
use ipfs_cluster::wire::rest;

use crate::objects::Objects;

/// What an import puts in the place of each pin's own.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// When above 0.
    pub replication_min: i32,
    /// When above 0.
    pub replication_max: i32,
    /// When not empty.
    pub allocations: Vec<PeerId>,
}

/// Writes every pin, one JSON object a line, in key order; returns how many.
pub fn export(folder: &Path, out: &mut dyn Write) -> Result<u64, Fatal> {
    let count = offline::export(folder, |pin| {
        serde_json::to_writer(&mut *out, &rest::Pin::stored(&pin))?;
        Ok(out.write_all(b"\n")?)
    })?;
    out.flush()?;
    Ok(count)
}

/// Replaces the pinset, once all of `input` has been read; `progress` is told how many pins are in. Returns how many.
pub async fn import(
    (config, identity): (&Config, &Identity),
    input: &mut dyn BufRead,
    overrides: &Overrides,
    progress: &mut dyn FnMut(u64),
) -> Result<u64, Fatal> {
    let import = offline::Import::begin(config, identity.keypair())?;
    let (mut count, mut batch, mut objects) = (0, Vec::new(), Objects::new(input));
    while let Some(object) = objects.next()? {
        count += 1;
        batch.push(pin(&object, overrides).map_err(|error| format!("pin {count} of the import: {error}"))?);
        if batch.len() == offline::BATCH {
            import.add(std::mem::take(&mut batch)).await?;
            progress(count);
        }
    }
    import.add(batch).await?;
    progress(count);
    import.finish().await?;
    Ok(count)
}

fn pin(object: &[u8], overrides: &Overrides) -> Result<Pin, Fatal> {
    let mut pin = Pin::try_from(serde_json::from_slice::<rest::Pin>(object)?)?;
    let (min, max) = pin.replication.factors();
    let or = |factor: i32, own: i32| if factor > 0 { factor } else { own };
    let (new_min, new_max) = (or(overrides.replication_min, min), or(overrides.replication_max, max));
    if (new_min, new_max) != (min, max) {
        pin.replication = Replication::from_factors(new_min, new_max)?;
    }
    if !overrides.allocations.is_empty() {
        pin.allocations.clone_from(&overrides.allocations);
    }
    Ok(pin)
}

/// Removes the pinset.
pub fn cleanup(folder: &Path) -> Result<(), Fatal> {
    Ok(offline::cleanup(folder)?)
}
