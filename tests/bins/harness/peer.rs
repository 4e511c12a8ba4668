//! A real `ipfs-cluster-service` with its own Kubo.
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::{Kubo, Output, wait_for};
use crate::common::ports::free_port;
use crate::common::process::{Process, tail};

/// How long anything that a test waits for may take: one ping interval is 1 s here, and the machine may be busy.
pub const PATIENCE: Duration = Duration::from_mins(1);

const SERVICE: &str = env!("CARGO_BIN_EXE_ipfs-cluster-service");
const CTL: &str = env!("CARGO_BIN_EXE_ipfs-cluster-ctl");

/// A peer with a directory, ports and a Kubo of its own; it ends when it is dropped.
#[derive(Debug)]
pub struct Peer {
    name: String,
    dir: PathBuf,
    rest: u16,
    swarm: u16,
    kubo: Kubo,
    process: Option<Process>,
}

impl Peer {
    /// Makes a configuration, and a Kubo that runs.
    pub fn init(test: &Path, name: &str, secret: &str) -> Self {
        let mut kubo = Kubo::init(&test.join(format!("kubo-{name}")));
        kubo.start();
        let peer = Self {
            name: name.to_owned(),
            dir: test.join(name),
            rest: free_port(),
            swarm: free_port(),
            kubo,
            process: None,
        };
        let mut command = peer.service(&["init"]);
        // What is in the environment at init is written to the file.
        command.env("CLUSTER_SECRET", secret).envs(peer.settings());
        Output::of(&mut command).code(0).stderr("configuration written to");
        peer
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("CLUSTER_PEERNAME", self.name.clone()),
            ("CLUSTER_LISTENMULTIADDRESS", format!("/ip4/127.0.0.1/tcp/{}", self.swarm)),
            ("CLUSTER_RESTAPI_HTTPLISTENMULTIADDRESS", format!("/ip4/127.0.0.1/tcp/{}", self.rest)),
            ("CLUSTER_PINSVCAPI_HTTPLISTENMULTIADDRESS", format!("/ip4/127.0.0.1/tcp/{}", free_port())),
            ("CLUSTER_IPFSPROXY_LISTENMULTIADDRESS", format!("/ip4/127.0.0.1/tcp/{}", free_port())),
            ("CLUSTER_IPFSHTTP_NODEMULTIADDRESS", self.kubo.api().to_owned()),
            ("CLUSTER_MDNSINTERVAL", "0s".to_owned()),
            ("CLUSTER_MONITORPINGINTERVAL", "1s".to_owned()),
            ("CLUSTER_PUBSUBMON_CHECKINTERVAL", "1s".to_owned()),
            ("CLUSTER_DISK_METRICTTL", "4s".to_owned()),
            ("CLUSTER_TAGS_METRICTTL", "4s".to_owned()),
        ]
    }

    /// Starts the daemon, once its Kubo answers, and waits until its API does.
    pub fn start(&mut self, args: &[&str]) {
        self.kubo.wait();
        self.start_alone(args);
    }

    /// As [`Peer::start`], whatever its Kubo does.
    pub fn start_alone(&mut self, args: &[&str]) {
        let command = self.service(&[&["daemon"], args].concat());
        self.process = Some(Process::start(&command, &self.dir.with_extension("log")));
        self.wait("its API answers", |peer| {
            let ended = peer.process.as_mut().and_then(Process::ended);
            assert!(ended.is_none(), "{} ended with {ended:?}:\n{}", peer.name, tail(&peer.log()));
            peer.ctl(["id"]).is_ok()
        });
    }

    /// As [`Peer::start`], with an API that lets nobody in without a password.
    #[allow(dead_code, reason = "used by the tests of the REST API")]
    pub fn start_protected(&mut self) {
        let command = self.service(&["daemon"]);
        self.process = Some(Process::start(&command, &self.dir.with_extension("log")));
        let is_up = |peer: &mut Self| matches!(super::request(peer.rest, "GET", "/health"), Ok((204, _)));
        self.wait("its API answers", is_up);
    }

    /// Kills the daemon with SIGKILL.
    pub fn kill(&mut self) {
        self.process.take().expect("it runs").kill();
    }

    /// Sends the daemon a signal.
    #[allow(dead_code, reason = "used by the tests of faults")]
    pub fn signal(&self, signal: Signal) {
        self.process.as_ref().expect("it runs").signal(signal);
    }

    /// Ends the daemon with SIGTERM, which is a success.
    pub fn stop(&mut self) {
        let log = self.log();
        let status = self.process.take().expect("it runs").stop();
        assert!(status.success(), "{} ended with {status}:\n{}", self.name, tail(&log));
    }

    /// `ipfs-cluster-service` on its directory.
    pub fn service(&self, args: &[&str]) -> Command {
        let mut command = Command::new(SERVICE);
        command.arg("--config").arg(&self.dir).args(args);
        command
    }

    /// Runs `ipfs-cluster-ctl` against it.
    pub fn ctl<const N: usize>(&self, args: [&str; N]) -> Output {
        Output::of(Command::new(CTL).arg("--host").arg(self.api()).args(args))
    }

    /// As [`Peer::ctl`], with the values that it prints as JSON; none when it fails.
    pub fn json<const N: usize>(&self, args: [&str; N]) -> Vec<Value> {
        let output = Output::of(Command::new(CTL).arg("--host").arg(self.api()).arg("--enc=json").args(args));
        if output.is_ok() { output.json() } else { Vec::new() }
    }

    /// Its pinset, as CIDs in order.
    pub fn pinset(&self) -> Vec<String> {
        let mut cids: Vec<String> = self.json(["pin", "ls"]).iter().map(|pin| text(&pin["cid"])).collect();
        cids.sort();
        cids
    }

    /// The status of `cid` on each peer as this one sees it, by peer ID.
    pub fn statuses(&self, cid: &str) -> Vec<(String, String)> {
        let infos = self.json(["status", cid]);
        let peers = infos.first().and_then(|info| info["peer_map"].as_object());
        peers.into_iter().flatten().map(|(peer, info)| (peer.clone(), text(&info["status"]))).collect()
    }

    /// How many peers have `cid` in `status`, as this one sees it.
    pub fn count(&self, cid: &str, status: &str) -> usize {
        self.statuses(cid).iter().filter(|(_, found)| found == status).count()
    }

    /// Waits until it sees `n` members, each with a live freespace metric.
    pub fn wait_for_members(&self, n: usize) {
        let members = |peer: &Self| {
            let id = peer.json(["id"]);
            id.first().and_then(|id| id["cluster_peers"].as_array()).map_or(0, Vec::len)
        };
        let metrics = |peer: &Self| {
            peer.json(["health", "metrics", "freespace"]).first().and_then(Value::as_array).map_or(0, Vec::len)
        };
        self.until(&format!("{} sees {n} members", self.name), |peer| members(peer) == n && metrics(peer) >= n);
    }

    /// Polls until `done`; panics with `what` and the end of the log.
    pub fn until(&self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        wait_for(&format!("{}: {what}", self.name), PATIENCE, || tail(&self.log()), || done(self));
    }

    fn wait(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let (name, log) = (self.name.clone(), self.dir.with_extension("log"));
        let told = || tail(&fs::read_to_string(&log).unwrap_or_default());
        wait_for(&format!("{name}: {what}"), PATIENCE, told, || done(self));
    }

    /// All that its daemons have logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.with_extension("log")).unwrap_or_default()
    }

    /// Its Kubo.
    pub fn kubo(&self) -> &Kubo {
        &self.kubo
    }

    /// Its Kubo, to be started or stopped.
    pub fn kubo_mut(&mut self) -> &mut Kubo {
        &mut self.kubo
    }

    /// Its ID.
    pub fn id(&self) -> String {
        text(&self.file("identity.json")["id"])
    }

    /// Where others reach it.
    pub fn swarm_address(&self) -> String {
        format!("/ip4/127.0.0.1/tcp/{}/p2p/{}", self.swarm, self.id())
    }

    /// The port of its REST API.
    pub fn rest_port(&self) -> u16 {
        self.rest
    }

    fn api(&self) -> String {
        format!("/ip4/127.0.0.1/tcp/{}", self.rest)
    }

    /// One of its JSON files.
    pub fn file(&self, name: &str) -> Value {
        let text = fs::read_to_string(self.dir.join(name)).unwrap_or_else(|e| panic!("{name} of {}: {e}", self.name));
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name} of {}: {e}", self.name))
    }

    /// Changes `service.json`.
    pub fn configure(&self, change: impl FnOnce(&mut Value)) {
        let mut value = self.file("service.json");
        change(&mut value);
        fs::write(self.dir.join("service.json"), value.to_string()).expect("the configuration can be written");
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
