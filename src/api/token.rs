//! JSON web tokens: a user's name, signed with the user's password.
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::hmac;
use serde::Deserialize;

use crate::model::UnixMillis;

/// Longest token that is looked at, in bytes: Go's own have a hundred.
const TOKEN_MAX: usize = 8 << 10;

const ALGORITHMS: [(&str, hmac::Algorithm); 3] =
    [("HS256", hmac::HMAC_SHA256), ("HS384", hmac::HMAC_SHA384), ("HS512", hmac::HMAC_SHA512)];

/// Signs the tokens of one user, and knows them again.
#[derive(Clone)]
pub(super) struct Signer([hmac::Key; 3]);

impl Signer {
    /// The key is the password's bytes, as in Go.
    pub(super) fn new(password: &str) -> Self {
        Self(ALGORITHMS.map(|(_, algorithm)| hmac::Key::new(algorithm, password.as_bytes())))
    }

    /// The token of `user`; always the same, until the password changes.
    pub(super) fn token(&self, user: &str) -> String {
        let claims = serde_json::json!({ "iss": user }).to_string();
        let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let text = format!("{}.{}", encode(br#"{"alg":"HS256","typ":"JWT"}"#), encode(claims.as_bytes()));
        let signature = hmac::sign(&self.0[0], text.as_bytes());
        format!("{text}.{}", encode(signature.as_ref()))
    }

    /// Whether this key signed the token.
    pub(super) fn signed(&self, token: &Token) -> bool {
        hmac::verify(&self.0[token.algorithm], token.text.as_bytes(), &token.signature).is_ok()
    }
}

/// A token that is in force, by what it says; whether that is true, its signature tells.
#[derive(Debug)]
pub(super) struct Token {
    /// Whose it says it is.
    pub(super) issuer: String,
    algorithm: usize,
    text: String,
    signature: Vec<u8>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    exp: Option<f64>,
    nbf: Option<f64>,
    iat: Option<f64>,
}

impl Token {
    /// Reads a token; `None` when it is none, or not in force at `now`.
    pub(super) fn read(token: &str, now: UnixMillis) -> Option<Self> {
        if token.len() > TOKEN_MAX {
            return None;
        }
        let (text, signature) = token.rsplit_once('.')?;
        let (header, claims) = text.split_once('.')?;
        let decode = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).ok();
        let header: Header = serde_json::from_slice(&decode(header)?).ok()?;
        let claims: Claims = serde_json::from_slice(&decode(claims)?).ok()?;
        let algorithm = ALGORITHMS.iter().position(|(name, _)| *name == header.alg)?;
        let now = std::time::Duration::from_millis(u64::try_from(now.0).ok()?).as_secs_f64();
        let is_over = claims.exp.is_some_and(|at| at <= now);
        let is_early = [claims.nbf, claims.iat].into_iter().flatten().any(|at| at > now);
        let signature = decode(signature)?;
        (!is_over && !is_early).then(|| Self { issuer: claims.iss, algorithm, text: text.into(), signature })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_000_000);

    fn signed(algorithm: usize, claims: &str) -> String {
        let header = format!("{{\"alg\":\"{}\"}}", ALGORITHMS[algorithm].0);
        let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let text = format!("{}.{}", encode(header.as_bytes()), encode(claims.as_bytes()));
        let signature = hmac::sign(&Signer::new("testpass").0[algorithm], text.as_bytes());
        format!("{text}.{}", encode(signature.as_ref()))
    }

    fn admits(token: &str) -> bool {
        Token::read(token, NOW).is_some_and(|token| Signer::new("testpass").signed(&token))
    }

    #[test]
    fn a_token_is_gos_and_is_known_again() {
        let token = Signer::new("testpass").token("testuser");
        let gos =
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJ0ZXN0dXNlciJ9.tXRs6ozKKJ6ntzR0iHHeR62wrG5TR8OBrbvRQZ-zwtQ";
        assert_eq!(token, gos);
        assert!(admits(&token));
        assert!(!Signer::new("other").signed(&Token::read(&token, NOW).unwrap()));
    }

    #[test]
    fn all_three_algorithms_are_taken_and_none_is_not() {
        for algorithm in 0..3 {
            assert!(admits(&signed(algorithm, r#"{"iss":"x"}"#)));
        }
        let none = format!("{}.{}.", "eyJhbGciOiJub25lIn0", "eyJpc3MiOiJ0ZXN0dXNlciJ9");
        assert!(Token::read(&none, NOW).is_none());
    }

    #[test]
    fn times_count_when_they_are_there() {
        assert!(admits(&signed(0, r#"{"iss":"x","exp":1001,"nbf":999,"iat":999}"#)));
        for claims in [r#"{"iss":"x","exp":1000}"#, r#"{"iss":"x","nbf":1001}"#, r#"{"iss":"x","iat":1001}"#] {
            assert!(!admits(&signed(0, claims)), "{claims}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_token_makes_it_panic(text in "[A-Za-z0-9._-]{0,200}") {
            proptest::prop_assert!(!admits(&text));
        }
    }
}
