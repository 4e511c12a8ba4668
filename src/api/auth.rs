//! Who may call: basic authentication and tokens.
use std::collections::BTreeMap;
use std::fmt;

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::error::ApiError;
use super::token::{Signer, Token};
use crate::task;

const BEARER: &str = "Bearer realm=\"Restricted IPFS Cluster API\"";
const BASIC: &str = "Basic realm=\"Restricted IPFS Cluster API\"";
const BAD_TOKEN: &str = "Bearer realm=\"Restricted IPFS Cluster API\", error=\"invalid_token\"";

/// Paths that may be asked without a password: probes, and what the API is like, which is the same of every peer.
const OPEN: [&str; 5] = ["/health", "/livez", "/readyz", "/syncedz", "/openapi.json"];

/// The users and passwords that an API admits; shows none of them.
#[derive(Clone, Default)]
pub struct Credentials(Vec<User>);

/// One of them: what a password is compared with, and what signs tokens.
#[derive(Clone)]
struct User {
    name: String,
    fingerprint: blake3::Hash,
    signer: Signer,
}

impl Credentials {
    /// Admits these users; one with an empty name or password can never log in.
    #[must_use]
    pub fn new(users: &BTreeMap<String, String>) -> Self {
        let usable = users.iter().filter(|(user, password)| !user.is_empty() && !password.is_empty());
        let user = |(name, password): (&String, &String)| User {
            name: name.clone(),
            fingerprint: fingerprint(name, password),
            signer: Signer::new(password),
        };
        Self(usable.map(user).collect())
    }

    /// Says who asks; `None` where anybody may.
    ///
    /// # Errors
    /// What is answered to one who is not admitted.
    pub(super) fn admit(&self, request: &Parts) -> Result<Option<Admitted>, Refusal> {
        let is_open =
            request.method == Method::OPTIONS || (request.method == Method::GET && OPEN.contains(&request.uri.path()));
        if is_open {
            return Ok(None);
        }
        let admitted = |user: &User| Some(Admitted { token: user.signer.token(&user.name) });
        match given(&request.headers) {
            Given::Basic(user, password) => match self.with_password(&user, &password) {
                Some(user) => Ok(admitted(user)),
                None => Err(Refusal("unauthorized: access denied", &[BASIC])),
            },
            Given::Token(token) => match self.with_token(&token) {
                Some(user) => Ok(admitted(user)),
                None => Err(Refusal("unauthorized: invalid token", &[BAD_TOKEN])),
            },
            Given::Nothing => Err(Refusal("unauthorized: no auth provided", &[BEARER, BASIC])),
        }
    }

    /// Compares with all of them, whichever matches, in a time that says nothing about them.
    fn with_password(&self, user: &str, password: &str) -> Option<&User> {
        let given = fingerprint(user, password);
        // Comparing hashes takes the same time wherever they differ.
        self.0.iter().filter(|known| known.fingerprint == given).fold(None, |_, user| Some(user))
    }

    fn with_token(&self, token: &str) -> Option<&User> {
        let token = Token::read(token, task::wall())?;
        self.0.iter().find(|user| user.name == token.issuer).filter(|user| user.signer.signed(&token))
    }
}

/// Who was admitted: goes with the request to its handler.
#[derive(Clone)]
pub(super) struct Admitted {
    /// Lets its user in from now on.
    pub(super) token: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({} users)", self.0.len())
    }
}

fn fingerprint(user: &str, password: &str) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(user.len() as u64).to_le_bytes()).update(user.as_bytes()).update(password.as_bytes());
    hasher.finalize()
}

/// Why somebody is not admitted, and how to log in.
pub(super) struct Refusal(&'static str, &'static [&'static str]);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self(message, challenges) = self;
        let mut response = ApiError::new(StatusCode::UNAUTHORIZED, message).into_response();
        for challenge in challenges {
            response.headers_mut().append(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response
    }
}

enum Given {
    Nothing,
    Basic(String, String),
    Token(String),
}

fn given(headers: &HeaderMap) -> Given {
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let Some((scheme, rest)) = value.split_once(' ') else { return Given::Nothing };
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") && !rest.is_empty() {
        return Given::Token(rest.into());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Given::Nothing;
    }
    let text = BASE64_STANDARD.decode(rest).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    match text.as_deref().and_then(|text| text.split_once(':')) {
        Some((user, password)) => Given::Basic(user.into(), password.into()),
        None => Given::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(method: &Method, path: &str, authorization: Option<&str>) -> Option<(u16, Vec<String>)> {
        let users = BTreeMap::from([("testuser".into(), "testpass".into()), ("empty".into(), String::new())]);
        let mut request = axum::http::Request::builder().method(method).uri(path);
        if let Some(value) = authorization {
            request = request.header(header::AUTHORIZATION, value);
        }
        let parts = request.body(()).unwrap().into_parts().0;
        let response = Credentials::new(&users).admit(&parts).err()?.into_response();
        let challenges = response.headers().get_all(header::WWW_AUTHENTICATE).iter();
        Some((response.status().as_u16(), challenges.map(|v| v.to_str().unwrap().to_owned()).collect()))
    }

    fn basic(pair: &str) -> String {
        format!("Basic {}", BASE64_STANDARD.encode(pair))
    }

    #[test]
    fn who_knows_the_password_is_admitted() {
        assert_eq!(ask(&Method::GET, "/id", Some(&basic("testuser:testpass"))), None);
        assert_eq!(ask(&Method::POST, "/pins/x", Some(&basic("testuser:testpass").replace("Basic", "bAsIc"))), None);
    }

    #[test]
    fn all_others_are_told_how_to_log_in() {
        let both = Some((401, vec![BEARER.to_owned(), BASIC.to_owned()]));
        for nothing in [None, Some("Basic !!!"), Some("Digest x"), Some("Bearer "), Some("Basic")] {
            assert_eq!(ask(&Method::GET, "/id", nothing), both, "{nothing:?}");
        }
        for wrong in ["testuser:x", "x:x", "testuser:", "empty:", ":", "testuse:rtestpass", "testuser:testpass2"] {
            assert_eq!(ask(&Method::GET, "/id", Some(&basic(wrong))), Some((401, vec![BASIC.to_owned()])), "{wrong}");
        }
        assert_eq!(ask(&Method::GET, "/id", Some("Bearer x")), Some((401, vec![BAD_TOKEN.to_owned()])));
    }

    #[test]
    fn only_the_probe_and_options_are_open() {
        for path in OPEN {
            assert_eq!(ask(&Method::GET, path, None), None);
        }
        assert_eq!(ask(&Method::OPTIONS, "/id", None), None);
        assert!(ask(&Method::GET, "/health/", None).is_some());
        assert!(ask(&Method::POST, "/health", None).is_some());
    }

    #[test]
    fn nothing_of_it_is_shown() {
        let users = BTreeMap::from([("name".into(), "word".into())]);
        assert_eq!(format!("{:?}", Credentials::new(&users)), "Credentials(1 users)");
    }
}
