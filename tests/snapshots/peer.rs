//! A real `ipfs-cluster-service`, or a real `ipfs-cluster-follow`, without an IPFS daemon.
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::common::ports::free_port;
use super::common::process::{Process, now, tail};
use super::http::{Place, request};
use super::ipfs;

const SERVICE: &str = env!("CARGO_BIN_EXE_ipfs-cluster-service");
const FOLLOW: &str = env!("CARGO_BIN_EXE_ipfs-cluster-follow");

/// How long anything that a test waits for may take; the machine may be busy.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// What the log may have: 50 changes or so, so that every test drops most of it.
pub const LOG_BYTES: &str = "20000";

/// What a peer says when it joined a snapshot.
pub const JOINED: &str = "joined the state of";

/// What no peer of a test that lost nothing may say.
const FAULTS: [&str; 5] = [
    "the store is damaged",
    "does not open",
    "the pinset failed",
    "signed two histories",
    "lent a snapshot that is not",
];

/// The name that a follower has for the cluster.
const NAME: &str = "followed";

/// One cluster: its directory and its secret.
pub struct Cluster {
    pub dir: TempDir,
    secret: String,
}

/// What runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Program {
    Service,
    Follow,
}

/// A peer; it ends when it is dropped.
pub struct Peer {
    pub name: String,
    pub dir: PathBuf,
    program: Program,
    settings: Vec<(&'static str, String)>,
    place: Place,
    swarm: u16,
    process: Option<Process>,
}

impl Cluster {
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("snapshots").tempdir().expect("there is a place for temporary files");
        Self { dir, secret: hex::encode(rand::random::<[u8; 32]>()) }
    }

    /// A configured peer that does not run yet.
    pub fn peer(&self, name: &str) -> Peer {
        let (rest, swarm) = (free_port(), free_port());
        let tcp = |port: u16| format!("/ip4/127.0.0.1/tcp/{port}");
        let mut settings = settings(name, swarm);
        settings.extend([
            ("CLUSTER_SECRET", self.secret.clone()),
            ("CLUSTER_RESTAPI_HTTPLISTENMULTIADDRESS", tcp(rest)),
            ("CLUSTER_PINSVCAPI_HTTPLISTENMULTIADDRESS", tcp(free_port())),
            ("CLUSTER_IPFSPROXY_LISTENMULTIADDRESS", tcp(free_port())),
        ]);
        let dir = self.dir.path().join(name);
        let place = Place::Port(rest);
        let peer =
            Peer { name: name.to_owned(), dir, program: Program::Service, settings, place, swarm, process: None };
        run(peer.command(&["init"]));
        peer
    }

    /// A configured follower that trusts `publishers` and knows the addresses of `known`; it does not run yet.
    pub fn follower(&self, name: &str, publishers: &[&Peer], known: &[&Peer]) -> Peer {
        let mut template = publishers[0].file("service.json");
        template["cluster"]["listen_multiaddress"] = json!("/ip4/127.0.0.1/tcp/0");
        template["cluster"]["peername"] = json!("follower");
        template["cluster"]["peer_addresses"] = known.iter().map(|peer| peer.address()).collect();
        template["consensus"]["crdt"]["trusted_peers"] = publishers.iter().map(|peer| peer.id()).collect();
        let path = self.dir.path().join(format!("{name}.json"));
        fs::write(&path, template.to_string()).expect("the template can be written");
        let (dir, swarm) = (self.dir.path().join(name), free_port());
        let mut settings = settings(name, swarm);
        settings.push(("CLUSTER_IPFSHTTP_NODEMULTIADDRESS", format!("/ip4/127.0.0.1/tcp/{}", ipfs::listen())));
        let place = Place::Socket(dir.join(NAME).join("api-socket"));
        let peer = Peer { name: name.to_owned(), dir, program: Program::Follow, settings, place, swarm, process: None };
        run(peer.command(&["init", &path.to_string_lossy()]));
        peer
    }
}

/// What is in the environment of every peer; what a service is made with is written to its file.
fn settings(name: &str, swarm: u16) -> Vec<(&'static str, String)> {
    vec![
        ("CLUSTER_PEERNAME", name.to_owned()),
        ("CLUSTER_LISTENMULTIADDRESS", format!("/ip4/127.0.0.1/tcp/{swarm}")),
        ("CLUSTER_IPFSHTTP_NODEMULTIADDRESS", format!("/ip4/127.0.0.1/tcp/{}", free_port())),
        ("CLUSTER_CRDT_LOGBYTES", LOG_BYTES.to_owned()),
        ("CLUSTER_MDNSINTERVAL", "0s".to_owned()),
        ("CLUSTER_MONITORPINGINTERVAL", "1s".to_owned()),
    ]
}

