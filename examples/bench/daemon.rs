//! A peer in a process of its own, with or without a Kubo.
#![allow(dead_code, reason = "each bench uses a part of it")]
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::Error;
use super::common::ports::free_port;
use super::common::process::{Process, now, tail};
use super::http::Connection;
use super::kubo;

/// How long a start may take.
const START_MAX: Duration = Duration::from_mins(1);

/// A peer; it ends when it is dropped.
pub struct Daemon {
    dir: PathBuf,
    rest: u16,
    swarm: u16,
    process: Option<Process>,
    service: PathBuf,
    _kubo: Option<Process>,
}

impl Daemon {
    /// Makes a configuration, with the secret of `like` if there is one, and starts its Kubo.
    pub fn init(dir: &Path, name: &str, like: Option<&Self>) -> Result<Self, Error> {
        let (kubo, api) = kubo::start(&dir.join(format!("kubo-{name}")))?;
        Self::configure(dir, name, own_service()?, like, (Some(kubo), api), &[])
    }

    /// As [`Daemon::init`], of another program with the same commands, and with a Kubo that is there.
    pub fn of(service: PathBuf, dir: &Path, name: &str, kubo: (Process, String)) -> Result<Self, Error> {
        let (process, api) = kubo;
        Self::configure(dir, name, service, None, (Some(process), api), &[])
    }

    /// As [`Daemon::init`], with variables of its own, and no IPFS daemon where it looks for one.
    pub fn bare(dir: &Path, name: &str, like: Option<&Self>, variables: &[(&str, &str)]) -> Result<Self, Error> {
        let nobody = format!("/ip4/127.0.0.1/tcp/{}", free_port());
        Self::configure(dir, name, own_service()?, like, (None, nobody), variables)
    }

