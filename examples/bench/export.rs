//! An export of as many pins as wanted, as `state import` reads it.
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use ipfs_cluster::model::PeerId;

use super::Error;
use super::load::cid;

/// What is after the CID of each line.
const REST: &str = r#""type":"pin","max_depth":-1,"reference":null,"#;
const MORE: &str = r#""mode":"recursive","shard_size":0,"user_allocations":[],"#;
const LAST: &str = r#""expire_at":"0001-01-01T00:00:00Z","metadata":null,"pin_update":null,"origins":[]}"#;

/// Writes pins for everybody, each with a name and a moment of its own.
pub fn write(dir: &Path, pins: usize) -> Result<PathBuf, Error> {
    write_for(dir, pins, |_| Vec::new())
}

/// As [`write`], each for those that `holders` names, and all of them needed.
#[allow(dead_code, reason = "each bench uses a part of it")]
pub fn write_for(dir: &Path, pins: usize, holders: impl Fn(usize) -> Vec<PeerId>) -> Result<PathBuf, Error> {
    let path = dir.join("export.json");
    let mut out = BufWriter::new(File::create(&path)?);
    for n in 0..pins {
        let (minute, second) = (n / 60 % 60, n % 60);
        let moment = format!("2026-{:02}-{:02}T{:02}:{minute:02}:{second:02}Z", n % 12 + 1, n % 28 + 1, n / 3600 % 24);
        let cid = cid("scale", n);
        let holders: Vec<String> = holders(n).iter().map(ToString::to_string).collect();
        let factor = i64::try_from(holders.len())?;
        let factor = if factor == 0 { -1 } else { factor };
        let holders = serde_json::to_string(&holders)?;
        write!(out, r#"{{"cid":"{cid}","name":"pin-{n:08}","timestamp":"{moment}","allocations":{holders},"#)?;
        write!(out, r#""replication_factor_min":{factor},"replication_factor_max":{factor},"#)?;
        writeln!(out, "{REST}{MORE}{LAST}")?;
    }
    out.flush()?;
    Ok(path)
}