fn run(mut command: Command) {
    let output = command.stdin(Stdio::null()).output().expect("the program starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Peer {
    /// Starts it, and waits until its API answers.
    pub fn start(&mut self, known: &[&Self]) {
        self.launch(known);
        let (place, log) = (self.place.clone(), self.log_path());
        let process = self.process.as_mut().expect("it was started");
        let from = now();
        while !request(&place, "GET", "/version").is_ok_and(|(code, _)| code == 200) {
            let told = || tail(&fs::read_to_string(&log).unwrap_or_default());
            assert!(process.ended().is_none(), "{} ended:\n{}", self.name, told());
            assert!(from.elapsed() < PATIENCE, "{} does not answer:\n{}", self.name, told());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Starts it without waiting.
    pub fn launch(&mut self, known: &[&Self]) {
        let known: Vec<String> = known.iter().map(|peer| peer.address()).collect();
        let known = known.join(",");
        let mut args = vec![if self.program == Program::Follow { "run" } else { "daemon" }];
        if !known.is_empty() {
            args.extend(["--bootstrap", known.as_str()]);
        }
        self.process = Some(Process::start(&self.command(&args), &self.log_path()));
    }

    /// Ends it with SIGTERM, which is a success.
    pub fn stop(&mut self) {
        let status = self.process.take().expect("it runs").stop();
        assert!(status.success(), "{} ended with {status}:\n{}", self.name, tail(&self.log()));
    }

    /// Ends it with SIGKILL.
    pub fn kill(&mut self) {
        self.process.take().expect("it runs").kill();
    }

    /// Sends SIGKILL while others ask it; [`Peer::kill`] follows.
    pub fn signal_kill(&self) {
        self.process.as_ref().expect("it runs").signal(Signal::SIGKILL);
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(if self.program == Program::Follow { FOLLOW } else { SERVICE });
        command.arg("--config").arg(&self.dir);
        if self.program == Program::Follow {
            command.arg(NAME);
        }
        command.args(args).envs(self.settings.iter().cloned());
        command
    }

    /// Puts the pins of an export in the place of its own.
    pub fn import(&self, file: &Path) {
        run(self.command(&["state", "import", "--force", &file.to_string_lossy()]));
    }

    /// The port of its REST API.
    pub fn port(&self) -> u16 {
        match self.place {
            Place::Port(port) => port,
            Place::Socket(_) => panic!("a follower's API is a socket"),
        }
    }

    /// Its resident memory, in mebibytes.
    pub fn rss_mib(&self) -> u64 {
        let pid = self.process.as_ref().expect("it runs").id();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has memory");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") / 1024
    }

    /// What its databases take on disk, in mebibytes.
    pub fn files_mib(&self) -> u64 {
        let blocks = |name: &str| fs::metadata(self.stores().join(name)).map_or(0, |file| file.blocks());
        (blocks("pinset.redb") + blocks("ledger.redb")) * 512 / (1 << 20)
    }

    /// Where its stores are.
    pub fn stores(&self) -> PathBuf {
        if self.program == Program::Follow { self.dir.join(NAME) } else { self.dir.clone() }
    }

    /// A copy of its folder under another name, with ports of its own and the same identity.
    pub fn copy(&self, test: &Path, name: &str) -> Self {
        let dir = test.join(name);
        copy_folder(&self.dir, &dir);
        let (rest, swarm) = (free_port(), free_port());
        let mut settings = self.settings.clone();
        for (key, value) in &mut settings {
            let port = match *key {
                "CLUSTER_RESTAPI_HTTPLISTENMULTIADDRESS" => rest,
                "CLUSTER_LISTENMULTIADDRESS" => swarm,
                "CLUSTER_PINSVCAPI_HTTPLISTENMULTIADDRESS" | "CLUSTER_IPFSPROXY_LISTENMULTIADDRESS" => free_port(),
                _ => continue,
            };
            *value = format!("/ip4/127.0.0.1/tcp/{port}");
        }
        let place = Place::Port(rest);
        Self { name: name.to_owned(), dir, program: self.program, settings, place, swarm, process: None }
    }

    /// Puts `backup` in the place of its folder.
    pub fn restore(&self, backup: &Path) {
        fs::remove_dir_all(&self.dir).expect("its folder can be removed");
        copy_folder(backup, &self.dir);
    }

    /// Where others reach it.
    pub fn address(&self) -> String {
        format!("/ip4/127.0.0.1/tcp/{}/p2p/{}", self.swarm, self.id())
    }

    /// Its ID.
    pub fn id(&self) -> String {
        let folder = self.stores();
        let text = fs::read_to_string(folder.join("identity.json")).expect("it has an identity");
        let identity: Value = serde_json::from_str(&text).expect("which is JSON");
        identity["id"].as_str().expect("and has an id").to_owned()
    }

    fn file(&self, name: &str) -> Value {
        let text = fs::read_to_string(self.dir.join(name)).expect("the file is there");
        serde_json::from_str(&text).expect("and is JSON")
    }

    /// Pins a CID under a name.
    pub fn pin(&self, cid: &str, name: &str) {
        self.ask("POST", &format!("/pins/{cid}?name={name}"));
    }

    /// Pins CIDs under a name, one after the other.
    pub fn pin_all(&self, cids: &[String], name: &str) {
        for cid in cids {
            self.pin(cid, name);
        }
    }

    /// Unpins a CID.
    pub fn unpin(&self, cid: &str) {
        self.ask("DELETE", &format!("/pins/{cid}"));
    }

    fn ask(&self, method: &str, path: &str) {
        let (code, body) = request(&self.place, method, path).unwrap_or_else(|e| panic!("{}: {path}: {e}", self.name));
        assert_eq!(code, 200, "{}: {method} {path}: {body}", self.name);
    }

    /// Pins `n` new CIDs; returns them.
    pub fn pin_new(&self, n: usize) -> Vec<String> {
        let cids: Vec<String> = (0..n).map(|_| random_cid()).collect();
        for cid in &cids {
            self.pin(cid, "pinned");
        }
        cids
    }

    /// Pins new CIDs until told to stop or the peer is gone; returns what was acknowledged.
    pub fn pin_until(&self, stop: &AtomicBool) -> Vec<String> {
        let mut acknowledged = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let cid = random_cid();
            match request(&self.place, "POST", &format!("/pins/{cid}?name=stream")) {
                Ok((200, _)) => acknowledged.push(cid),
                Ok((code, body)) => panic!("{code}: {body}"),
                Err(_) => break,
            }
        }
        acknowledged
    }

    /// Its pinset: every pin with all that it says, in its own order; [`None`] while it does not answer.
    pub fn pinset(&self) -> Option<Vec<String>> {
        let (code, body) = request(&self.place, "GET", "/allocations").ok()?;
        (code == 200).then(|| body.lines().map(ToOwned::to_owned).collect())
    }

    /// How its replication stands; null while it does not answer.
    pub fn replication(&self) -> Value {
        let answer = request(&self.place, "GET", "/health/replication").ok();
        answer.and_then(|(_, body)| serde_json::from_str(&body).ok()).unwrap_or_default()
    }

    /// How often it has said `part`.
    pub fn said(&self, part: &str) -> usize {
        self.log().lines().filter(|line| line.contains(part)).count()
    }

    /// All that it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.dir.with_extension("log")
    }

    /// Asserts that it found nothing to repair.
    pub fn assert_sound(&self) {
        for fault in FAULTS {
            assert_eq!(self.said(fault), 0, "{}: {fault:?}:\n{}", self.name, tail(&self.log()));
        }
    }

    /// Polls until `done`; panics with `what` and the end of the log. Returns how long it took.
    pub fn until(&self, what: &str, mut done: impl FnMut(&Self) -> bool) -> Duration {
        let from = now();
        while !done(self) {
            assert!(from.elapsed() < PATIENCE, "{}: {what}: not within {PATIENCE:?}\n{}", self.name, tail(&self.log()));
            thread::sleep(Duration::from_millis(50));
        }
        from.elapsed()
    }
}

