//! Finding peers on the local network, in network namespaces of the tests' own: no packet of theirs leaves them.
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use ipfs_cluster::swarm::Secret;
use tokio::io::AsyncReadExt;

use crate::faults::Log;
use crate::node::{args, start, until};

/// Tells a copy of this program that it is one of the peers: the number that fills its secret.
const SECRET: &str = "SWARM_TEST_SECRET";
/// And the address that it listens on.
const LISTEN: &str = "SWARM_TEST_LISTEN";

fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split(' ')).output().expect("iproute2 is installed");
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Two namespaces joined by a cable.
struct Lan {
    names: [String; 2],
}

impl Lan {
    /// Only root may make namespaces: `None` for anybody else.
    fn new(name: &str) -> Option<Self> {
        if std::fs::metadata("/proc/self").unwrap().uid() != 0 {
            eprintln!("passed over: only root may make network namespaces");
            return None;
        }
        let names = ["a", "b"].map(|end| format!("{name}-{}-{end}", std::process::id()));
        for ns in &names {
            ip(&format!("netns add {ns}"));
        }
        let lan = Self { names };
        ip(&format!("link add cable netns {} type veth peer name cable netns {}", lan.names[0], lan.names[1]));
        for (ns, address) in lan.names.iter().zip(["10.77.1.1", "10.77.1.2"]) {
            ip(&format!("-n {ns} address add {address}/24 dev cable"));
            ip(&format!("-n {ns} link set cable up"));
            ip(&format!("-n {ns} link set lo up"));
        }
        Some(lan)
    }

    /// Runs a peer at each end; returns what each says at its end.
    fn peers(&self, secrets: [u8; 2]) -> [String; 2] {
        let spawn = |at: usize| {
            let program = std::env::current_exe().unwrap();
            let mut command = Command::new("ip");
            command.args(["netns", "exec", &self.names[at]]).arg(program);
            command.args(["--exact", "lan::one_peer_of_a_lan", "--nocapture"]);
            command.env(SECRET, secrets[at].to_string()).env(LISTEN, format!("/ip4/10.77.1.{}/tcp/0", at + 1));
            let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            let output = BufReader::new(child.stdout.take().unwrap());
            Peer { child, output }
        };
        let mut peers = [spawn(0), spawn(1)];
        let told = peers.each_mut().map(Peer::told);
        drop(peers);
        told
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        // The cable goes with its ends; what is left behind is told by the next test that wants the name.
        for ns in &self.names {
            let _ = Command::new("ip").args(["netns", "del", ns]).output();
        }
    }
}

/// A copy of this program; it ends when its input does.
struct Peer {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Peer {
    fn told(&mut self) -> String {
        let mut lines = self.output.by_ref().lines().map_while(Result::ok);
        // The test harness may have begun the line.
        lines.find_map(|line| Some(line.split_once("told: ")?.1.to_owned())).expect("the peer tells how it went")
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // Its last words must find a reader.
        let _ = std::io::copy(&mut self.output, &mut std::io::sink());
        let _ = self.child.wait();
    }
}

/// Does nothing, unless a test of this file started it as a peer in a namespace.
#[tokio::test]
async fn one_peer_of_a_lan() {
    let (Ok(secret), Ok(listen)) = (std::env::var(SECRET), std::env::var(LISTEN)) else { return };
    let (log, _guard) = Log::listen();
    let mut args = args();
    args.secret = Some(Secret([secret.parse().unwrap(); 32]));
    args.listen = vec![listen.parse().unwrap()];
    args.mdns = true;
    let node = start(args).await;
    until("a find", || !node.swarm.connected().is_empty() || node.swarm.counts().mdns_failed > 0).await;
    // Long enough for a dial that should not be.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (counts, connected) = (node.swarm.counts(), node.swarm.connected().len());
    let warnings = log.lines("").len();
    println!("told: connected {connected} found {} dials {} warnings {warnings}", counts.mdns_found, counts.dials);
    // Stay until the other peer is done, too.
    let _ = tokio::io::stdin().read(&mut [0]).await;
}

#[test]
fn two_peers_find_each_other_by_mdns_alone() {
    let Some(lan) = Lan::new("find") else { return };
    for told in lan.peers([7, 7]) {
        assert!(told.starts_with("connected 1 "), "{told}");
        assert!(told.ends_with("warnings 0"), "{told}");
    }
}

#[test]
fn a_find_that_is_no_cluster_peer_is_dialled_once_and_not_warned_about() {
    let Some(lan) = Lan::new("foreign") else { return };
    for told in lan.peers([7, 8]) {
        assert_eq!(told, "connected 0 found 1 dials 1 warnings 0");
    }
}
