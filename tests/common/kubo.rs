//! A real Kubo for tests: its own directory, loopback, an RPC port that stays its own; it ends with its owner.
#[path = "ports.rs"]
mod ports;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How often a daemon is asked whether it is ready, and how long to wait in between: a minute in all.
const ASKS_MAX: usize = 1_200;
const ASK_EVERY: Duration = Duration::from_millis(50);

/// A daemon.
pub struct Kubo {
    dir: tempfile::TempDir,
    child: Option<Child>,
    api: SocketAddr,
}

#[allow(dead_code, reason = "each test program uses its part")]
impl Kubo {
    /// Makes a repository and starts a daemon on it.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// As [`Kubo::start`], with settings of its configuration: key and JSON value.
    pub fn start_with(settings: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("a directory for Kubo");
        let mut kubo = Self { dir, child: None, api: ([127, 0, 0, 1], ports::free_port()).into() };
        kubo.ipfs(&["init", "--profile=test"]);
        // A later start takes the same port, as a daemon at home does.
        let api = format!("\"{}\"", kubo.node());
        let own = [
            ("Addresses.API", api.as_str()),
            ("Addresses.Gateway", "\"/ip4/127.0.0.1/tcp/0\""),
            ("Addresses.Swarm", "[\"/ip4/127.0.0.1/tcp/0\"]"),
            ("Routing.Type", "\"none\""),
            ("Discovery.MDNS.Enabled", "false"),
        ];
        for (key, value) in own.iter().chain(settings) {
            kubo.ipfs(&["config", "--json", key, value]);
        }
        kubo.run();
        kubo
    }

    /// The multiaddress of its RPC port.
    pub fn node(&self) -> String {
        format!("/ip4/127.0.0.1/tcp/{}", self.api.port())
    }

    /// Its RPC port.
    pub fn api(&self) -> SocketAddr {
        self.api
    }

    /// Its repository.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Ends the daemon; the repository stays.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts the daemon again, on the same port.
    pub fn run(&mut self) {
        let _ = std::fs::remove_file(self.dir.path().join("api"));
        let log = std::fs::File::create(self.dir.path().join("daemon.log")).expect("a log file");
        let errors = log.try_clone().expect("the same log file");
        let mut command = self.command();
        command.arg("daemon").stdin(Stdio::null()).stdout(log).stderr(errors);
        self.child = Some(command.spawn().expect("Kubo starts"));
        let log = || std::fs::read_to_string(self.dir.path().join("daemon.log")).unwrap_or_default();
        for _ in 0..ASKS_MAX {
            if self.is_ready() {
                return;
            }
            let ended = self.child.as_mut().expect("it was started").try_wait().expect("its state is known");
            assert!(ended.is_none(), "Kubo ended: {}", log());
            std::thread::sleep(ASK_EVERY);
        }
        panic!("Kubo did not answer within a minute: {}", log());
    }

    /// Runs the `ipfs` program on its repository; returns what it printed, trimmed.
    pub fn ipfs(&self, arguments: &[&str]) -> String {
        let out = self.command().args(arguments).output().expect("the ipfs program runs");
        let errors = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(out.status.success(), "ipfs {arguments:?}: {errors}");
        String::from_utf8_lossy(&out.stdout).trim().to_owned()
    }

    /// Adds a file without pinning it; returns its CID.
    pub fn add(&self, content: &[u8]) -> String {
        let mut command = self.command();
        command.args(["add", "-Q", "--pin=false"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the ipfs program runs");
        child.stdin.take().expect("a pipe").write_all(content).expect("ipfs add reads");
        let out = child.wait_with_output().expect("ipfs add ends");
        assert!(out.status.success(), "ipfs add failed");
        String::from_utf8_lossy(&out.stdout).trim().to_owned()
    }

    fn command(&self) -> Command {
        let mut command = Command::new(program());
        command.env("IPFS_PATH", self.dir.path()).env("HOME", self.dir.path());
        command
    }

    /// Before the daemon has written where it is, the command line would take the repository's lock from it.
    fn is_ready(&self) -> bool {
        self.dir.path().join("api").exists() && answers(self.api)
    }
}

impl Drop for Kubo {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The `ipfs` program: `IPFS_BIN`, or what `scripts/peers` built.
fn program() -> PathBuf {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers/ipfs");
    let path = std::env::var_os("IPFS_BIN").map_or(built, PathBuf::from);
    assert!(path.exists(), "no Kubo: run scripts/peers");
    path
}

fn answers(api: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect_timeout(&api, Duration::from_secs(1)) else { return false };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    let request = format!("POST /api/v0/id HTTP/1.1\r\nHost: {api}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    let mut answer = String::new();
    stream.write_all(request.as_bytes()).is_ok()
        && stream.read_to_string(&mut answer).is_ok()
        && answer.starts_with("HTTP/1.1 200")
}
