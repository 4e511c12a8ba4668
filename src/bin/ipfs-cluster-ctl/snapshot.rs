//! `snapshot`: a copy of the pinset as a file.
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use futures::StreamExt;
use ipfs_cluster::client::Client;

use super::common::Run;
use super::common::human::progress;
use super::exit::Failure;

/// Writes aside and renames: a file of that name is whole.
pub async fn save(client: &Client, run: &Run) -> Result<(), Failure> {
    let Some(path) = run.arguments.first() else {
        return Err(Failure::argument("saving the snapshot", &"name a file, or - for stdout"));
    };
    if path == "-" {
        let mut out = io::stdout().lock();
        return copy(client, &mut out).await.map(drop);
    }
    let aside = PathBuf::from(format!("{path}.part"));
    let mut file = create(&aside)?;
    let copied = copy(client, &mut file).await;
    let done =
        copied.and_then(|bytes| Ok(file.sync_all().and_then(|()| std::fs::rename(&aside, path)).map(|()| bytes)?));
    match done {
        Ok(bytes) => {
            eprintln!("saved {bytes} bytes to {path}");
            Ok(())
        }
        Err(failure) => {
            let _ = std::fs::remove_file(&aside);
            Err(failure)
        }
    }
}

/// For its owner's eyes: a pinset may name what is nobody else's business.
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

async fn copy(client: &Client, out: &mut dyn Write) -> Result<u64, Failure> {
    let bar = progress("{spinner} {bytes} {msg}");
    bar.set_message("waiting for the peer to copy its pinset");
    let mut parts = client.snapshot().await?;
    bar.set_message("");
    let mut bytes = 0;
    while let Some(part) = parts.next().await {
        let part = part?;
        out.write_all(&part)?;
        bytes += part.len() as u64;
        bar.set_position(bytes);
    }
    out.flush()?;
    bar.finish_and_clear();
    Ok(bytes)
}
