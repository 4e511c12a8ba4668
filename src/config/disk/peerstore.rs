//! `peerstore`: the addresses of known peers, one a line.
use std::io;
use std::path::Path;

use super::write::{SHARED, write_atomically};
use crate::config::file::FILE_MAX;
use crate::config::value::parse_multiaddr;
use crate::model::Multiaddr;

/// Reads addresses, with the lines that are none; lines that do not begin with `/` are comments.
///
/// A missing file holds nothing.
///
/// # Errors
/// The file system's; `InvalidData` when the file is too long.
pub fn read_peerstore(path: &Path) -> io::Result<(Vec<Multiaddr>, Vec<String>)> {
    let text = match std::fs::metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => String::new(),
        Err(e) => return Err(e),
        Ok(metadata) if metadata.len() > FILE_MAX => {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the peerstore is too long"));
        }
        Ok(_) => std::fs::read_to_string(path)?,
    };
    let (mut addresses, mut bad) = (Vec::new(), Vec::new());
    for line in text.lines().map(str::trim).filter(|line| line.starts_with('/')) {
        match parse_multiaddr(line) {
            Ok(address) => addresses.push(address),
            Err(_) => bad.push(line.into()),
        }
    }
    Ok((addresses, bad))
}

/// Writes addresses, one a line.
///
/// # Errors
/// The file system's.
pub fn write_peerstore(path: &Path, addresses: &[Multiaddr]) -> io::Result<()> {
    let mut text = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    if !text.is_empty() {
        text.push('\n');
    }
    write_atomically(path, text.as_bytes(), SHARED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_bad_lines_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("peerstore");
        assert_eq!(read_peerstore(&path).unwrap(), (vec![], vec![]));
        std::fs::write(&path, "# mine\n\n/ip4/127.0.0.1/tcp/9096\n/nothing/1\n").unwrap();
        let (addresses, bad) = read_peerstore(&path).unwrap();
        assert_eq!(addresses, ["/ip4/127.0.0.1/tcp/9096".parse::<Multiaddr>().unwrap()]);
        assert_eq!(bad, ["/nothing/1"]);
        write_peerstore(&path, &addresses).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "/ip4/127.0.0.1/tcp/9096\n");
    }
}
