//! What scripts of other origins may do, as Go's `rs/cors` answers them.
use std::time::Duration;

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// Request headers that are allowed when none are configured.
const HEADERS_DEFAULT: [&str; 3] = ["accept", "content-type", "x-requested-with"];
/// Methods that are allowed when none are configured.
const METHODS_DEFAULT: [&str; 3] = ["GET", "POST", "HEAD"];
const PREFLIGHT_VARY: HeaderValue =
    HeaderValue::from_static("Origin, Access-Control-Request-Method, Access-Control-Request-Headers");

/// The `cors_*` keys.
#[derive(Clone, Debug)]
pub struct Cors {
    /// Origins, each with at most one `*`; empty: all.
    pub origins: Vec<String>,
    /// Methods; empty: GET, POST and HEAD.
    pub methods: Vec<String>,
    /// Request headers, `*` is any; empty: those that browsers send anyway.
    pub headers: Vec<String>,
    /// Answer headers that scripts may see.
    pub exposed: Vec<String>,
    /// Whether requests may carry credentials.
    pub credentials: bool,
    /// How long a browser may remember this; zero: not said.
    pub max_age: Duration,
}

impl Default for Cors {
    /// Go's defaults.
    fn default() -> Self {
        let exposed = ["Content-Type", "X-Stream-Output", "X-Chunked-Output", "X-Content-Length"];
        Self {
            origins: vec!["*".into()],
            methods: vec!["GET".into()],
            headers: Vec::new(),
            exposed: exposed.map(String::from).to_vec(),
            credentials: true,
            max_age: Duration::ZERO,
        }
    }
}

impl Cors {
    /// Answers a browser that asks before it sends; `None` when this is no such question.
    pub(super) fn preflight(&self, request: &Parts) -> Option<Response> {
        let method = request.headers.get(header::ACCESS_CONTROL_REQUEST_METHOD)?;
        if request.method != Method::OPTIONS {
            return None;
        }
        let mut response = StatusCode::NO_CONTENT.into_response();
        response.headers_mut().insert(header::VARY, PREFLIGHT_VARY);
        let Some(origin) = request.headers.get(header::ORIGIN) else { return Some(response) };
        let asked = request.headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS);
        let allowed = self.allows_origin(origin)
            && method.to_str().is_ok_and(|method| self.allows_method(method))
            && asked.is_none_or(|asked| asked.to_str().is_ok_and(|asked| self.allows_headers(asked)));
        if allowed {
            let headers = response.headers_mut();
            self.allow(origin, headers);
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, method.clone());
            if let Some(asked) = asked {
                headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
            }
            if !self.max_age.is_zero() {
                headers.insert(header::ACCESS_CONTROL_MAX_AGE, self.max_age.as_secs().into());
            }
        }
        Some(response)
    }

    /// The headers of the answer to a request of another origin.
    pub(super) fn answer(&self, method: &Method, request: &HeaderMap) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::VARY, HeaderValue::from_static("Origin"));
        let Some(origin) = request.get(header::ORIGIN) else { return headers };
        if self.allows_origin(origin) && self.allows_method(method.as_str()) {
            self.allow(origin, &mut headers);
            if !self.exposed.is_empty() {
                put(&mut headers, header::ACCESS_CONTROL_EXPOSE_HEADERS, &self.exposed.join(", "));
            }
        }
        headers
    }

    fn allow(&self, origin: &HeaderValue, headers: &mut HeaderMap) {
        let origin = if self.allows_all() { HeaderValue::from_static("*") } else { origin.clone() };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if self.credentials {
            put(headers, header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
        }
    }

    fn allows_all(&self) -> bool {
        self.origins.is_empty() || self.origins.iter().any(|origin| origin == "*")
    }

    fn allows_origin(&self, origin: &HeaderValue) -> bool {
        let Ok(origin) = origin.to_str() else { return false };
        let origin = origin.to_ascii_lowercase();
        self.allows_all() || self.origins.iter().any(|pattern| fits(&pattern.to_ascii_lowercase(), &origin))
    }

    fn allows_method(&self, method: &str) -> bool {
        let among = |list: &[&str]| list.iter().any(|allowed| allowed.eq_ignore_ascii_case(method));
        let own: Vec<&str> = self.methods.iter().map(String::as_str).collect();
        method.eq_ignore_ascii_case("OPTIONS") || among(if own.is_empty() { &METHODS_DEFAULT } else { &own })
    }

    fn allows_headers(&self, asked: &str) -> bool {
        let own: Vec<&str> = self.headers.iter().map(String::as_str).collect();
        let list = if own.is_empty() { &HEADERS_DEFAULT[..] } else { &own };
        let allows = |name: &str| list.iter().any(|allowed| *allowed == "*" || allowed.eq_ignore_ascii_case(name));
        asked.split(',').map(str::trim).filter(|name| !name.is_empty()).all(allows)
    }
}

