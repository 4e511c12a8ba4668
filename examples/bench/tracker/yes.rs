//! A daemon that holds whatever it is asked for, and lists nothing.
use std::convert::Infallible;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::Error;

/// The daemon; it ends when it is dropped.
pub struct Yes {
    port: u16,
    _served: JoinSet<()>,
}

impl Yes {
    /// Starts it on a port of the kernel's choice.
    pub async fn start() -> Result<Self, Error> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let mut served = JoinSet::new();
        served.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(async move {
                    // A client that goes is no fault.
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)).await;
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { port, _served: served })
    }

    /// Where it is.
    pub fn address(&self) -> String {
        format!("/ip4/127.0.0.1/tcp/{}", self.port)
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let uri = request.uri();
    let query = uri.query().unwrap_or_default();
    let argument = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    let (cid, kind) = (argument("arg").unwrap_or_default(), argument("type").unwrap_or_default());
    let (status, body) = match uri.path().trim_start_matches("/api/v0/") {
        "id" => (200, r#"{"ID":"12D3KooWJ7JKRCXv6PDYYSyfJyRuPqYrbFQcxcJeMKV44YgAnhFR","Addresses":[]}"#.to_owned()),
        "repo/stat" => (200, r#"{"RepoSize":1,"StorageMax":1000000000000}"#.to_owned()),
        "swarm/peers" => (200, r#"{"Peers":[]}"#.to_owned()),
        "files/stat" => (200, r#"{"CumulativeSize":1000}"#.to_owned()),
        "pin/ls" if !cid.is_empty() => (200, format!("{{\"Cid\":\"{cid}\",\"Type\":\"{kind}\"}}\n")),
        path => (500, format!("{{\"Message\":\"{path} is not there\",\"Code\":0,\"Type\":\"error\"}}")),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = hyper::StatusCode::from_u16(status).expect("both are codes");
    Ok(response)
}
