//! What several test programs share.
#![allow(dead_code, reason = "each test program uses a part of it")]
pub mod process;

use std::net::TcpListener;

/// Returns a loopback TCP port that was free a moment ago, from the kernel.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("the kernel has a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}
