//! Identifiers as text, with Go's words for what is wrong with them.
use std::fmt;

use cid::Cid;
use libp2p::PeerId;

/// Longest text that is tried as a CID, in bytes; the greatest one that fits our type takes 160.
const CID_TEXT_MAX: usize = 512;

/// Why a text is no CID; the texts are Go's where Go has a fixed one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid cid: {0}")]
pub struct CidError(String);

/// Reads a CID in any multibase.
///
/// # Errors
/// What is wrong with it.
pub fn parse_cid(text: &str) -> Result<Cid, CidError> {
    if text.len() < 2 {
        return Err(CidError("cid too short".into()));
    }
    if text.len() > CID_TEXT_MAX {
        return Err(CidError("cid too long".into()));
    }
    // The library looks for a CID behind "/ipfs/", which a CID is not.
    if text.contains('/') || !text.is_ascii() {
        return Err(unknown_base());
    }
    let is_v0 = text.len() == 46 && text.starts_with("Qm");
    if !is_v0 && !text.starts_with(BASES) {
        return Err(unknown_base());
    }
    Cid::try_from(text).map_err(|error| CidError(format!("invalid cid: {}", reason(&error, is_v0))))
}

/// Go's words for what happens most: an end that was not copied.
fn reason(error: &cid::Error, is_v0: bool) -> String {
    if matches!(error, cid::Error::ParsingError) && !is_v0 {
        return "length greater than remaining number of bytes in buffer".into();
    }
    error.to_string()
}

/// First letters of the multibases that Go knows.
const BASES: [char; 24] = [
    '\0', '0', '7', '9', 'F', 'f', 'V', 'v', 'T', 't', 'B', 'b', 'C', 'c', 'h', 'k', 'K', 'z', 'Z', 'm', 'M', 'u', 'U',
    'R',
];

fn unknown_base() -> CidError {
    CidError("selected encoding not supported".into())
}

/// Reads a peer ID: base58, or a CID of its key.
///
/// # Errors
/// What is wrong with it.
pub fn parse_peer(text: &str) -> Result<PeerId, CidError> {
    if text.starts_with("Qm") || text.starts_with('1') {
        return text.parse().map_err(|error| CidError(format!("{error}")));
    }
    let cid = parse_cid(text)?;
    PeerId::from_bytes(&cid.hash().to_bytes()).map_err(|error| CidError(format!("{error}")))
}

/// A content path: a namespace, and what follows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentPath {
    /// `/ipfs/<cid>/..`, `/ipns/<name>/..` or `/ipld/<cid>/..`, without a slash at the end.
    text: String,
    /// The CID when the path is nothing more.
    cid: Option<Cid>,
}

/// Why a text is no content path; the texts are Go's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid path {path:?}: {reason}")]
pub struct PathError {
    path: String,
    reason: String,
}

impl ContentPath {
    /// Reads a path that begins with its namespace; slashes at its end do not count.
    ///
    /// # Errors
    /// A namespace that is unknown, nothing behind it, or no CID where there has to be one.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let fault = |reason: String| PathError { path: text.into(), reason };
        let trimmed = text.trim_end_matches('/');
        let mut parts = trimmed.trim_start_matches('/').splitn(3, '/');
        let (namespace, root, rest) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
        let Some(root) = root.filter(|root| !root.is_empty()) else {
            return Err(fault("path does not have enough components".into()));
        };
        let cid = match namespace {
            "ipfs" | "ipld" => Some(parse_cid(root).map_err(|error| fault(error.to_string()))?),
            "ipns" => None,
            other => return Err(fault(format!("unknown namespace {other:?}"))),
        };
        Ok(Self { text: trimmed.into(), cid: cid.filter(|_| rest.is_none()) })
    }

    /// Reads what a user types: a path, or a CID which is then one below `/ipfs`.
    ///
    /// # Errors
    /// As [`ContentPath::parse`].
    pub fn from_user(text: &str) -> Result<Self, PathError> {
        if text.starts_with('/') { Self::parse(text) } else { Self::parse(&format!("/ipfs/{text}")) }
    }

    /// The CID when nothing has to be resolved.
    #[must_use]
    pub const fn cid(&self) -> Option<Cid> {
        self.cid
    }

    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for ContentPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CID: &str = "QmP63DkAFEnDYNjDYBpyNDfttu1fvUw99x1brscPzpqmmq";

    fn why(text: &str) -> String {
        parse_cid(text).unwrap_err().to_string()
    }

    #[test]
    fn faulty_cids_have_gos_texts() {
        assert_eq!(why(""), "invalid cid: cid too short");
        assert_eq!(why("x"), "invalid cid: cid too short");
        assert_eq!(why("abc"), "invalid cid: selected encoding not supported");
        assert_eq!(why("recover"), "invalid cid: selected encoding not supported");
        assert_eq!(
            why("/ipfs/QmP63DkAFEnDYNjDYBpyNDfttu1fvUw99x1brscPzpqmmq"),
            "invalid cid: selected encoding not supported"
        );
        assert!(why("bafybeigdyrzt").starts_with("invalid cid: invalid cid: "));
    }

    #[test]
    fn any_base_is_read_and_version_1_is_written_in_base_32() {
        let cid = parse_cid("zb2rhiKhUepkTMw7oFfBUnChAN7ABAvg2hXUwmTBtZ6yxuc57").unwrap();
        assert!(cid.to_string().starts_with("bafkrei"));
        assert_eq!(parse_cid(CID).unwrap().to_string(), CID);
    }

    #[test]
    fn peers_are_read_in_both_forms() {
        let text = "12D3KooWEFRPzXkLZZkHGSzcNPdvX3gbeZPYKCnjBiB5pPmBRgH8";
        let peer = parse_peer(text).unwrap();
        assert_eq!(peer.to_string(), text);
        let key = Cid::new_v1(0x72, *peer.as_ref());
        assert_eq!(parse_peer(&key.to_string()), Ok(peer));
        assert_eq!(parse_peer("abc").unwrap_err().to_string(), "invalid cid: selected encoding not supported");
        assert_eq!(parse_peer("").unwrap_err().to_string(), "invalid cid: cid too short");
    }

    #[test]
    fn paths_are_checked_as_go_checks_them() {
        let why = |text: &str| ContentPath::parse(text).unwrap_err().to_string();
        assert_eq!(why("/ipfs/abc"), "invalid path \"/ipfs/abc\": invalid cid: selected encoding not supported");
        assert_eq!(why("/ipfs/"), "invalid path \"/ipfs/\": path does not have enough components");
        assert!(ContentPath::parse("/nope/abc").is_err());
        let plain = ContentPath::parse(&format!("/ipld/{CID}/")).unwrap();
        assert_eq!((plain.cid(), plain.as_str()), (parse_cid(CID).ok(), format!("/ipld/{CID}").as_str()));
        let deep = ContentPath::from_user(&format!("{CID}/a/b")).unwrap();
        assert_eq!((deep.cid(), deep.as_str()), (None, format!("/ipfs/{CID}/a/b").as_str()));
        assert_eq!(ContentPath::parse("/ipns/example.org").unwrap().cid(), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,80}") {
            let _ = (parse_cid(&text), parse_peer(&text), ContentPath::from_user(&text));
        }
    }
}
