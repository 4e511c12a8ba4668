//! A real Kubo on loopback.
#![allow(dead_code, reason = "each bench uses a part of it")]
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::Error;
use super::common::ports::free_port;
use super::common::process::{Process, now, tail};

/// How long a start may take.
const START_MAX: Duration = Duration::from_mins(1);

/// CIDs on one command line.
const CHUNK: usize = 10_000;

/// Makes a repository where there is none, and runs a daemon on it; returns where its API is.
pub fn start(repo: &Path) -> Result<(Process, String), Error> {
    init(repo)?;
    let api = format!("/ip4/127.0.0.1/tcp/{}", free_port());
    run(repo, &["config", "Addresses.API", &api])?;
    let mut command = ipfs(repo)?;
    command.arg("daemon");
    let process = Process::start(&command, &repo.with_extension("log"));
    let began = now();
    // Before the daemon has written where it is, the command line would take the repository's lock from it.
    while !repo.join("api").exists() || run(repo, &["id"]).is_err() {
        if began.elapsed() > START_MAX {
            return Err(format!("Kubo does not answer:\n{}", tail(&process.log())).into());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok((process, api))
}

/// Pins CIDs that hold their content themselves, in a repository whose daemon does not run.
pub fn pin(repo: &Path, cids: &[String]) -> Result<(), Error> {
    init(repo)?;
    for chunk in cids.chunks(CHUNK) {
        let words = ["pin", "add", "--progress=false"].into_iter().chain(chunk.iter().map(String::as_str));
        run(repo, &words.collect::<Vec<_>>())?;
    }
    Ok(())
}

/// Adds all files of a folder as blocks that nothing pins, in a repository whose daemon does not run; returns their CIDs.
pub fn add_files(repo: &Path, files: &Path) -> Result<Vec<String>, Error> {
    init(repo)?;
    let mut command = ipfs(repo)?;
    command.args(["add", "-r", "-q", "--pin=false", "--cid-version=1"]).arg(files);
    let output = command.stdin(Stdio::null()).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    let mut cids: Vec<String> = String::from_utf8(output.stdout)?.lines().map(str::to_owned).collect();
    // The folder itself is last.
    cids.pop();
    Ok(cids)
}

/// Copies a repository whose daemon does not run.
pub fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status()?;
    if status.success() { Ok(()) } else { Err(format!("{} cannot be copied", from.display()).into()) }
}

fn init(repo: &Path) -> Result<(), Error> {
    if repo.join("config").exists() {
        return Ok(());
    }
    fs::create_dir_all(repo)?;
    run(repo, &["init", "--profile=test"])
}

fn run(repo: &Path, args: &[&str]) -> Result<(), Error> {
    let output = ipfs(repo)?.args(args).stdin(Stdio::null()).output()?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into()) }
}

fn ipfs(repo: &Path) -> Result<Command, Error> {
    let mut command = Command::new(program("ipfs")?);
    command.env("IPFS_PATH", repo);
    Ok(command)
}

/// A program that `scripts/peers` built.
pub fn program(name: &str) -> Result<PathBuf, Error> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers").join(name);
    if path.exists() { Ok(path) } else { Err(format!("no {name}: run scripts/peers").into()) }
}
