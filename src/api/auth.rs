//! Basic authentication.
use std::collections::BTreeMap;
use std::fmt;

use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::error::ApiError;

const BEARER: &str = "Bearer realm=\"Restricted IPFS Cluster API\"";
const BASIC: &str = "Basic realm=\"Restricted IPFS Cluster API\"";
const BAD_TOKEN: &str = "Bearer realm=\"Restricted IPFS Cluster API\", error=\"invalid_token\"";

/// The users and passwords that an API admits; shows none of them.
#[derive(Clone, Default)]
pub struct Credentials(Vec<blake3::Hash>);

impl Credentials {
    /// Admits these users; one with an empty name or password can never log in.
    #[must_use]
    pub fn new(users: &BTreeMap<String, String>) -> Self {
        let usable = users.iter().filter(|(user, password)| !user.is_empty() && !password.is_empty());
        Self(usable.map(|(user, password)| fingerprint(user, password)).collect())
    }

    /// Compares with all of them, whichever matches, in a time that says nothing about them.
    fn admits(&self, user: &str, password: &str) -> bool {
        let given = fingerprint(user, password);
        // Comparing hashes takes the same time wherever they differ.
        self.0.iter().filter(|known| **known == given).count() > 0
    }
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

/// Says why a request is not admitted; `None` when it is.
pub(super) fn refusal(credentials: &Credentials, method: &Method, path: &str, headers: &HeaderMap) -> Option<Response> {
    let is_open = *method == Method::OPTIONS || (*method == Method::GET && path == "/health");
    if is_open {
        return None;
    }
    match given(headers) {
        Given::Basic(user, password) if credentials.admits(&user, &password) => None,
        Given::Basic(..) => Some(unauthorized("unauthorized: access denied", &[BASIC])),
        Given::Token => Some(unauthorized("unauthorized: invalid token", &[BAD_TOKEN])),
        Given::Nothing => Some(unauthorized("unauthorized: no auth provided", &[BEARER, BASIC])),
    }
}

fn unauthorized(message: &str, challenges: &[&'static str]) -> Response {
    let mut response = ApiError { status: StatusCode::UNAUTHORIZED, message: message.into() }.into_response();
    for challenge in challenges {
        response.headers_mut().append(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    response
}

enum Given {
    Nothing,
    Basic(String, String),
    Token,
}

fn given(headers: &HeaderMap) -> Given {
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let Some((scheme, rest)) = value.split_once(' ') else { return Given::Nothing };
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") && !rest.is_empty() {
        return Given::Token;
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
        let mut headers = HeaderMap::new();
        if let Some(value) = authorization {
            headers.insert(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        let response = refusal(&Credentials::new(&users), method, path, &headers)?;
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
        assert_eq!(ask(&Method::GET, "/health", None), None);
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