/// Whether an origin is what a pattern with at most one `*` says.
fn fits(pattern: &str, origin: &str) -> bool {
    match pattern.split_once('*') {
        Some((start, end)) => {
            origin.len() >= start.len() + end.len() && origin.starts_with(start) && origin.ends_with(end)
        }
        None => pattern == origin,
    }
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn shop() -> Cors {
        Cors {
            origins: vec!["https://*.Shop.example".into()],
            methods: vec!["POST".into()],
            headers: vec!["X-Key".into()],
            max_age: Duration::from_mins(1),
            ..Cors::default()
        }
    }

    fn preflight(cors: &Cors, fields: &[(&str, &str)]) -> Option<Vec<String>> {
        let mut request = Request::builder().method("OPTIONS").uri("/id");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let response = cors.preflight(&request.body(()).unwrap().into_parts().0)?;
        assert_eq!(response.status(), 204);
        let mut names: Vec<_> =
            response.headers().iter().map(|(n, v)| format!("{n}: {}", v.to_str().unwrap())).collect();
        names.retain(|name| name.starts_with("access-control"));
        names.sort();
        Some(names)
    }

    #[test]
    fn what_is_configured_is_allowed_and_nothing_else() {
        let origin = ("origin", "https://a.shop.example");
        let method = ("access-control-request-method", "POST");
        let key = ("access-control-request-headers", "x-key, X-KEY");
        let allowed = [
            "access-control-allow-credentials: true",
            "access-control-allow-headers: x-key, X-KEY",
            "access-control-allow-methods: POST",
            "access-control-allow-origin: https://a.shop.example",
            "access-control-max-age: 60",
        ];
        assert_eq!(preflight(&shop(), &[origin, method, key]).unwrap(), allowed);
        let nothing = Some(Vec::new());
        assert_eq!(preflight(&shop(), &[("origin", "https://shop.example.evil"), method]), nothing);
        assert_eq!(preflight(&shop(), &[("origin", "https://.shop.example"), method]).unwrap().len(), 4);
        assert_eq!(preflight(&shop(), &[origin, ("access-control-request-method", "DELETE")]), nothing);
        assert_eq!(preflight(&shop(), &[origin, method, ("access-control-request-headers", "x-key,cookie")]), nothing);
        assert_eq!(preflight(&shop(), &[method]), nothing);
        assert_eq!(preflight(&shop(), &[origin]), None);
    }

    #[test]
    fn an_answer_says_who_may_read_it() {
        let headers = HeaderMap::from_iter([(header::ORIGIN, HeaderValue::from_static("https://b.shop.example"))]);
        let answer = shop().answer(&Method::POST, &headers);
        assert_eq!(answer[header::ACCESS_CONTROL_ALLOW_ORIGIN], "https://b.shop.example");
        assert_eq!(shop().answer(&Method::GET, &headers).len(), 1);
        assert_eq!(shop().answer(&Method::POST, &HeaderMap::new())[header::VARY], "Origin");
    }
}