    fn configure(
        dir: &Path,
        name: &str,
        service: PathBuf,
        like: Option<&Self>,
        (kubo, api): (Option<Process>, String),
        variables: &[(&str, &str)],
    ) -> Result<Self, Error> {
        let (rest, swarm) = (free_port(), free_port());
        let daemon = Self { dir: dir.join(name), rest, swarm, process: None, service, _kubo: kubo };
        let mut init = daemon.command(&["init"]);
        let tcp = |port: u16| format!("/ip4/127.0.0.1/tcp/{port}");
        init.env("CLUSTER_PEERNAME", name)
            .env("CLUSTER_LISTENMULTIADDRESS", tcp(daemon.swarm))
            .env("CLUSTER_RESTAPI_HTTPLISTENMULTIADDRESS", tcp(daemon.rest))
            .env("CLUSTER_PINSVCAPI_HTTPLISTENMULTIADDRESS", tcp(free_port()))
            .env("CLUSTER_IPFSPROXY_LISTENMULTIADDRESS", tcp(free_port()))
            .env("CLUSTER_IPFSHTTP_NODEMULTIADDRESS", api)
            .env("CLUSTER_MDNSINTERVAL", "0s")
            .env("CLUSTER_MONITORPINGINTERVAL", "2s")
            .envs(variables.iter().copied());
        if let Some(like) = like {
            let secret = like.file("service.json")?["cluster"]["secret"].as_str().unwrap_or_default().to_owned();
            init.env("CLUSTER_SECRET", secret);
        }
        let output = init.stdin(Stdio::null()).output()?;
        if !output.status.success() {
            return Err(format!("init of {name}: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
        Ok(daemon)
    }

    /// Starts the daemon; returns how long it took until its API answered.
    pub async fn start(&mut self, bootstrap: Option<&Self>) -> Result<Duration, Error> {
        let addresses: Vec<String> = bootstrap.map(Self::swarm_address).transpose()?.into_iter().collect();
        self.start_at(&addresses).await
    }

    /// As [`Daemon::start`], with addresses of peers.
    pub async fn start_at(&mut self, addresses: &[String]) -> Result<Duration, Error> {
        let addresses = addresses.join(",");
        let mut args = vec!["daemon"];
        if !addresses.is_empty() {
            args.extend(["--bootstrap", &addresses]);
        }
        let command = self.command(&args);
        let began = now();
        self.process = Some(Process::start(&command, &self.dir.with_extension("log")));
        loop {
            if let Ok(mut connection) = Connection::open(self.rest).await
                && connection.get("/version").await.is_ok_and(|answer| answer.code == 200)
            {
                return Ok(began.elapsed());
            }
            if began.elapsed() > START_MAX || self.process.as_mut().is_some_and(|process| process.ended().is_some()) {
                return Err(format!("no REST API after {:?}:\n{}", began.elapsed(), self.log_tail()).into());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Ends it with SIGTERM.
    pub fn stop(&mut self) -> Result<(), Error> {
        let status = self.process.take().ok_or("it does not run")?.stop();
        if status.success() { Ok(()) } else { Err(format!("it ended with {status}:\n{}", self.log_tail()).into()) }
    }

    /// Ends it with SIGKILL.
    pub fn kill(&mut self) -> Result<(), Error> {
        self.process.take().ok_or("it does not run")?.kill();
        Ok(())
    }

    /// The port of its REST API.
    pub fn rest(&self) -> u16 {
        self.rest
    }

    /// Waits until it sees `n` members.
    pub async fn wait_for_members(&self, n: usize, limit: Duration) -> Result<(), Error> {
        let members = |body: &[u8]| {
            let id: Value = serde_json::from_slice(body).unwrap_or_default();
            id["cluster_peers"].as_array().map_or(0, Vec::len)
        };
        self.wait_for("/id", limit, &format!("{n} members"), |body| members(body) == n).await
    }

    /// Waits until it lists `n` pins.
    pub async fn wait_for_pins(&self, n: usize, limit: Duration) -> Result<(), Error> {
        let lines = |body: &[u8]| body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
        self.wait_for("/allocations", limit, &format!("{n} pins"), |body| lines(body) == n).await
    }

    async fn wait_for(
        &self,
        path: &str,
        limit: Duration,
        what: &str,
        done: impl Fn(&[u8]) -> bool,
    ) -> Result<(), Error> {
        let began = now();
        let mut connection = Connection::open(self.rest).await?;
        while !done(&connection.get(path).await?.body) {
            if began.elapsed() > limit {
                return Err(format!("{}: not {what} within {limit:?}:\n{}", self.dir.display(), self.log_tail()).into());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// Its resident memory.
    pub fn rss_mb(&self) -> f64 {
        self.memory_mb("VmRSS:")
    }

    /// The most that its resident memory has been since its start, or since [`Daemon::forget_peak`].
    pub fn peak_mb(&self) -> f64 {
        self.memory_mb("VmHWM:")
    }

    /// The peak begins again.
    pub fn forget_peak(&self) -> Result<(), Error> {
        Ok(fs::write(format!("/proc/{}/clear_refs", self.pid()), "5")?)
    }

    fn pid(&self) -> u32 {
        self.process.as_ref().map_or(0, Process::id)
    }

    fn memory_mb(&self, field: &str) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap_or(f64::NAN) / 1024.0
    }

    /// Waits until it has nothing to do: less than a twentieth of a core for two seconds.
    pub async fn settle(&self, limit: Duration) -> Result<(), Error> {
        let (began, mut quiet) = (now(), 0);
        while quiet < 4 {
            let before = self.cpu();
            tokio::time::sleep(Duration::from_millis(500)).await;
            let is_quiet = self.cpu().saturating_sub(before) < Duration::from_millis(25);
            quiet = if is_quiet { quiet + 1 } else { 0 };
            if began.elapsed() > limit {
                return Err(format!("it is still at work after {limit:?}:\n{}", self.log_tail()).into());
            }
        }
        Ok(())
    }

    /// Runs a command of the program that reads `file`, to its end.
    pub fn import(&self, file: &Path) -> Result<Duration, Error> {
        let began = now();
        let mut command = self.command(&["state", "import", "--force"]);
        let output = command.arg(file).stdin(Stdio::null()).output()?;
        if output.status.success() {
            return Ok(began.elapsed());
        }
        Err(format!("state import: {}", String::from_utf8_lossy(&output.stderr)).into())
    }

    /// Its folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether its log has a line with `part`.
    pub fn has_said(&self, part: &str) -> bool {
        fs::read_to_string(self.dir.with_extension("log")).is_ok_and(|log| log.contains(part))
    }

    /// The port of its swarm.
    pub fn swarm(&self) -> u16 {
        self.swarm
    }

    /// The processor time that it took, with the work that it does behind its answers: what other load leaves as it is.
    pub fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap_or_default();
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
        let ticks: u64 = fields.filter_map(|field| field.parse::<u64>().ok()).sum();
        Duration::from_millis(ticks * 10)
    }

    /// The blocks that one of its files takes.
    #[expect(clippy::cast_precision_loss, reason = "megabytes for people")]
    pub fn disk_mb(&self, file: &str) -> f64 {
        fs::metadata(self.dir.join(file)).map_or(f64::NAN, |meta| (meta.blocks() * 512) as f64 / 1e6)
    }

    fn swarm_address(&self) -> Result<String, Error> {
        self.address_at(self.swarm)
    }

    /// Its address, if it is reached at another port.
    pub fn address_at(&self, port: u16) -> Result<String, Error> {
        Ok(format!("/ip4/127.0.0.1/tcp/{port}/p2p/{}", self.id()?))
    }

    /// Its peer ID.
    pub fn id(&self) -> Result<String, Error> {
        let id = self.file("identity.json")?;
        Ok(id["id"].as_str().ok_or("an identity has an id")?.to_owned())
    }

    fn file(&self, name: &str) -> Result<Value, Error> {
        Ok(serde_json::from_str(&fs::read_to_string(self.dir.join(name))?)?)
    }

    fn log_tail(&self) -> String {
        tail(&fs::read_to_string(self.dir.with_extension("log")).unwrap_or_default())
    }

    /// The program on the peer's directory.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.service);
        command.arg("--config").arg(&self.dir).args(args);
        command
    }
}

/// The program that was built with this one.
pub fn own_service() -> Result<PathBuf, Error> {
    let own = std::env::current_exe()?;
    Ok(own.ancestors().nth(2).ok_or("examples are below the programs")?.join("ipfs-cluster-service"))
}
