//! Signatures of templates: a member at the end of the JSON object, so that a signed template is still a template.
//!
//! The signed bytes are a domain, the time of signing and the file up to that member, to the byte: nothing is parsed, and
//! nothing made canonical, before it is verified. Programs that know no signatures, Go's among them, ignore the member.
//!
//! ```text
//! { ... the template ... ,
//!   "signature": { "time": "2026-11-26T12:00:00Z", "by": "12D3KooW...", "value": "<base64>" }
//! }
//! ```
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use libp2p::identity::{Keypair, PublicKey};

use crate::model::{PeerId, UnixMillis};
use crate::wire::rest::Time;

/// Where the member begins; no JSON text has a line feed inside a string, so a template cannot hold this as a value.
const MARK: &str = ",\n  \"signature\": ";

/// What the message to sign begins with.
const DOMAIN: &str = "ipfs-cluster follower template, version 1\n";

/// The code of a peer ID that holds its public key whole.
const IDENTITY: u64 = 0;

/// The member.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Signature {
    time: Time,
    by: String,
    value: String,
}

/// A template whose signature was verified.
#[derive(Debug, PartialEq, Eq)]
pub struct Opened {
    /// The template alone.
    pub template: Vec<u8>,
    /// When it was signed, as its signer says.
    pub at: Time,
}

/// Why a template is not to be believed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// There is none.
    #[error("the template is not signed, and this follower takes only what {0} signed")]
    Missing(PeerId),
    /// It is not of the expected form.
    #[error("the template's signature cannot be read: {0}")]
    Malformed(String),
    /// Somebody else's.
    #[error("the template is signed by {by}, and this follower takes only what {key} signed")]
    Other {
        /// Who says to have signed it.
        by: String,
        /// Who had to.
        key: PeerId,
    },
    /// It was changed after it was signed.
    #[error("the template is not as {0} signed it")]
    Wrong(PeerId),
    /// Older than what was in use already.
    #[error("the template was signed at {at}, before the last good one ({kept})")]
    Older {
        /// When this one was.
        at: Time,
        /// When the last good one was.
        kept: Time,
    },
    /// The key cannot check anything.
    #[error(
        "{0} cannot be a template's key: it has to be the peer ID of an Ed25519 identity, which begins with 12D3KooW"
    )]
    Key(PeerId),
    /// What is to be signed is no template.
    #[error("only a JSON object with something in it can be signed")]
    NoObject,
    /// The private key cannot sign.
    #[error("the key cannot sign: {0}")]
    Signing(String),
}

/// Returns the public key that a peer ID holds.
///
/// # Errors
/// [`SignatureError::Key`] when it holds only the hash of one.
pub fn template_key(key: &PeerId) -> Result<PublicKey, SignatureError> {
    let refused = || SignatureError::Key(*key);
    if key.as_ref().code() != IDENTITY {
        return Err(refused());
    }
    PublicKey::try_decode_protobuf(key.as_ref().digest()).map_err(|_| refused())
}

/// Returns the template with a signature at its end; one that it has already is replaced.
///
/// # Errors
/// What is wrong with the text or the key.
pub fn sign(text: &str, keypair: &Keypair, at: UnixMillis) -> Result<String, SignatureError> {
    let by = keypair.public().to_peer_id();
    template_key(&by)?;
    let body = unsigned(text)?;
    let time = Time::from(at);
    let value = keypair.sign(&message(time, body)).map_err(|e| SignatureError::Signing(e.to_string()))?;
    let signature = Signature { time, by: by.to_string(), value: STANDARD.encode(value) };
    let signature = serde_json::to_string(&signature).map_err(|e| SignatureError::Malformed(e.to_string()))?;
    Ok(format!("{body}{MARK}{signature}\n}}\n"))
}

/// Verifies a template and returns it without its signature.
///
/// # Errors
/// Why it is not to be believed.
pub fn open(bytes: &[u8], key: &PeerId) -> Result<Opened, SignatureError> {
    let public = template_key(key)?;
    let text = std::str::from_utf8(bytes).map_err(|e| SignatureError::Malformed(e.to_string()))?;
    let (body, signature) = split(text).ok_or(SignatureError::Missing(*key))?;
    let signature: Signature = serde_json::from_str(signature).map_err(|e| SignatureError::Malformed(e.to_string()))?;
    if signature.by != key.to_string() {
        return Err(SignatureError::Other { by: signature.by.chars().take(100).collect(), key: *key });
    }
    let value = STANDARD.decode(&signature.value).map_err(|e| SignatureError::Malformed(e.to_string()))?;
    if !public.verify(&message(signature.time, body), &value) {
        return Err(SignatureError::Wrong(*key));
    }
    Ok(Opened { template: format!("{body}\n}}\n").into_bytes(), at: signature.time })
}

