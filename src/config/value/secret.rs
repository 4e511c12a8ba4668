//! The cluster's secret and the APIs' passwords; neither is ever shown.
use std::fmt;

use rand::TryRngCore;
use zeroize::{Zeroize, Zeroizing};

/// The key of the private swarm: 32 bytes that are wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; Self::LENGTH]);

/// Why a text is no secret; the texts are Go's and hold at most one character of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// An odd number of digits.
    #[error("encoding/hex: odd length hex string")]
    Odd,
    /// Something that is no hex digit; which one is said, its place is not.
    #[error("encoding/hex: invalid byte: U+{code:04X} {digit:?}", code = u32::from(*digit))]
    NotHex {
        /// What it is.
        digit: char,
    },
    /// Not 32 bytes.
    #[error("input secret is {0} bytes, cluster secret should be 32")]
    Length(usize),
}

impl Secret {
    /// Bytes of a secret.
    pub const LENGTH: usize = 32;

    /// Makes a secret from the operating system's randomness.
    ///
    /// # Errors
    /// When the system has none to give.
    pub fn generate() -> Result<Self, rand::rand_core::OsError> {
        let mut bytes = [0; Self::LENGTH];
        rand::rngs::OsRng.try_fill_bytes(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// Reads 64 hex digits.
    ///
    /// # Errors
    /// What is wrong with them, in Go's words.
    pub fn from_hex(text: &str) -> Result<Self, SecretError> {
        if let Some(digit) = text.chars().find(|c| !c.is_ascii_hexdigit()) {
            return Err(SecretError::NotHex { digit });
        }
        if text.len() % 2 == 1 {
            return Err(SecretError::Odd);
        }
        let mut bytes = [0; Self::LENGTH];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| SecretError::Length(text.len() / 2))?;
        Ok(Self(bytes))
    }

    /// The 64 hex digits; for `service.json` alone.
    #[must_use]
    pub fn to_hex(&self) -> Zeroizing<String> {
        Zeroizing::new(hex::encode(self.0))
    }

    /// The bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// User names with their passwords, which are wiped when dropped; in order of the names.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials(Vec<(String, Zeroizing<String>)>);

impl Credentials {
    /// Takes names with passwords.
    #[must_use]
    pub fn new(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut pairs: Vec<_> = pairs.into_iter().map(|(name, word)| (name, Zeroizing::new(word))).collect();
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        Self(pairs)
    }

    /// Names with passwords.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, word)| (name.as_str(), word.as_str()))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({} hidden)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_64_hex_digits() {
        let text = "ab".repeat(32);
        let secret = Secret::from_hex(&text).unwrap();
        assert_eq!(*secret.to_hex(), text);
        assert_eq!(secret.bytes(), &[0xab; 32]);
        let fault = |text: &str| Secret::from_hex(text).unwrap_err().to_string();
        assert_eq!(fault("abcd"), "input secret is 2 bytes, cluster secret should be 32");
        assert_eq!(fault("abc"), "encoding/hex: odd length hex string");
        assert_eq!(fault("zz"), "encoding/hex: invalid byte: U+007A 'z'");
        assert_eq!(fault(&"ab".repeat(33)), "input secret is 33 bytes, cluster secret should be 32");
    }

    #[test]
    fn nothing_secret_is_shown() {
        assert_eq!(format!("{:?}", Secret::from_hex(&"ab".repeat(32)).unwrap()), "Secret(hidden)");
        let credentials = Credentials::new([("user".into(), "hunter2".into())]);
        assert_eq!(format!("{credentials:?}"), "Credentials(1 hidden)");
    }

    #[test]
    fn two_secrets_made_are_two() {
        assert_ne!(Secret::generate().unwrap(), Secret::generate().unwrap());
    }
}
