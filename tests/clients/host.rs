//! Hosts with a cluster peer, of Go's or of ours, and a user who types there.
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{fs, iter};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::common::ports::free_port;
use crate::common::process::{Process, tail};
use crate::harness::{Kubo, wait_for};
use crate::judge::Answer;
use crate::mask::{masked, version};

/// How long a peer may take on a busy machine, to start, to end, or to hear of another.
const PATIENCE: Duration = Duration::from_mins(1);

/// Whose programs are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    Go,
    Ours,
}

impl Whose {
    pub const BOTH: [Self; 2] = [Self::Go, Self::Ours];

    /// Where a program is.
    pub fn program(self, name: &str) -> PathBuf {
        let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers").join(name);
        assert!(built.exists(), "no {name} of Go: run scripts/peers");
        match (self, name) {
            (Self::Go, _) => built,
            (Self::Ours, "ipfs-cluster-service") => env!("CARGO_BIN_EXE_ipfs-cluster-service").into(),
            (Self::Ours, "ipfs-cluster-ctl") => env!("CARGO_BIN_EXE_ipfs-cluster-ctl").into(),
            (Self::Ours, name) => panic!("no program of ours is called {name}"),
        }
    }
}

/// An IPFS daemon, and ports for a peer beside it. Go's peer and then ours run there.
pub struct Place {
    pub kubo: Kubo,
    pub rest: u16,
    swarm: u16,
    others: [u16; 2],
}

impl Place {
    /// Starts the daemon.
    pub fn new(repo: &Path) -> Self {
        let mut kubo = Kubo::init(repo);
        kubo.start();
        kubo.wait();
        Self { kubo, rest: free_port(), swarm: free_port(), others: [free_port(), free_port()] }
    }

    /// What a peer has in its environment: addresses that nobody else has, and intervals of a second.
    fn settings(&self) -> Vec<(&'static str, String)> {
        let address = |port: u16| format!("/ip4/127.0.0.1/tcp/{port}");
        vec![
            ("CLUSTER_LISTENMULTIADDRESS", address(self.swarm)),
            ("CLUSTER_RESTAPI_HTTPLISTENMULTIADDRESS", address(self.rest)),
            ("CLUSTER_PINSVCAPI_HTTPLISTENMULTIADDRESS", address(self.others[0])),
            ("CLUSTER_IPFSPROXY_LISTENMULTIADDRESS", address(self.others[1])),
            ("CLUSTER_IPFSHTTP_NODEMULTIADDRESS", self.kubo.api().to_owned()),
            ("CLUSTER_MDNSINTERVAL", "0s".to_owned()),
            ("CLUSTER_MONITORPINGINTERVAL", "1s".to_owned()),
            ("CLUSTER_DISK_METRICTTL", "4s".to_owned()),
            ("CLUSTER_TAGS_METRICTTL", "4s".to_owned()),
        ]
    }
}

/// A host of one session.
pub struct Host<'a> {
    pub name: String,
    whose: Whose,
    place: &'a Place,
    folder: PathBuf,
    secret: String,
    daemon: Option<Process>,
}

impl<'a> Host<'a> {
    /// A host whose user has that secret in his environment.
    pub fn new(whose: Whose, place: &'a Place, folder: PathBuf, secret: &str) -> Self {
        let name = folder.file_name().expect("a folder has a name").to_string_lossy().into_owned();
        Self { name, whose, place, folder, secret: secret.to_owned(), daemon: None }
    }

    /// Runs what the user types, to its end. `masked` is what is left of the texts.
    pub fn types(&self, line: &str, masked: impl Fn(&str) -> String) -> Answer {
        let output = self.command(line).stdin(Stdio::null()).output().unwrap_or_else(|e| panic!("{line}: {e}"));
        Answer::new(&output, masked)
    }

    /// Starts the daemon that the user types, and waits until it says that it is ready.
    pub fn starts(&mut self, line: &str) {
        let log = self.folder.with_extension("log");
        let before = fs::read_to_string(&log).unwrap_or_default().len();
        let mut process = Process::start(&self.command(line), &log);
        let told = || tail(&fs::read_to_string(&log).unwrap_or_default());
        wait_for(&format!("{line} is ready"), PATIENCE, told, || {
            assert_eq!(process.ended(), None, "{line}:\n{}", told());
            process.log()[before..].contains("** IPFS Cluster is READY **")
        });
        self.daemon = Some(process);
    }

    /// Types Ctrl-C; returns the exit code of the daemon.
    pub fn interrupts(&mut self) -> Option<i32> {
        let mut daemon = self.daemon.take().expect("it runs");
        daemon.signal(Signal::SIGINT);
        daemon.wait(PATIENCE).code()
    }

    /// The identity that init made.
    pub fn id(&self) -> String {
        let text = fs::read_to_string(self.folder.join("identity.json")).expect("init made an identity");
        let identity: Value = serde_json::from_str(&text).expect("an identity is JSON");
        identity["id"].as_str().expect("an identity has an ID").to_owned()
    }

    /// Where others reach the peer.
    pub fn address(&self) -> String {
        format!("/ip4/127.0.0.1/tcp/{}/p2p/{}", self.place.swarm, self.id())
    }

    /// Asks the peer until it prints what is waited for.
    pub fn until(&self, line: &str, is_so: impl Fn(&str) -> bool) {
        let ask = || self.types(line, str::to_owned).stdout;
        wait_for(&format!("{}: {line}", self.name), PATIENCE, ask, || is_so(&ask()));
    }

    /// The line as a command; ctl asks the peer of the host.
    fn command(&self, line: &str) -> Command {
        let mut words = line.split(' ');
        let program = words.next().expect("a line has a program");
        let mut command = Command::new(self.whose.program(program));
        if program == "ipfs-cluster-ctl" {
            command.arg("--host").arg(format!("/ip4/127.0.0.1/tcp/{}", self.place.rest));
        }
        command.args(words).envs(self.place.settings()).env("CLUSTER_PEERNAME", &self.name);
        command.env("CLUSTER_SECRET", &self.secret).env("IPFS_CLUSTER_PATH", &self.folder);
        command.env_remove("CLUSTER_CREDENTIALS");
        command
    }
}

/// What the texts of hosts are without moments, IDs, folders and versions, and in one order: IDs decide it, and they are each session's own.
pub fn plain(text: &str, hosts: &[Host<'_>], line: &str) -> String {
    let known = hosts.iter().filter(|host| host.folder.join("identity.json").exists());
    let ids = known.map(|host| (host.id(), format!("<{}>", host.name)));
    let folders =
        hosts.iter().map(|host| (host.folder.to_string_lossy().into_owned(), format!("<folder of {}>", host.name)));
    let text = ids.chain(folders).fold(text.to_owned(), |text, (from, to)| text.replace(&from, &to));
    let text = masked(&version(&text), line);
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines.iter().flat_map(|line| iter::once(*line).chain(["\n"])).collect()
}