fn message(time: Time, body: &str) -> Vec<u8> {
    format!("{DOMAIN}{time}\n{body}").into_bytes()
}

/// The text up to the signature, and the signature.
fn split(text: &str) -> Option<(&str, &str)> {
    let (body, rest) = text.rsplit_once(MARK)?;
    Some((body, rest.trim_end().strip_suffix('}')?))
}

/// What is signed of a template that is not signed yet, or is to be signed again.
fn unsigned(text: &str) -> Result<&str, SignatureError> {
    let object = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text);
    let mut object = object.map_err(|_| SignatureError::NoObject)?;
    let was_signed = object.shift_remove("signature").is_some();
    if object.is_empty() {
        return Err(SignatureError::NoObject);
    }
    if was_signed {
        let (body, _) = split(text).ok_or_else(|| {
            SignatureError::Malformed("the member is not where `sign` puts it: remove it, then sign again".into())
        })?;
        return Ok(body);
    }
    text.trim_end().strip_suffix('}').map(str::trim_end).ok_or(SignatureError::NoObject)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPLATE: &str = "{\n  \"cluster\": {\n    \"secret\": \"ab\"\n  }\n}";

    fn at(seconds: i64) -> UnixMillis {
        UnixMillis(seconds * 1000)
    }

    fn signed() -> (String, PeerId) {
        let keypair = Keypair::generate_ed25519();
        (sign(TEMPLATE, &keypair, at(1_800_000_000)).unwrap(), keypair.public().to_peer_id())
    }

    #[test]
    fn what_is_opened_is_what_was_signed() {
        let (text, key) = signed();
        let opened = open(text.as_bytes(), &key).unwrap();
        let value = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).unwrap();
        assert_eq!(value(&opened.template), value(TEMPLATE.as_bytes()));
        assert_eq!(opened.at, Time::from(at(1_800_000_000)));
        assert_eq!(value(text.as_bytes())["cluster"]["secret"], "ab");
        let keypair = Keypair::generate_ed25519();
        let compact = sign("{\"a\":{\"b\":{}}}", &keypair, at(0)).unwrap();
        let opened = open(compact.as_bytes(), &keypair.public().to_peer_id()).unwrap();
        assert_eq!(value(&opened.template), serde_json::json!({"a": {"b": {}}}));
    }

    #[test]
    fn a_template_signed_again_has_one_signature() {
        let (text, _) = signed();
        let keypair = Keypair::generate_ed25519();
        let again = sign(&text, &keypair, at(1_900_000_000)).unwrap();
        assert_eq!(again.matches("\"signature\"").count(), 1);
        assert!(open(again.as_bytes(), &keypair.public().to_peer_id()).is_ok());
    }

    #[test]
    fn every_byte_counts() {
        let (text, key) = signed();
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            if let Ok(opened) = open(&bytes, &key) {
                // Only white space behind the signature is nobody's word.
                assert_eq!(opened, open(text.as_bytes(), &key).unwrap(), "byte {at} of {text}");
            }
        }
    }

    #[test]
    fn what_is_added_around_a_signed_template_is_refused() {
        let (text, key) = signed();
        let (body, rest) = text.rsplit_once(MARK).unwrap();
        let added = format!("{body},\n  \"api\": {{}}{MARK}{rest}");
        assert_eq!(open(added.as_bytes(), &key), Err(SignatureError::Wrong(key)));
        let behind = format!("{},\n  \"api\": {{}}\n}}\n", text.trim_end().trim_end_matches('}'));
        assert!(matches!(open(behind.as_bytes(), &key), Err(SignatureError::Malformed(_))), "{behind}");
    }

    #[test]
    fn nobody_else_can_sign() {
        let (text, key) = signed();
        let other = Keypair::generate_ed25519().public().to_peer_id();
        assert!(matches!(open(text.as_bytes(), &other), Err(SignatureError::Other { .. })));
        let claimed = text.replace(&key.to_string(), &other.to_string());
        assert_eq!(open(claimed.as_bytes(), &other), Err(SignatureError::Wrong(other)));
        assert_eq!(open(TEMPLATE.as_bytes(), &key), Err(SignatureError::Missing(key)));
    }

    #[test]
    fn what_is_no_template_is_not_signed() {
        let keypair = Keypair::generate_ed25519();
        for text in ["", "[]", "{}", "{ }", "nonsense", "{\"signature\": 1}"] {
            assert_eq!(sign(text, &keypair, at(0)), Err(SignatureError::NoObject), "{text}");
        }
    }
}
