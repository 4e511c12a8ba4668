//! `identity.json`: a peer's ID and private key.
use std::fmt;
use std::io;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use libp2p::identity::Keypair;
use zeroize::{Zeroize, Zeroizing};

use super::write::{PRIVATE, write_atomically};
use crate::config::file::{Environment, FILE_MAX, reason};
use crate::config::value::{PeerIdError, parse_peer_id};
use crate::model::PeerId;

/// Who a peer is; the key is never shown.
#[derive(Clone)]
pub struct Identity {
    id: PeerId,
    keypair: Keypair,
    /// As it stands in the file: some kinds of keys can be read and not written again.
    encoded: Zeroizing<String>,
}

impl PartialEq for Identity {
    /// The ID says which key it is.
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Identity {}

/// Why there is no identity; the texts are Go's.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The ID is none.
    #[error("error decoding cluster ID: {0}")]
    Id(#[source] PeerIdError),
    /// The key is no base64.
    #[error("error decoding private_key: {0}")]
    Base64(#[source] base64::DecodeError),
    /// The key is none of a peer.
    #[error("error parsing private_key ID: {0}")]
    Key(String),
    /// The key is another peer's.
    #[error("identity ID does not match the private_key")]
    Mismatch,
    /// The file is no JSON object with the two keys.
    #[error("{0}")]
    Json(String),
    /// The file is too long to be one.
    #[error("the file is longer than {FILE_MAX} bytes")]
    TooLong,
    /// The file system says so.
    #[error("{}", reason(.0))]
    Io(#[from] io::Error),
}

/// The two keys as written; no `Debug`, one is secret.
#[derive(serde::Deserialize, Default)]
struct Written {
    #[serde(default)]
    id: String,
    #[serde(default)]
    private_key: String,
}

impl Drop for Written {
    fn drop(&mut self) {
        self.private_key.zeroize();
    }
}

impl Identity {
    /// Makes an Ed25519 identity.
    ///
    /// # Errors
    /// [`IdentityError::Key`] when the key cannot be encoded, which does not happen to new ones.
    pub fn generate() -> Result<Self, IdentityError> {
        let keypair = Keypair::generate_ed25519();
        let bytes = Zeroizing::new(keypair.to_protobuf_encoding().map_err(|e| IdentityError::Key(e.to_string()))?);
        Ok(Self { id: keypair.public().to_peer_id(), encoded: Zeroizing::new(STANDARD.encode(&*bytes)), keypair })
    }

    /// Reads an ID and a base64 key, which have to match.
    ///
    /// # Errors
    /// Which of them is wrong.
    pub fn parse(id: &str, private_key: &str) -> Result<Self, IdentityError> {
        let id = parse_peer_id(id).map_err(IdentityError::Id)?;
        let bytes = Zeroizing::new(STANDARD.decode(private_key).map_err(IdentityError::Base64)?);
        let keypair = Keypair::from_protobuf_encoding(&bytes).map_err(|e| IdentityError::Key(e.to_string()))?;
        if keypair.public().to_peer_id() != id {
            return Err(IdentityError::Mismatch);
        }
        Ok(Self { id, keypair, encoded: Zeroizing::new(private_key.into()) })
    }

    /// Reads `identity.json`; `CLUSTER_ID` and `CLUSTER_PRIVATEKEY` stand in for its values.
    ///
    /// A missing file counts as an empty one, so that the environment alone may be the identity.
    ///
    /// # Errors
    /// What is wrong, with the file named when it is there.
    pub fn load(path: &Path, environment: &Environment) -> Result<Self, (bool, IdentityError)> {
        let written = match read(path) {
            Ok(written) => Ok((true, written)),
            Err(IdentityError::Io(e)) if e.kind() == io::ErrorKind::NotFound => Ok((false, Written::default())),
            Err(e) => Err((true, e)),
        };
        let (is_there, written) = written?;
        Self::overridden(&written.id, &written.private_key, environment).map_err(|e| (is_there, e))
    }

    /// This identity under the environment.
    ///
    /// # Errors
    /// What is wrong with the variables.
    pub fn under(&self, environment: &Environment) -> Result<Self, IdentityError> {
        Self::overridden(&self.id.to_string(), &self.encoded, environment)
    }

    fn overridden(id: &str, key: &str, environment: &Environment) -> Result<Self, IdentityError> {
        Self::parse(environment.get("CLUSTER_ID").unwrap_or(id), environment.get("CLUSTER_PRIVATEKEY").unwrap_or(key))
    }

    /// Writes `identity.json`, for its owner alone.
    ///
    /// # Errors
    /// The file system's.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        let (id, key) = (self.id, self.encoded.as_str());
        let text = Zeroizing::new(format!("{{\n    \"id\": \"{id}\",\n    \"private_key\": \"{key}\"\n}}"));
        write_atomically(path, text.as_bytes(), PRIVATE)
    }

    /// The peer ID.
    #[must_use]
    pub const fn id(&self) -> PeerId {
        self.id
    }

    /// The key pair.
    #[must_use]
    pub const fn keypair(&self) -> &Keypair {
        &self.keypair
    }
}

fn read(path: &Path) -> Result<Written, IdentityError> {
    if std::fs::metadata(path)?.len() > FILE_MAX {
        return Err(IdentityError::TooLong);
    }
    let text = Zeroizing::new(std::fs::read(path)?);
    serde_json::from_slice(&text)
        .map_err(|e| IdentityError::Json(if e.is_eof() { "unexpected end of JSON input".into() } else { describe(&e) }))
}

/// What serde says may quote the value, which may be the key.
fn describe(error: &serde_json::Error) -> String {
    format!("no identity: line {}, column {}", error.line(), error.column())
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({}, key hidden)", self.id)
    }
}

#[cfg(test)]
#[path = "identity_tests.rs"]
mod tests;
