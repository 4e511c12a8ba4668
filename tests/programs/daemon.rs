//! Real daemons on loopback, whose IPFS daemons are away.
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

use ipfs_cluster::config::File;
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::common::ports::free_port;
use crate::common::process::{Process, now, tail};
use crate::stage::{Answer, Stage, text};

/// How long anything that a test waits for may take, on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

const SERVICE: &str = env!("CARGO_BIN_EXE_ipfs-cluster-service");

/// A peer with a folder and ports of its own; it ends when it is dropped.
pub struct Daemon<'a> {
    stage: &'a Stage,
    pub folder: PathBuf,
    rest: u16,
    swarm: u16,
    process: Option<Process>,
}

impl<'a> Daemon<'a> {
    /// Makes a configuration; all daemons of a stage have one secret.
    pub fn new(stage: &'a Stage, name: &str) -> Self {
        let folder = stage.init_with(name, "cluster.secret", "5e".repeat(32).into());
        let daemon = Self { stage, folder, rest: free_port(), swarm: free_port(), process: None };
        let listen = |port: u16| format!("/ip4/127.0.0.1/tcp/{port}");
        daemon.configure("cluster.listen_multiaddress", listen(daemon.swarm));
        daemon.configure("cluster.mdns_interval", "0s");
        daemon.configure("api.restapi.http_listen_multiaddress", listen(daemon.rest));
        // Nobody listens on port 1, which only root could take.
        daemon.configure("ipfs_connector.ipfshttp.node_multiaddress", listen(1));
        daemon
    }

    /// Changes a key of its configuration.
    pub fn configure(&self, key: &str, value: impl Into<Value>) {
        let path = self.folder.join("service.json");
        let mut file = File::read(&path).expect("there is a configuration");
        file.set(key, value);
        std::fs::write(path, file.to_text()).expect("a configuration can be written");
    }

    /// Starts it and waits until its API answers.
    pub fn start(&mut self, words: &[&str]) {
        self.start_in(&[], words);
    }

    /// As [`Daemon::start`], of one that asks who is there.
    pub fn start_as(&mut self, words: &[&str], login: &[&str]) {
        self.launch(&[], words, login);
    }

    /// As [`Daemon::start`], with variables of its environment.
    pub fn start_in(&mut self, environment: &[(&str, &str)], words: &[&str]) {
        self.launch(environment, words, &[]);
    }

    fn launch(&mut self, environment: &[(&str, &str)], words: &[&str], login: &[&str]) {
        let mut command = Command::new(SERVICE);
        command.envs(environment.iter().copied());
        command.arg("--config").arg(&self.folder).arg("daemon").args(words);
        self.process = Some(Process::start(&command, &self.log_path()));
        self.until("its API answers", |daemon| daemon.ctl(&[login, &["id"]].concat()).code == 0);
    }

    /// Ends it with SIGTERM, which is a success.
    pub fn stop(&mut self) {
        let status = self.process.take().expect("it runs").stop();
        assert!(status.success(), "it ended with {status}:\n{}", tail(&self.log()));
    }

    /// Ends it with SIGKILL.
    pub fn kill(&mut self) {
        self.process.take().expect("it runs").kill();
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        self.process.as_ref().expect("it runs").signal(signal);
    }

    /// Runs `ipfs-cluster-service` on its folder.
    pub fn service(&self, words: &[&str], stdin: &str) -> Answer {
        let folder = text(&self.folder);
        let words: Vec<&str> = ["--config", &folder].into_iter().chain(words.iter().copied()).collect();
        self.stage.run("ipfs-cluster-service", &words, &[], stdin)
    }

    /// Runs `ipfs-cluster-ctl` against it.
    pub fn ctl(&self, words: &[&str]) -> Answer {
        let host = format!("/ip4/127.0.0.1/tcp/{}", self.rest);
        let words: Vec<&str> = ["--host", &host].into_iter().chain(words.iter().copied()).collect();
        self.stage.run("ipfs-cluster-ctl", &words, &[], "")
    }

    /// Pins a CID.
    pub fn pin(&self, cid: &str) {
        let answer = self.ctl(&["pin", "add", "--no-status", cid]);
        assert_eq!(answer.code, 0, "{answer:?}");
    }

    /// Whether a CID is in its pinset.
    pub fn has(&self, cid: &str) -> bool {
        self.ctl(&["pin", "ls", cid]).code == 0
    }

    /// The port of its API.
    pub fn rest(&self) -> u16 {
        self.rest
    }

    /// Its ID.
    pub fn id(&self) -> String {
        self.service(&["id"], "").stdout.trim().to_owned()
    }

    /// Where others reach it.
    pub fn address(&self) -> String {
        format!("/ip4/127.0.0.1/tcp/{}/p2p/{}", self.swarm, self.id())
    }

    /// Polls until `done`; panics with `what` and the end of the log.
    pub fn until(&mut self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        let from = now();
        while !done(self) {
            let ended = self.process.as_mut().and_then(Process::ended);
            assert!(ended.is_none(), "it ended with {ended:?}:\n{}", tail(&self.log()));
            assert!(from.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}:\n{}", tail(&self.log()));
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// All that its runs have logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.folder.with_extension("log")
    }
}
