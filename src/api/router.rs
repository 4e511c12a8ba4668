//! What every request goes through before and after its handler.
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::MethodRouter;

use super::auth::Credentials;
use super::cors::Cors;
use super::error::ApiError;

/// What an API adds to its routes.
#[derive(Clone, Debug, Default)]
pub(super) struct Pipeline {
    /// On every answer but redirections and 405.
    pub(super) headers: HeaderMap,
    /// Who is admitted; `None` is everybody.
    pub(super) credentials: Option<Credentials>,
    /// What scripts of other origins may do.
    pub(super) cors: Cors,
}

/// Reads configured headers; a name or value that HTTP forbids is left out with a warning.
pub(super) fn header_map<'a>(headers: impl IntoIterator<Item = (&'a String, &'a Vec<String>)>) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, values) in headers {
        for value in values {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                map.append(name, value);
            } else {
                tracing::warn!("the configured header {name:?} is not one that HTTP allows and is left out");
            }
        }
    }
    map
}

/// Authentication, CORS, clean paths, then the route; and the headers of the answer.
pub(super) async fn pass(State(pipeline): State<Arc<Pipeline>>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    if let Some(credentials) = &pipeline.credentials {
        match credentials.admit(&parts) {
            Ok(Some(user)) => drop(parts.extensions.insert(user)),
            Ok(None) => (),
            Err(refusal) => {
                let mut refusal = refusal.into_response();
                add_headers(&mut refusal, &pipeline.headers);
                return refusal;
            }
        }
    }
    if let Some(answer) = pipeline.cors.preflight(&parts) {
        return answer;
    }
    let cors = pipeline.cors.answer(&parts.method, &parts.headers);
    // Redirecting the root to the path without its slash would lead to the root again, for ever.
    let mut response = match redirection(&parts.method, &parts.uri) {
        Some(redirection) => redirection,
        None => next.run(Request::from_parts(parts, body)).await,
    };
    let is_bare = matches!(response.status().as_u16(), 301 | 307 | 405);
    // Go's router does not say which methods a path has.
    response.headers_mut().remove(header::ALLOW);
    if !is_bare {
        add_headers(&mut response, &pipeline.headers);
    }
    add_headers(&mut response, &cors);
    response
}

/// A path that is known, with a method that is not its own: answered as Go's router does, whose table decides by its order.
pub(super) async fn wrong_method(method: Method, uri: Uri) -> Response {
    let path = uri.path();
    let is_late = ["/ipfs/", "/health", "/monitor", "/token"].iter().any(|start| path.starts_with(start));
    let has_later = match method {
        Method::GET => true,
        Method::POST => path != "/health",
        Method::DELETE => !is_late,
        _ => false,
    };
    if has_later { ApiError::no_route().into_response() } else { StatusCode::METHOD_NOT_ALLOWED.into_response() }
}

fn add_headers(response: &mut Response, headers: &HeaderMap) {
    for (name, value) in headers {
        response.headers_mut().append(name.clone(), value.clone());
    }
}

/// Sends clients from `//` and `..` to the clean path, and from a slash at the end to the path without.
///
/// Paths are cleaned first, so that `//host/` never becomes a location that leads to another host.
fn redirection(method: &Method, uri: &Uri) -> Option<Response> {
    let path = uri.path();
    let location = |path: &str| uri.query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    if let Some(clean) = cleaned(path) {
        return Some((StatusCode::MOVED_PERMANENTLY, [(header::LOCATION, location(&clean))]).into_response());
    }
    let trimmed = path.strip_suffix('/').filter(|path| !path.is_empty())?;
    let location = location(trimmed);
    let mut response = (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, location.clone())]).into_response();
    if *method == Method::GET {
        let html = HeaderValue::from_static("text/html; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, html);
        *response.body_mut() = format!("<a href=\"{}\">Temporary Redirect</a>.\n\n", escaped(&location)).into();
    }
    Some(response)
}

/// The path without empty, `.` and `..` segments; `None` when it has none of them.
fn cleaned(path: &str) -> Option<String> {
    let is_odd = |segment: &str| matches!(segment, "." | "..");
    if !path.contains("//") && !path.split('/').any(is_odd) {
        return None;
    }
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => (),
            ".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
    }
    let end = if path.ends_with('/') && !kept.is_empty() { "/" } else { "" };
    Some(format!("/{}{end}", kept.join("/")))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&#34;").replace('\'', "&#39;")
}

/// A route's methods with HEAD refused, which would otherwise be answered as GET.
pub(super) fn no_head<S: Clone + Send + Sync + 'static>(methods: MethodRouter<S>) -> MethodRouter<S> {
    methods.head(|| async { StatusCode::METHOD_NOT_ALLOWED })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(path: &str) -> Option<(u16, String)> {
        let response = redirection(&Method::POST, &path.parse().unwrap())?;
        Some((response.status().as_u16(), response.headers()[header::LOCATION].to_str().unwrap().into()))
    }

    #[test]
    fn a_slash_at_the_end_is_redirected_with_the_query() {
        assert_eq!(location("/pins/"), Some((307, "/pins".into())));
        assert_eq!(location("/peers/?a=b&c"), Some((307, "/peers?a=b&c".into())));
        assert_eq!(location("/pins"), None);
        assert_eq!(location("/"), None);
    }

    #[test]
    fn odd_paths_are_cleaned() {
        assert_eq!(location("//id"), Some((301, "/id".into())));
        assert_eq!(location("/pins/../id?x=1"), Some((301, "/id?x=1".into())));
        assert_eq!(location("/a/./b/"), Some((301, "/a/b/".into())));
        assert_eq!(location("/.."), Some((301, "/".into())));
    }

    #[test]
    fn no_redirection_leads_to_another_host() {
        for path in ["//evil.example/", "///evil.example//", "//evil.example/..", "/x/..//evil.example/"] {
            let (_, to) = location(path).unwrap();
            assert!(!to.starts_with("//"), "{path} -> {to}");
        }
    }
}
