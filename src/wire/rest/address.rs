//! Addresses of APIs.
use multiaddr::{Multiaddr, Protocol};

/// Returns `host:port` of a multiaddress that begins with a host and a TCP port, and whether anything follows.
#[must_use]
#[expect(clippy::wildcard_enum_match_arm, reason = "protocols are added by others, and none of them is a host or TCP")]
pub fn tcp_target(address: &Multiaddr) -> Option<(String, bool)> {
    let mut parts = address.iter();
    let host = match parts.next()? {
        Protocol::Ip4(ip) => ip.to_string(),
        Protocol::Ip6(ip) => format!("[{ip}]"),
        Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) => name.into_owned(),
        _ => return None,
    };
    match parts.next()? {
        Protocol::Tcp(port) => Some((format!("{host}:{port}"), parts.next().is_some())),
        _ => None,
    }
}

/// Says in Go's words why the system refused: without the number, in lower case.
#[must_use]
pub fn io_words(error: &std::io::Error) -> String {
    let text = error.to_string();
    let words = text.split(" (os error ").next().unwrap_or(&text);
    words.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_host_and_a_port() {
        let target = |text: &str| tcp_target(&text.parse().unwrap());
        assert_eq!(target("/ip4/127.0.0.1/tcp/9094"), Some(("127.0.0.1:9094".into(), false)));
        assert_eq!(target("/ip6/::1/tcp/1/https"), Some(("[::1]:1".into(), true)));
        assert_eq!(target("/dns4/example.org/tcp/1"), Some(("example.org:1".into(), false)));
        assert_eq!(target("/ip4/127.0.0.1/udp/1"), None);
        assert_eq!(target("/memory/1"), None);
    }

    #[test]
    fn the_system_speaks_as_in_go() {
        assert_eq!(io_words(&std::io::Error::from_raw_os_error(111)), "connection refused");
    }
}
