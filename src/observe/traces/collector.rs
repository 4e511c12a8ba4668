//! Where spans go: OTLP over HTTP. Go's key names a Jaeger agent, whose protocol is gone; Jaeger itself takes OTLP now.
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Request, Response};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use multiaddr::Multiaddr;
use opentelemetry_http::{HttpClient, HttpError};
use tokio::runtime::Handle;

use crate::https;

/// The port where collectors, Jaeger too, take OTLP over HTTP.
const OTLP_PORT: u16 = 4318;

/// How long one batch may take to send: the next ones wait, in a queue with a bound.
pub(super) const SEND_MAX: Duration = Duration::from_secs(5);

/// Bytes of an answer that are read.
const ANSWER_MAX: usize = 64 << 10;

/// The variables that name a collector, in the order in which they count.
const VARIABLES: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

/// The address is none that spans could be sent to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("spans cannot be sent to {0}: it has to be /ip4, /ip6 or /dns with /udp or /tcp")]
pub struct EndpointError(String);

/// Returns the URL that spans go to: what the variables of `OpenTelemetry` say, else what follows from the address of an agent.
///
/// The port of a UDP address is the agent's, so that its host is taken and OTLP's port; a TCP address is a collector's own.
///
/// # Errors
/// [`EndpointError`].
pub fn endpoint(agent: &str, variable: impl Fn(&str) -> Option<String>) -> Result<String, EndpointError> {
    let [traces, all] = VARIABLES.map(|name| variable(name).filter(|value| !value.is_empty()));
    if let Some(url) = traces {
        return Ok(url);
    }
    if let Some(base) = all {
        return Ok(format!("{}/v1/traces", base.trim_end_matches('/')));
    }
    let refused = || EndpointError(agent.to_owned());
    let address: Multiaddr = agent.parse().map_err(|_| refused())?;
    // As text, because there are dozens of parts and five that count.
    let text = address.to_string();
    let [_, kind, host, transport, port] = text.splitn(5, '/').collect::<Vec<_>>()[..] else { return Err(refused()) };
    let host = host_of(kind, host).ok_or_else(refused)?;
    match transport {
        "udp" => Ok(format!("http://{host}:{OTLP_PORT}/v1/traces")),
        "tcp" if !port.contains('/') => Ok(format!("http://{host}:{port}/v1/traces")),
        _ => Err(refused()),
    }
}

/// Go's default is the agent on every address of this machine, which is meant as this machine.
fn host_of(kind: &str, host: &str) -> Option<String> {
    match (kind, host) {
        ("ip4", "0.0.0.0") => Some("127.0.0.1".into()),
        ("ip6", "::") => Some("[::1]".into()),
        ("ip6", ip) => Some(format!("[{ip}]")),
        ("ip4" | "dns" | "dns4" | "dns6", host) => Some(host.into()),
        _ => None,
    }
}

/// Sends batches; it works on the peer's executor, because the thread that waits for it has none.
pub(super) struct Sender {
    http: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    runtime: Handle,
    is_failing: Arc<AtomicBool>,
}

impl Sender {
    /// A sender that dials when it first has something.
    ///
    /// # Errors
    /// When there are no certificates to believe.
    pub fn new(runtime: Handle) -> Result<Self, String> {
        let http = Client::builder(TokioExecutor::new()).build(https::connector()?);
        Ok(Self { http, runtime, is_failing: Arc::default() })
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

/// What `async_trait` makes of an asynchronous method.
type Sending<'a> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'a>>;

impl HttpClient for Sender {
    fn send_bytes<'life0, 'async_trait>(&'life0 self, request: Request<Bytes>) -> Sending<'async_trait>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        let (http, is_failing) = (self.http.clone(), self.is_failing.clone());
        let job = self.runtime.spawn(async move {
            let sent = tokio::time::timeout(SEND_MAX, send(http, request)).await;
            let sent = sent.unwrap_or_else(|_| Err(format!("no answer in {SEND_MAX:?}").into()));
            tell(&is_failing, &sent);
            sent
        });
        Box::pin(async move { job.await? })
    }
}

async fn send(
    http: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, HttpError> {
    let (parts, body) = http.request(request.map(Full::new)).await?.into_parts();
    let body = Limited::new(body, ANSWER_MAX).collect().await?.to_bytes();
    Ok(Response::from_parts(parts, body))
}

/// Says once that spans do not arrive, and once that they do again.
fn tell(is_failing: &AtomicBool, sent: &Result<Response<Bytes>, HttpError>) {
    let fault = match sent {
        Ok(answer) if answer.status().is_success() => None,
        Ok(answer) => Some(answer.status().to_string()),
        Err(error) => Some(https::causes(&**error)),
    };
    let was_failing = is_failing.swap(fault.is_some(), Ordering::Relaxed);
    match fault {
        Some(fault) if !was_failing => {
            tracing::warn!("traces do not arrive at their collector and are dropped: {fault}");
        }
        None if was_failing => tracing::info!("traces arrive at their collector again"),
        Some(_) | None => (),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(agent: &str) -> Result<String, EndpointError> {
        endpoint(agent, |_| None)
    }

    #[test]
    fn gos_agent_is_the_collector_on_its_host() {
        assert_eq!(of("/ip4/0.0.0.0/udp/6831").unwrap(), "http://127.0.0.1:4318/v1/traces");
        assert_eq!(of("/dns4/jaeger/udp/6831").unwrap(), "http://jaeger:4318/v1/traces");
        assert_eq!(of("/ip6/fd00::1/tcp/4999").unwrap(), "http://[fd00::1]:4999/v1/traces");
        for wrong in ["", "jaeger:4318", "/ip4/1.2.3.4", "/unix/run/a", "/ip4/1.2.3.4/sctp/1"] {
            assert_eq!(of(wrong), Err(EndpointError(wrong.into())), "{wrong}");
        }
    }

    #[test]
    fn the_variables_of_opentelemetry_go_first() {
        let both = |name: &str| Some(if name.contains("TRACES") { "https://a/x" } else { "https://b/" }.to_owned());
        assert_eq!(endpoint("", both).unwrap(), "https://a/x");
        let base = |name: &str| (!name.contains("TRACES")).then(|| "https://b/".to_owned());
        assert_eq!(endpoint("", base).unwrap(), "https://b/v1/traces");
    }
}
