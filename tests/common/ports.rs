//! Ports of the tests' own.
use std::net::{TcpListener, UdpSocket};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// Below it are the ports that programs have by custom.
const FIRST: u16 = 10_000;

/// Where the range begins that the kernel gives ports from, unless it says otherwise.
const KERNEL_FIRST: u16 = 32_768;

/// Ports that may be taken before there is a free one.
const TRIES_MAX: usize = 1_000;

/// What keeps other tests off: the UDP port of the same number, which the system frees when this process ends.
static MARKS: Mutex<Vec<UdpSocket>> = Mutex::new(Vec::new());

/// Returns a loopback TCP port that nobody listens on and nobody else gets while this process runs, however often a
/// daemon lets go of it and takes it again: every test leaves a mark at its own, and the kernel gives it to no connection.
pub fn free_port() -> u16 {
    let range = range();
    for _ in 0..TRIES_MAX {
        let port = rand::random_range(range.clone());
        let Ok(mark) = UdpSocket::bind(("127.0.0.1", port)) else { continue };
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            MARKS.lock().unwrap_or_else(PoisonError::into_inner).push(mark);
            return port;
        }
    }
    panic!("of {TRIES_MAX} ports in {range:?} none is free");
}

/// The ports that outgoing connections and `bind` with port 0 do not get; if the kernel leaves none, those that it leaves by default.
pub fn range() -> Range<u16> {
    let told = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let first = told.split_whitespace().next().and_then(|first| first.parse().ok());
    FIRST..first.filter(|first| *first > 2 * FIRST).unwrap_or(KERNEL_FIRST)
}
