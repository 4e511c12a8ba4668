//! The answers of Kubo's HTTP RPC that we read, and the form of its arguments.
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

/// What stays as it is in an argument; all else is percent-encoded, as Go does.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Returns `text` in the form of a query argument.
#[must_use]
pub fn argument(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}

/// The body of a refusal.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Refusal {
    /// Why.
    pub message: String,
}

/// One line of `pin/add`: progress, or the end.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PinAdd {
    /// Blocks so far; absent while there are none.
    pub progress: u64,
    /// Bytes so far; absent in old daemons.
    pub bytes: u64,
    /// What is pinned now: the last line only.
    pub pins: Option<Vec<String>>,
}

/// One line of `pin/ls?stream=true`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PinLs {
    /// What is pinned.
    pub cid: String,
    /// `recursive`, `direct` or `indirect`.
    #[serde(rename = "Type")]
    pub kind: String,
}

/// The answer of `pin/rm`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PinRm {
    /// What is not pinned any more.
    pub pins: Option<Vec<String>>,
}

/// The answer of `id`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Id {
    /// The node.
    #[serde(rename = "ID")]
    pub id: String,
    /// Its addresses; null while it has none.
    #[serde(default)]
    pub addresses: Option<Vec<String>>,
    /// Its program: `kubo/0.42.0`, perhaps with a rest.
    #[serde(default)]
    pub agent_version: String,
}

/// Kubo before it has no streamed list of pins that tells its errors.
const LEAST: (u32, u32) = (0, 12);

/// Returns in words that a Kubo of `version` is too old.
///
/// # Errors
/// When `version` is none of Kubo's.
pub fn is_too_old(version: &str) -> Result<Option<String>, String> {
    let mut parts = version.split(['.', '-']).map(str::parse::<u32>);
    let (Some(Ok(major)), Some(Ok(minor))) = (parts.next(), parts.next()) else {
        return Err(format!("Kubo's version {version:?} is none that this program knows"));
    };
    let (least_major, least_minor) = LEAST;
    Ok(((major, minor) < LEAST).then(|| format!("Kubo {version} is older than {least_major}.{least_minor}")))
}

/// Returns in words that the program that calls itself `agent` is a Kubo that is too old; others are left alone.
#[must_use]
pub fn too_old(agent: &str) -> Option<String> {
    let version = agent.strip_prefix("kubo/").or_else(|| agent.strip_prefix("go-ipfs/"))?;
    is_too_old(version.split('/').next().unwrap_or_default()).ok().flatten()
}

/// The answer of `repo/stat?size-only=true`, in bytes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RepoStat {
    /// Used.
    pub repo_size: u64,
    /// Allowed.
    pub storage_max: u64,
}

/// The answer of `files/stat`, in bytes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct FilesStat {
    /// The root block and all below it, as its links say.
    pub cumulative_size: u64,
}

/// The answer of `swarm/peers`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SwarmPeers {
    /// The neighbours; null when there are none.
    #[serde(default)]
    pub peers: Option<Vec<SwarmPeer>>,
}

/// One neighbour.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SwarmPeer {
    /// Its ID.
    pub peer: String,
}

/// One line of `repo/gc?stream-errors=true`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Collected {
    /// The block; null beside an error.
    #[serde(default)]
    pub key: Option<Link>,
    /// Why a block stays.
    #[serde(default)]
    pub error: String,
}

/// A CID in a JSON object.
#[derive(Debug, Deserialize)]
pub struct Link {
    /// The CID.
    #[serde(rename = "/")]
    pub cid: String,
}

/// The answer of `resolve`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Resolve {
    /// `/ipfs/<cid>`, perhaps with a rest.
    pub path: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_encoded_as_go_encodes_them() {
        assert_eq!(argument("/ip4/127.0.0.1/tcp/34011"), "%2Fip4%2F127.0.0.1%2Ftcp%2F34011");
        assert_eq!(argument("a b&c=d+ü"), "a%20b%26c%3Dd%2B%C3%BC");
    }

    #[test]
    fn only_old_kubos_are_too_old() {
        for (agent, fault) in [
            ("kubo/0.42.0", None),
            ("kubo/0.12.0-rc1/abcdef/docker", None),
            ("go-ipfs/0.11.0/", Some("Kubo 0.11.0 is older than 0.12")),
            ("kubo/nonsense", None),
            ("rust-ipfs/0.1.0", None),
            ("", None),
        ] {
            assert_eq!(too_old(agent).as_deref(), fault, "{agent}");
        }
    }

    #[test]
    fn a_line_of_pin_add_may_be_empty() {
        let line: PinAdd = serde_json::from_str("{}").unwrap();
        assert_eq!((line.progress, line.bytes, line.pins), (0, 0, None));
        let line: PinAdd = serde_json::from_str(r#"{"Progress":1,"Bytes":15}"#).unwrap();
        assert_eq!((line.progress, line.bytes), (1, 15));
    }
}
