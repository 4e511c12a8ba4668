//! The file of known peers: one address with its peer a line, as in Go.
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use libp2p::{Multiaddr, PeerId};

use crate::swarm::transport::{is_supported, peer_of};

/// The file's greatest size in bytes: a thousand peers with sixteen addresses.
const FILE_MAX: u64 = 2 << 20;

/// Reads the file; one that is not there is empty, lines that are no addresses are passed over.
///
/// # Errors
/// What reading failed with.
pub fn load(path: &Path) -> io::Result<Vec<(PeerId, Multiaddr)>> {
    let mut text = String::new();
    match std::fs::File::open(path) {
        Ok(file) => file.take(FILE_MAX).read_to_string(&mut text)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(error),
    };
    let line = |line: &str| {
        let address: Multiaddr = line.trim().parse().ok()?;
        Some((peer_of(&address)?, address)).filter(|(_, address)| is_supported(address))
    };
    Ok(text.lines().filter_map(line).collect())
}

/// Replaces the file in one step; only its owner may read it.
///
/// # Errors
/// What writing failed with; the file is as it was.
pub fn save(path: &Path, addresses: &[Multiaddr]) -> io::Result<()> {
    let aside = path.with_extension("tmp");
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
    let lines: Vec<String> = addresses.iter().map(Multiaddr::to_string).chain([String::new()]).collect();
    file.write_all(lines.join("\n").as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&aside, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_is_saved_is_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("peerstore");
        assert!(load(&path).unwrap().is_empty());
        let peer = PeerId::random();
        let address: Multiaddr = format!("/dns4/a.example/tcp/9096/p2p/{peer}").parse().unwrap();
        save(&path, std::slice::from_ref(&address)).unwrap();
        assert_eq!(load(&path).unwrap(), [(peer, address)]);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn lines_that_are_no_addresses_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("peerstore");
        let peer = PeerId::random();
        let text = format!(
            "# comment\n\n/ip4/1.2.3.4/tcp/1\n/ip4/1.2.3.4/udp/1/quic/p2p/{peer}\n/ip4/1.2.3.4/tcp/1/p2p/{peer}\r\n/ip4"
        );
        std::fs::write(&path, text).unwrap();
        assert_eq!(load(&path).unwrap().len(), 1);
    }
}
