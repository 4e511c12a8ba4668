//! `init --randomports`: other ports than the usual ones.
use std::io;
use std::net::{TcpListener, UdpSocket};
use std::ops::Range;

use ipfs_cluster::config::{File, parse_multiaddr};
use ipfs_cluster::model::Multiaddr;
use libp2p::multiaddr::Protocol;

/// Sections whose listeners move.
const LISTENERS: [&str; 4] = [
    "cluster.listen_multiaddress",
    "api.restapi.http_listen_multiaddress",
    "api.pinsvcapi.http_listen_multiaddress",
    "api.ipfsproxy.listen_multiaddress",
];

/// Below it are the ports that programs have by custom.
const FIRST: u16 = 10_000;

/// Where the range begins that the kernel gives ports from, unless it says otherwise.
const KERNEL_FIRST: u16 = 32_768;

/// Ports that may be taken before there is a free one.
const TRIES_MAX: usize = 1_000;

/// Gives every listener a port that is free now, and that a restart will find free: no outgoing connection gets it.
///
/// # Errors
/// When an address does not parse, or no port is free.
pub fn move_all(file: &mut File) -> io::Result<()> {
    // Kept until all are chosen, so that no port is chosen twice.
    let (mut streams, mut datagrams) = (Vec::new(), Vec::new());
    for path in LISTENERS {
        let mut moved = Vec::new();
        for text in file.texts(path) {
            let mut address = Multiaddr::empty();
            for part in &parse_multiaddr(&text).map_err(io::Error::other)? {
                if let Protocol::Tcp(_) = part {
                    let (port, socket) = take(|port| TcpListener::bind(("127.0.0.1", port)))?;
                    address.push(Protocol::Tcp(port));
                    streams.push(socket);
                } else if let Protocol::Udp(_) = part {
                    let (port, socket) = take(|port| UdpSocket::bind(("127.0.0.1", port)))?;
                    address.push(Protocol::Udp(port));
                    datagrams.push(socket);
                } else {
                    address.push(part);
                }
            }
            moved.push(address.to_string());
        }
        file.set(path, moved);
    }
    Ok(())
}

fn take<S>(bind: impl Fn(u16) -> io::Result<S>) -> io::Result<(u16, S)> {
    let range = range();
    for _ in 0..TRIES_MAX {
        let port = rand::random_range(range.clone());
        match bind(port) {
            Ok(socket) => return Ok((port, socket)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

/// Ports that the kernel does not give of itself; if it leaves none, those that it leaves by default.
fn range() -> Range<u16> {
    let told = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let first = told.split_whitespace().next().and_then(|first| first.parse().ok());
    FIRST..first.filter(|first| *first > 2 * FIRST).unwrap_or(KERNEL_FIRST)
}
