//! An IPFS daemon that a test scripts while it runs: Kubo's RPC over loopback, on a thread of its own, so that what it
//! does is no work of the peers' runtime.
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ipfs_cluster::model::{Cid, Multiaddr};
use ipfs_cluster::task;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::ports::free_port;

/// Bytes of a request's head that are read.
const HEAD_MAX: usize = 64 << 10;
/// Who the daemon is, which is the same for all.
const ID: &str = "12D3KooWEFRPzXkLZZkHGSzcNPdvX3gbeZPYKCnjBiB5pPmBRgH8";
/// A CID that nobody asks for.
const OTHER: &str = "QmfH8QzzBAbecgaeeM6n5ri5gdE4kFfogLabSBbyXqtaLq";
/// Kubo's flatfs when its disk is full.
const FULL: &str = "write /data/ipfs/blocks/.temp/temp-2861903841: no space left on device";
/// Space of the daemon in bytes.
const SPACE: u64 = 10_000_000_000_000;

/// What the daemon does with the calls that come from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// As Kubo does when all is well.
    Well,
    /// Nobody listens; what was open is cut.
    Gone,
    /// It takes calls and says nothing.
    Hung,
    /// It begins to answer, and says no more.
    HalfWay,
    /// It answers what is no JSON.
    Garbage,
    /// It answers for another CID.
    OtherCid,
    /// A line without an end, some MiB every second.
    EndlessLine,
    /// Good lines about something else, without an end.
    EndlessLines,
    /// One byte every second, and none of them ends anything.
    Drip,
    /// Its disk is full.
    Full,
}

/// What the daemon did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    Pinned,
    Unpinned,
}

/// The daemon; it ends with its owner.
pub struct Daemon {
    shared: Arc<Shared>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    port: u16,
    /// What each pin counts for, in bytes.
    size: u64,
    mood: watch::Sender<Mood>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Each with Kubo's word for how it is held.
    held: BTreeMap<Cid, &'static str>,
    deeds: Vec<(Instant, Deed, Cid)>,
}

impl Daemon {
    /// A daemon that is well, and whose pins are of `size` bytes each.
    pub fn start(size: u64) -> Self {
        let shared = Shared { port: free_port(), size, mood: watch::Sender::new(Mood::Well), state: Mutex::default() };
        let (shared, stop) = (Arc::new(shared), CancellationToken::new());
        let (of, stopped) = (shared.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(stopped.run_until_cancelled(run(of)));
        });
        Self { shared, stop, thread: Some(thread) }
    }

    /// Its address for the peer's configuration.
    pub fn node(&self) -> Multiaddr {
        format!("/ip4/127.0.0.1/tcp/{}", self.shared.port).parse().unwrap()
    }

    pub fn set(&self, mood: Mood) {
        self.shared.mood.send_replace(mood);
    }

    /// What it holds.
    pub fn held(&self) -> BTreeSet<Cid> {
        self.shared.state().held.keys().copied().collect()
    }

    /// What it did from `since` on, and when.
    pub fn deeds(&self, since: Instant) -> Vec<(Instant, Deed, Cid)> {
        self.shared.state().deeds.iter().filter(|(at, ..)| *at >= since).copied().collect()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // A daemon that panicked has failed its test by not answering.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

async fn run(shared: Arc<Shared>) {
    let (mut mood, mut end) = (shared.mood.subscribe(), shared.mood.subscribe());
    loop {
        // Senders are as long there as this is.
        let _ = mood.wait_for(|mood| *mood != Mood::Gone).await;
        tokio::select! {
            () = listen(&shared) => (),
            _ = end.wait_for(|mood| *mood == Mood::Gone) => (),
        }
    }
}

async fn listen(shared: &Arc<Shared>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, shared.port)).await.unwrap();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((stream, _)) = listener.accept() => {
                let shared = shared.clone();
                // A peer that hangs up is no fault of the daemon.
                connections.spawn(async move { drop(serve(&shared, stream).await) });
            }
            Some(_) = connections.join_next() => (),
        }
    }
}

async fn serve(shared: &Shared, stream: TcpStream) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") && head.len() < HEAD_MAX {
            head.push(stream.read_u8().await?);
        }
        let head = String::from_utf8_lossy(&head);
        let target = head.split(' ').nth(1).unwrap_or_default();
        let mood = *shared.mood.borrow();
        answer(shared, mood, &Call::parse(target), stream.get_mut()).await?;
    }
}

/// One call of the RPC.
struct Call<'a> {
    name: &'a str,
    arguments: Vec<(&'a str, &'a str)>,
}

impl<'a> Call<'a> {
    fn parse(target: &'a str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let arguments = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
        Self { name: path.strip_prefix("/api/v0/").unwrap_or_default(), arguments }
    }

    fn argument(&self, name: &str) -> Option<&'a str> {
        self.arguments.iter().find(|(key, _)| *key == name).map(|(_, value)| *value)
    }

    fn cid(&self) -> Option<Cid> {
        self.argument("arg")?.parse().ok()
    }
}