/// Waits until all have one clock, one digest and one pinset; returns it.
pub fn until_equal(peers: &[&Peer]) -> Vec<String> {
    let state = |peer: &Peer| {
        let told = peer.replication();
        (told["joining"] == false).then(|| (told["clock"].clone(), told["digest"].clone(), told["pins"].clone()))
    };
    let mut same = Vec::new();
    peers[0].until("all have one pinset", |first| {
        let Some(digest) = state(first) else { return false };
        if peers[1..].iter().any(|peer| state(peer).as_ref() != Some(&digest)) {
            return false;
        }
        let Some(pinset) = first.pinset() else { return false };
        let is_same = peers[1..].iter().all(|peer| peer.pinset().as_ref() == Some(&pinset));
        same = pinset;
        is_same
    });
    same
}

/// Asserts that each CID is in a pinset.
pub fn assert_has(pinset: &[String], cids: &[String], when: &str) {
    let missing = cids.iter().filter(|cid| !pinset.iter().any(|line| line.contains(cid.as_str()))).count();
    assert_eq!(missing, 0, "of {} acknowledged pins: lost {when}", cids.len());
}

/// A CID that nobody has the content of.
pub fn random_cid() -> String {
    let hash = multihash::Multihash::<64>::wrap(0x12, &rand::random::<[u8; 32]>()).expect("32 bytes fit");
    cid::Cid::new_v1(0x55, hash).to_string()
}

/// Copies a folder whose peer does not run.
pub fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder can be made");
    for entry in fs::read_dir(from).expect("the folder can be read") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("its kind").is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a file can be copied");
        }
    }
}
