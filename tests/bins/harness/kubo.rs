//! A real Kubo on loopback.
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{Output, wait_for};
use crate::common::ports::free_port;
use crate::common::process::{Process, tail};

/// How long Kubo may take to answer after its start: the machine may be busy with other tests.
const START_MAX: Duration = Duration::from_mins(1);

/// A Kubo with a repository of its own; it ends when it is dropped.
#[derive(Debug)]
pub struct Kubo {
    repo: PathBuf,
    api: String,
    process: Option<Process>,
}

impl Kubo {
    /// Makes a repository; the API's port is chosen now, so that it is known before the daemon runs.
    pub fn init(repo: &Path) -> Self {
        let api = format!("/ip4/127.0.0.1/tcp/{}", free_port());
        let kubo = Self { repo: repo.to_owned(), api, process: None };
        kubo.run(&["init", "--profile=test"]).code(0);
        kubo.run(&["config", "Addresses.API", &kubo.api]).code(0);
        kubo
    }

    /// Starts the daemon without waiting for it.
    pub fn start(&mut self) {
        let mut command = self.command();
        command.arg("daemon");
        self.process = Some(Process::start(&command, &self.repo.with_extension("log")));
    }

    /// Waits until the daemon answers.
    pub fn wait(&mut self) {
        let log = || tail(&fs::read_to_string(self.repo.with_extension("log")).unwrap_or_default());
        let api = self.repo.join("api");
        // Before the daemon has written where it is, the command line would take the repository's lock from it.
        wait_for("Kubo answers", START_MAX, log, || api.exists() && self.run(&["id"]).is_ok());
    }

    /// Ends the daemon.
    pub fn stop(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill();
            // It had no time to take back where it was.
            let _ = fs::remove_file(self.repo.join("api"));
        }
    }

    /// Where its API is, as a multiaddr.
    pub fn api(&self) -> &str {
        &self.api
    }

    /// Adds a file without pinning it; returns its CID.
    pub fn add(&self, content: &[u8]) -> String {
        let file = self.repo.with_extension("file");
        fs::write(&file, content).expect("a file can be written");
        let output = self.run(&["add", "-Q", "--pin=false", &file.to_string_lossy()]).code(0);
        output.text().trim().to_owned()
    }

    #[allow(dead_code, reason = "used by the tests of followers")]
    /// Publishes a file under the IPNS name of this daemon; returns the name.
    pub fn publish(&self, content: &[u8]) -> String {
        let path = format!("/ipfs/{}", self.add(content));
        let output = self.run(&["name", "publish", "--allow-offline", "--quieter", &path]).code(0);
        output.text().trim().to_owned()
    }

    #[allow(dead_code, reason = "used by the tests of followers")]
    /// Where its gateway is, as `IPFS_GATEWAY` names it.
    pub fn gateway(&self) -> String {
        let written = fs::read_to_string(self.repo.join("gateway")).expect("the daemon says where its gateway is");
        written.trim().trim_start_matches("http://").to_owned()
    }

    /// Adds a folder with one file without pinning it; returns its CID.
    #[allow(dead_code, reason = "used by the tests of clients")]
    pub fn add_folder(&self, file: &str, content: &[u8]) -> String {
        let folder = self.repo.with_extension("folder");
        fs::create_dir_all(&folder).expect("a folder can be made");
        fs::write(folder.join(file), content).expect("a file can be written");
        let output = self.run(&["add", "-Q", "-r", "--pin=false", &folder.to_string_lossy()]).code(0);
        output.text().trim().to_owned()
    }

    /// Returns whether it holds a recursive pin of `cid`.
    pub fn holds(&self, cid: &str) -> bool {
        self.run(&["pin", "ls", "--type=recursive", "-q"]).code(0).text().lines().any(|line| line == cid)
    }

    /// Pins a CID, as its owner does.
    #[allow(dead_code, reason = "used by the tests of pins")]
    pub fn pin(&self, cid: &str) {
        self.run(&["pin", "add", cid]).code(0);
    }

    /// What it holds: each CID, and whether it is the whole of it; nothing while it does not answer.
    #[allow(dead_code, reason = "used by the tests of pins")]
    pub fn pins(&self) -> BTreeMap<String, bool> {
        let mut pins = BTreeMap::new();
        // The command line would take the repository's lock from a daemon that starts.
        if !self.repo.join("api").exists() {
            return pins;
        }
        for (kind, is_whole) in [("direct", false), ("recursive", true)] {
            let output = self.run(&["pin", "ls", &format!("--type={kind}"), "-q"]);
            let held = if output.is_ok() { output.text().to_owned() } else { String::new() };
            pins.extend(held.lines().map(|cid| (cid.to_owned(), is_whole)));
        }
        pins
    }

    /// Connects with `other`; with itself is nothing.
    pub fn connect(&self, other: &Self) {
        if self.repo != other.repo {
            let output = other.run(&["id", "-f", "<addrs>"]).code(0);
            let address = output.text().lines().find(|line| line.starts_with("/ip4/127.0.0.1/tcp/")).map(str::to_owned);
            self.run(&["swarm", "connect", &address.expect("Kubo listens on loopback")]).code(0);
        }
    }

    fn run(&self, args: &[&str]) -> Output {
        Output::of(self.command().args(args))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(binary());
        command.env("IPFS_PATH", &self.repo).stderr(Stdio::null());
        command
    }
}

fn binary() -> PathBuf {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers/ipfs");
    let path = std::env::var_os("IPFS_BIN").map_or(built, PathBuf::from);
    assert!(path.exists(), "no Kubo: run scripts/peers");
    path
}