async fn answer(shared: &Shared, mood: Mood, call: &Call<'_>, stream: &mut TcpStream) -> std::io::Result<()> {
    let is_of_pin = call.name.starts_with("pin/") && call.cid().is_some();
    match mood {
        Mood::Hung | Mood::Gone => silence(stream).await,
        Mood::HalfWay => {
            begin(stream).await?;
            chunk(stream, b"{\"").await?;
            silence(stream).await
        }
        Mood::Garbage => whole(stream, 200, "[not json\n").await,
        Mood::OtherCid if is_of_pin => whole(stream, 200, &other(call)).await,
        Mood::Full if call.name == "pin/add" => {
            begin(stream).await?;
            chunk(stream, b"{}\n").await?;
            end(stream, FULL).await
        }
        Mood::EndlessLine => endless(stream, &[b'x'; 16 << 10], Duration::from_millis(5)).await,
        Mood::EndlessLines => {
            // Every answer's fields.
            let line = format!("{{\"ID\":\"{ID}\",\"Cid\":\"{OTHER}\",\"Type\":\"recursive\",\"RepoSize\":1}}\n");
            endless(stream, line.repeat(100).as_bytes(), Duration::ZERO).await
        }
        Mood::Drip => endless(stream, b" ", Duration::from_secs(1)).await,
        Mood::Well | Mood::OtherCid | Mood::Full => {
            let (status, body) = well(shared, call, mood == Mood::Full);
            whole(stream, status, &body).await
        }
    }
}

/// Says nothing until the other side hangs up.
async fn silence(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.read_u8().await.map(drop)
}

async fn endless(stream: &mut TcpStream, part: &[u8], pause: Duration) -> std::io::Result<()> {
    begin(stream).await?;
    loop {
        chunk(stream, part).await?;
        tokio::time::sleep(pause).await;
    }
}

async fn begin(stream: &mut TcpStream) -> std::io::Result<()> {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTrailer: X-Stream-Error\r\n\
                Transfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await
}

async fn chunk(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    let mut framed = format!("{:x}\r\n", bytes.len()).into_bytes();
    framed.extend_from_slice(bytes);
    framed.extend_from_slice(b"\r\n");
    stream.write_all(&framed).await
}

async fn end(stream: &mut TcpStream, error: &str) -> std::io::Result<()> {
    stream.write_all(format!("0\r\nX-Stream-Error: {error}\r\n\r\n").as_bytes()).await
}

async fn whole(stream: &mut TcpStream, status: u16, body: &str) -> std::io::Result<()> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(format!("{head}{body}").as_bytes()).await
}

/// A good answer about another CID.
fn other(call: &Call<'_>) -> String {
    match call.name {
        "pin/ls" => format!("{{\"Cid\":\"{OTHER}\",\"Type\":\"recursive\"}}\n"),
        _ => format!("{{\"Pins\":[\"{OTHER}\"]}}\n"),
    }
}

fn well(shared: &Shared, call: &Call<'_>, is_full: bool) -> (u16, String) {
    let refusal = |message: String| (500, format!("{{\"Message\":\"{message}\",\"Code\":0,\"Type\":\"error\"}}"));
    match (call.name, call.cid()) {
        ("id", _) => (200, format!("{{\"ID\":\"{ID}\",\"Addresses\":[]}}\n")),
        ("repo/stat", _) => {
            let size = if is_full { SPACE } else { shared.state().held.len() as u64 * shared.size };
            (200, format!("{{\"RepoSize\":{size},\"StorageMax\":{SPACE}}}\n"))
        }
        ("swarm/peers", _) => (200, "{\"Peers\":null}\n".into()),
        ("pin/ls", cid) => {
            let wanted = call.argument("type").unwrap_or("recursive");
            let lines = lines(shared, cid, wanted);
            match cid {
                Some(cid) if lines.is_empty() => refusal(format!("path '{cid}' is not pinned")),
                _ => (200, lines),
            }
        }
        ("pin/add", Some(cid)) => (200, pin(shared, cid, call.argument("recursive") == Some("false"))),
        ("pin/rm", Some(cid)) => {
            let mut state = shared.state();
            if state.held.remove(&cid).is_none() {
                return refusal("not pinned or pinned indirectly".into());
            }
            state.deeds.push((task::now(), Deed::Unpinned, cid));
            (200, format!("{{\"Pins\":[\"{cid}\"]}}\n"))
        }
        _ => refusal("unknown command".into()),
    }
}

fn lines(shared: &Shared, cid: Option<Cid>, wanted: &str) -> String {
    let state = shared.state();
    let matches = state.held.iter().filter(|(of, kind)| **kind == wanted && cid.is_none_or(|cid| cid == **of));
    matches.map(|(of, kind)| format!("{{\"Cid\":\"{of}\",\"Type\":\"{kind}\"}}\n")).collect::<Vec<_>>().concat()
}

fn pin(shared: &Shared, cid: Cid, direct: bool) -> String {
    let mut state = shared.state();
    state.held.insert(cid, if direct { "direct" } else { "recursive" });
    state.deeds.push((task::now(), Deed::Pinned, cid));
    format!("{{\"Progress\":1,\"Bytes\":{}}}\n{{\"Pins\":[\"{cid}\"]}}\n", shared.size)
}
