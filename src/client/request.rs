//! One request: to the first server that answers.
use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy;
use hyper_util::rt::TokioExecutor;
use serde::de::DeserializeOwned;

use super::connector::{Check, Dialer, connector};
use super::error::{Error, NewError};
use super::host::Host;
use crate::swarm::Secret;
use crate::task;
use crate::wire::rest;

/// Longest answer that is not a stream, in bytes: the status of one pin on 100,000 peers.
const ANSWER_MAX: usize = 64 * 1024 * 1024;

/// How to reach a cluster.
#[derive(Clone, Default)]
pub struct ClientArgs {
    /// Multiaddresses, `/unix/<path>` or URLs; the next is tried when one cannot be reached.
    pub hosts: Vec<String>,
    /// Whether to use TLS.
    pub https: bool,
    /// Whether to believe any certificate.
    pub no_check_certificate: bool,
    /// The key of the private network that servers over libp2p are in.
    pub secret: Option<Secret>,
    /// User and password.
    pub basic_auth: Option<(String, String)>,
    /// Longest time that a request may take, its whole answer included; `None` is for ever.
    pub timeout: Option<Duration>,
}

impl fmt::Debug for ClientArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientArgs").field("hosts", &self.hosts).field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

/// A REST API's client.
#[derive(Clone)]
pub struct Client {
    servers: Vec<Server>,
    authorization: Option<HeaderValue>,
    timeout: Option<Duration>,
}

#[derive(Clone)]
struct Server {
    base: String,
    shown: String,
    http: legacy::Client<HttpsConnector<Dialer>, Full<Bytes>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.servers.iter().map(|server| &server.base)).finish()
    }
}

impl Client {
    /// Makes a client; nothing is dialled yet.
    ///
    /// # Errors
    /// [`NewError`].
    pub fn new(args: &ClientArgs) -> Result<Self, NewError> {
        let servers: Vec<_> = args.hosts.iter().map(|host| server(host, args)).collect::<Result<_, _>>()?;
        if servers.is_empty() {
            return Err(NewError::NoHost);
        }
        let authorization = args.basic_auth.as_ref().map(authorization).transpose()?;
        Ok(Self { servers, authorization, timeout: args.timeout })
    }

    /// Sends a request; an answer that is not 2xx is an error.
    pub(super) async fn send(&self, method: Method, path: &str) -> Result<Answer, Error> {
        self.send_body(method, path, Bytes::new()).await
    }

    /// Sends a request with a body.
    pub(super) async fn send_body(&self, method: Method, path: &str, body: Bytes) -> Result<Answer, Error> {
        let due = self.timeout.map(|timeout| task::now() + timeout);
        let mut last = Error::local("no API address given");
        for server in &self.servers {
            match self.send_to(server, &method, (path, body.clone()), due).await {
                Err(error) if error.is_local() => last = error,
                answer => return answer,
            }
        }
        Err(last)
    }

    async fn send_to(
        &self,
        server: &Server,
        method: &Method,
        (path, body): (&str, Bytes),
        due: Option<Instant>,
    ) -> Result<Answer, Error> {
        let url = format!("{}{path}", server.base);
        let context = format!("{} \"{}{path}\"", title(method), server.shown);
        tracing::debug!("{method}: {url}");
        let mut request = Request::builder().method(method).uri(&url);
        if let Some(value) = &self.authorization {
            request = request.header(AUTHORIZATION, value);
        }
        let request = request.body(Full::new(body)).map_err(|error| Error::local(format!("{context}: {error}")))?;
        let response = in_time(due, server.http.request(request)).await;
        let response = response.ok_or_else(|| timed_out(&context))?;
        let response = response.map_err(|error| Error::local(format!("{context}: {}", cause(&error))))?;
        let answer = Answer { response, due, context };
        if answer.response.status().is_success() { Ok(answer) } else { Err(answer.refusal().await) }
    }

    /// Sends a request and reads one document.
    pub(super) async fn call<T: DeserializeOwned>(&self, method: Method, path: &str) -> Result<T, Error> {
        let answer = self.send(method, path).await?;
        let context = answer.context.clone();
        let body = answer.bytes().await?;
        tracing::debug!("Response body: {}", String::from_utf8_lossy(&body).trim_end());
        serde_json::from_slice(&body).map_err(|error| Error::local(format!("{context}: {error}")))
    }
}

