//! A real `ipfs-cluster-follow` with its own Kubo.
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::peer::PATIENCE;
use super::{Kubo, Output, Peer, wait_for};
use crate::common::process::{Process, tail};

const FOLLOW: &str = env!("CARGO_BIN_EXE_ipfs-cluster-follow");
const CTL: &str = env!("CARGO_BIN_EXE_ipfs-cluster-ctl");

/// The name that it has for the cluster.
const NAME: &str = "followed";

/// A follower with a directory and a Kubo of its own; it ends when it is dropped.
#[derive(Debug)]
pub struct Follower {
    dir: PathBuf,
    kubo: Kubo,
    process: Option<Process>,
}

impl Follower {
    /// Makes a template that trusts `peers`, a configuration that points to it, and a Kubo that runs.
    pub fn init(test: &Path, peers: &[&Peer]) -> Self {
        let template = test.join("template.json");
        fs::write(&template, template_of(peers).to_string()).expect("the template can be written");
        let mut kubo = Kubo::init(&test.join("kubo-follower"));
        kubo.start();
        let follower = Self { dir: test.join("follow"), kubo, process: None };
        follower.follow(&["init", &template.to_string_lossy()]).code(0).stdout("follower peer initialized");
        follower
    }

    /// Makes the same follower anew, of the template that its Kubo has under an IPNS name; returns the name.
    pub fn init_by_name(&mut self) -> String {
        fs::remove_dir_all(self.dir.join(NAME)).expect("it was initialized");
        self.kubo.wait();
        let template = fs::read(self.dir.with_file_name("template.json")).expect("there is a template");
        let name = self.kubo.publish(&template);
        let mut command = self.command(&["init", &name]);
        let output = Output::of(command.env("IPFS_GATEWAY", self.kubo.gateway()));
        output.code(0).stdout(&format!("assumed to be an DNSLink-powered address: /ipns/{name}"));
        name
    }

    /// Makes the same follower anew, with a byte budget.
    pub fn init_with_budget(&self, size: &str) {
        fs::remove_dir_all(self.dir.join(NAME)).expect("it was initialized");
        let template = self.dir.with_file_name("template.json");
        self.follow(&["init", "--max-bytes", size, &template.to_string_lossy()]).code(0);
    }

    /// Starts it and waits until its API answers.
    pub fn start(&mut self) {
        self.kubo.wait();
        let mut command = self.command(&["run"]);
        command.env("CLUSTER_IPFSHTTP_NODEMULTIADDRESS", self.kubo.api());
        self.process = Some(Process::start(&command, &self.log_path()));
        self.until("its API answers", |follower| follower.ctl(["id"]).is_ok());
    }

    /// Ends it with SIGTERM, which is a success.
    pub fn stop(&mut self) {
        let status = self.process.take().expect("it runs").stop();
        assert!(status.success(), "the follower ended with {status}:\n{}", tail(&self.log()));
    }

    /// Changes the template that it follows, and tells it so.
    pub fn retemplate(&self, change: impl FnOnce(&mut Value)) {
        let path = self.dir.with_file_name("template.json");
        let mut template = serde_json::from_slice(&fs::read(&path).expect("there is a template")).expect("it is JSON");
        change(&mut template);
        fs::write(&path, template.to_string()).expect("the template can be written");
        if let Some(process) = &self.process {
            process.signal(Signal::SIGHUP);
        }
    }

    /// Runs `ipfs-cluster-follow` on its cluster.
    pub fn follow(&self, args: &[&str]) -> Output {
        Output::of(&mut self.command(args))
    }

    /// Runs `ipfs-cluster-ctl` against its socket.
    pub fn ctl<const N: usize>(&self, args: [&str; N]) -> Output {
        let socket = self.dir.join(NAME).join("api-socket");
        Output::of(Command::new(CTL).arg("--host").arg(format!("/unix{}", socket.display())).args(args))
    }

    /// Its Kubo.
    pub fn kubo(&self) -> &Kubo {
        &self.kubo
    }

    /// Polls until `done`; panics with `what` and the end of the log.
    pub fn until(&self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        wait_for(&format!("the follower: {what}"), PATIENCE, || tail(&self.log()), || done(self));
    }

    /// All that it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.dir.with_extension("log")
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(FOLLOW);
        command.arg("--config").arg(&self.dir).arg(NAME).args(args);
        command
    }
}

/// What publishers give out: the secret, where they are, whom to trust.
fn template_of(peers: &[&Peer]) -> Value {
    let mut template = peers[0].file("service.json");
    let ids: Vec<String> = peers.iter().map(|peer| peer.id()).collect();
    let addresses: Vec<String> = peers.iter().map(|peer| peer.swarm_address()).collect();
    template["cluster"]["listen_multiaddress"] = json!("/ip4/127.0.0.1/tcp/0");
    template["cluster"]["peername"] = json!("follower");
    template["cluster"]["peer_addresses"] = json!(addresses);
    template["consensus"]["crdt"]["trusted_peers"] = json!(ids);
    template
}