fn server(host: &str, args: &ClientArgs) -> Result<Server, NewError> {
    let host = Host::parse(host, args.https)?;
    let check = match (host.base.starts_with("https:"), args.no_check_certificate) {
        (false, _) => Check::Unused,
        (true, false) => Check::Roots,
        (true, true) => Check::Nothing,
    };
    let connector = connector(host.target, args.secret.clone(), check)?;
    Ok(Server {
        base: host.base,
        shown: host.shown,
        http: legacy::Client::builder(TokioExecutor::new()).build(connector),
    })
}

fn authorization((user, password): &(String, String)) -> Result<HeaderValue, NewError> {
    let text = format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")));
    let mut value = HeaderValue::try_from(text).map_err(|_| NewError::Unusable("credentials do not fit".into()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// `Get`, as Go's client writes methods.
fn title(method: &Method) -> String {
    let lower = method.as_str().to_lowercase();
    lower[..1].to_uppercase() + &lower[1..]
}

/// Waits for `future` until `due`; `None` when it took longer.
pub(super) async fn in_time<F: Future>(due: Option<Instant>, future: F) -> Option<F::Output> {
    tokio::select! { biased;
        output = future => Some(output),
        () = task::sleep_until(due) => None,
    }
}

pub(super) fn timed_out(context: &str) -> Error {
    Error::local(format!("{context}: context deadline exceeded (Client.Timeout exceeded while awaiting headers)"))
}

/// The innermost cause that says something to a user.
pub(super) fn cause(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(words) = inner.downcast_ref().and_then(tls_words) {
            return words.into();
        }
        text = inner.to_string();
        // An io::Error stands for what it wraps, and passes it over as its source.
        let wrapped = inner.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        source = wrapped.map_or_else(|| inner.source(), |wrapped| Some(wrapped));
    }
    text
}

/// Go's words for what keeps servers from being reached most.
fn tls_words(error: &rustls::Error) -> Option<&'static str> {
    if matches!(error, rustls::Error::InvalidMessage(_)) {
        return Some("http: server gave HTTP response to HTTPS client");
    }
    let is_unknown = *error == rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
    is_unknown.then_some("tls: failed to verify certificate: x509: certificate signed by unknown authority")
}

/// A response whose head has come.
pub(super) struct Answer {
    pub(super) response: Response<Incoming>,
    pub(super) due: Option<Instant>,
    pub(super) context: String,
}

impl Answer {
    pub(super) fn is_empty(&self) -> bool {
        self.response.status() == StatusCode::NO_CONTENT
    }

    /// The body as it comes; one that breaks off is an error.
    pub(super) fn parts(self) -> BoxStream<'static, Result<Bytes, Error>> {
        let Self { response, due, context } = self;
        let part = move |mut body: Incoming| {
            let context = context.clone();
            async move {
                let frame = match in_time(due, body.frame()).await {
                    None => return Some((Err(timed_out(&context)), body)),
                    Some(None) => return None,
                    Some(Some(frame)) => frame,
                };
                let bytes = frame.map(|frame| frame.into_data().unwrap_or_default());
                Some((bytes.map_err(|error| Error::local(format!("{context}: {error}"))), body))
            }
        };
        stream::unfold(response.into_body(), part).boxed()
    }

    /// The whole body.
    pub(super) async fn bytes(self) -> Result<Bytes, Error> {
        let body = Limited::new(self.response.into_body(), ANSWER_MAX).collect();
        let body = in_time(self.due, body).await.ok_or_else(|| timed_out(&self.context))?;
        let body = body.map_err(|error| Error::local(format!("{}: {error}", self.context)))?;
        Ok(body.to_bytes())
    }

    /// What a server that refuses says.
    async fn refusal(self) -> Error {
        let status = self.response.status();
        let body = match self.bytes().await {
            Ok(body) => body,
            Err(error) => return error,
        };
        match serde_json::from_slice::<rest::Error>(&body) {
            Ok(rest::Error { code, message, details }) if code != 0 => Error { code, message, details },
            _ => Error::new(status.as_u16(), text_of(status, &body)),
        }
    }
}

fn text_of(status: StatusCode, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    if text.trim().is_empty() { status.to_string() } else { text.into() }
}
