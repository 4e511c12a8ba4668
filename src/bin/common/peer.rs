//! A peer from its configuration, until it is told to stop or ends by itself.
mod reload;

use std::ffi::OsStr;
use std::fmt;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use futures::TryFutureExt;
use futures::future::{join_all, select_all};
use ipfs_cluster::api::http::{self, Listener, Timeouts, Tls};
use ipfs_cluster::api::{AccessLog, Cors, Credentials, metrics, rest};
use ipfs_cluster::cluster::{self, Cluster, STOP_MAX};
use ipfs_cluster::config::{Config, Endpoint, HttpApiConfig, Identity, Libp2pApi, MetricsConfig};
use ipfs_cluster::model::Multiaddr;
use ipfs_cluster::observe::{self, LogLevels, Meters, Traces, TracesArgs};
use ipfs_cluster::swarm::{SwarmError, tunnel};
use ipfs_cluster::task::{self, Fatal, Task};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

pub use reload::{ReadTrust, Reload};

/// How long Prometheus may take for a request, and for its answer.
const SCRAPE_MAX: Duration = Duration::from_secs(30);

/// Bytes of the head of its requests.
const SCRAPE_HEAD_MAX: usize = 16 << 10;

/// How long what serves the API beside it may take to end: the stores need the rest of the 8 seconds.
const HELPER_STOP_MAX: Duration = Duration::from_secs(1);

/// Why a peer did not start, or ended by itself.
#[derive(Debug)]
pub struct PeerError {
    /// What failed, in the words that Go's programs put between `error` and the cause.
    pub doing: &'static str,
    /// The cause.
    pub cause: Fatal,
}

impl PeerError {
    /// A part of the peer failed; its listeners have a name of their own.
    fn of_cluster(cause: Fatal) -> Self {
        let is_host = matches!(cause.downcast_ref(), Some(SwarmError::Listen(_)));
        Self { doing: if is_host { "creating libp2p host" } else { "starting cluster" }, cause }
    }

    fn of_api(cause: Fatal) -> Self {
        Self { doing: "creating REST API component", cause }
    }

    fn of_traces(cause: Fatal) -> Self {
        Self { doing: "creating tracing component", cause }
    }

    fn of_metrics(cause: Fatal) -> Self {
        Self { doing: "creating metrics endpoint", cause }
    }
}

impl fmt::Display for PeerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.doing, self.cause)
    }
}

/// When a peer ends, and what it does meanwhile when it is told to.
pub struct Control {
    /// Ends it.
    pub stop: CancellationToken,
    /// Renews its trust list.
    pub reload: Reload,
}

/// Runs a peer; returns when it is stopped and has ended, or when it ends by itself.
pub async fn run_peer(
    config: Config,
    identity: Identity,
    bootstrap: Vec<Multiaddr>,
    Control { stop, reload }: Control,
) -> Result<(), PeerError> {
    raise_files();
    let (restapi, metrics) = (config.restapi.clone(), config.metrics.clone().filter(|metrics| metrics.enable_stats));
    // Bound first: a port that is taken is said before anything is opened.
    let mut bound = match &restapi {
        Some(api) => bind(api).await.map_err(PeerError::of_api)?,
        None => Bound::default(),
    };
    let traces = reload.log.traces.clone();
    begin_traces(&traces, &config, &identity).map_err(PeerError::of_traces)?;
    let watched = bind_metrics(metrics.as_ref()).await.map_err(PeerError::of_metrics)?;
    let keypair = identity.keypair().clone();
    let args = cluster::Args { config, keypair, bootstrap, meters: Meters::default() };
    let mut peer = cluster::start(args).await.map_err(PeerError::of_cluster)?;
    let helpers = [bound.host.take(), bound.writer.take()];
    let mut fronts = Fronts::default();
    if let Some(api) = restapi {
        let levels = reload.log.levels.clone();
        fronts.push(PeerError::of_api, "REST API", serve(peer.cluster(), &api, bound, levels));
    }
    if let Some(listener) = watched {
        fronts.push(PeerError::of_metrics, "metrics endpoint", serve_metrics(peer.cluster(), listener));
    }
    let reload = reload::spawn(peer.cluster(), reload);
    notify("READY=1");
    let ended = tokio::select! {
        () = stop.cancelled() => Ok(()),
        error = peer.failed() => Err(PeerError::of_cluster(error)),
        error = fronts.failed() => Err(error),
    };
    let deadline = task::now() + STOP_MAX;
    tracing::info!("shutting down");
    notify("STOPPING=1");
    drop(reload);
    // The front ends are the peer's users, so they go first; whatever becomes of them, the peer closes its stores.
    let fronts = fronts.stop().await;
    for helper in helpers.into_iter().flatten() {
        // What they could not do they have told; a log on a disk that hangs must not keep the stores from closing.
        let _ = tokio::time::timeout(HELPER_STOP_MAX, helper.stop()).await;
    }
    // Beside the rest of the stop, which it is not to make longer; it waits without an executor.
    let last_spans = tokio::task::spawn_blocking(move || traces.end());
    let peer = peer.stop_by(deadline).await.map_err(PeerError::of_cluster);
    let _ = last_spans.await;
    ended.and(fronts).and(peer)
}

/// What listens for others than peers.
#[derive(Default)]
struct Fronts(Vec<Front>);

struct Front {
    error: fn(Fatal) -> PeerError,
    name: &'static str,
    task: Task,
}

impl Fronts {
    fn push(&mut self, error: fn(Fatal) -> PeerError, name: &'static str, task: Task) {
        self.0.push(Front { error, name, task });
    }

    /// Waits until one ends by itself, which none should.
    async fn failed(&mut self) -> PeerError {
        let ends = self.0.iter_mut().map(|Front { error, name, task }| {
            Box::pin(async move {
                match task.ended().await {
                    Ok(()) => error(format!("the {name} ended").into()),
                    Err(cause) => error(format!("the {name} failed: {cause}").into()),
                }
            })
        });
        let ends: Vec<_> = ends.collect();
        if ends.is_empty() { std::future::pending().await } else { select_all(ends).await.0 }
    }

    /// Stops all of them at once; returns the first fault.
    async fn stop(self) -> Result<(), PeerError> {
        let stops = self.0.into_iter().map(|Front { error, task, .. }| task.stop().map_err(error));
        join_all(stops).await.into_iter().collect()
    }
}

/// Where an API listens, what encrypts it, and where its requests are written down.
#[derive(Default)]
struct Bound {
    listeners: Vec<Listener>,
    tls: Option<Tls>,
    log: Option<AccessLog>,
    writer: Option<Task>,
    /// What carries streams over libp2p.
    host: Option<Task>,
}

async fn bind(api: &HttpApiConfig) -> Result<Bound, Fatal> {
    let tls = api.tls.as_ref().map(|files| Tls::load(&files.ssl_cert_file, &files.ssl_key_file)).transpose()?;
    let mut listeners = Vec::new();
    for endpoint in &api.http_listen_multiaddress {
        let listener = match endpoint {
            Endpoint::Unix(path) => Listener::unix(path).await?,
            Endpoint::Address(address) => Listener::bind(&address.to_string()).await?,
        };
        tracing::info!(address = listener.address(), "REST API");
        listeners.push(listener);
    }
    let mut host = None;
    if let Some(Libp2pApi { listen, identity }) = api.libp2p.as_deref() {
        let (incoming, task) = Box::pin(tunnel::listen(identity.keypair(), listen)).await?;
        let listener = Listener::streams(incoming);
        tracing::info!(address = listener.address(), "REST API over libp2p");
        listeners.push(listener);
        host = Some(task);
    }
    let (log, writer) = match &api.http_log_file {
        Some(path) => AccessLog::to_file(path).map(|(log, writer)| (log, Some(writer)))?,
        None => (AccessLog::to_log(), None),
    };
    Ok(Bound { listeners, tls, log: Some(log), writer, host })
}

fn serve(cluster: Cluster, api: &HttpApiConfig, Bound { listeners, tls, log, .. }: Bound, levels: LogLevels) -> Task {
    let users = |users: &ipfs_cluster::config::Credentials| {
        Credentials::new(&users.iter().map(|(user, word)| (user.to_owned(), word.to_owned())).collect())
    };
    let options = rest::RestOptions {
        headers: api.headers.iter().cloned().collect(),
        credentials: api.basic_auth_credentials.as_ref().map(users),
        cors: cors(&api.cors),
        levels,
        log,
    };
    http::serve(http::Args {
        listeners,
        router: rest::router(cluster, &options),
        tls,
        timeouts: Timeouts {
            read: api.read_timeout,
            read_header: api.read_header_timeout,
            idle: api.idle_timeout,
            write: api.write_timeout,
        },
        max_header_bytes: api.max_header_bytes,
    })
}

/// Traces requests from now on, when the configuration says so.
fn begin_traces(traces: &Traces, config: &Config, identity: &Identity) -> Result<(), Fatal> {
    let Some(tracing) = config.tracing.as_ref().filter(|tracing| tracing.enable_tracing) else { return Ok(()) };
    let endpoint = observe::endpoint(&tracing.jaeger_agent_endpoint, |name| std::env::var(name).ok())?;
    let args = TracesArgs {
        endpoint,
        share: tracing.sampling_prob,
        service: format!("{}-{}", tracing.service_name, config.cluster.peername),
        peer: identity.keypair().public().to_peer_id().to_string(),
    };
    traces.begin(&args, Handle::current())?;
    tracing::info!(share = args.share, service = args.service, "traces are sent by OTLP");
    Ok(())
}

async fn bind_metrics(metrics: Option<&MetricsConfig>) -> Result<Option<Listener>, Fatal> {
    let Some(metrics) = metrics else { return Ok(None) };
    let listener = Listener::bind(&metrics.prometheus_endpoint.to_string()).await?;
    tracing::info!(address = listener.address(), "metrics for Prometheus, at /metrics");
    Ok(Some(listener))
}

fn serve_metrics(cluster: Cluster, listener: Listener) -> Task {
    http::serve(http::Args {
        listeners: vec![listener],
        router: metrics::router(cluster),
        tls: None,
        timeouts: Timeouts { read: Some(SCRAPE_MAX), write: Some(SCRAPE_MAX), ..Timeouts::default() },
        max_header_bytes: SCRAPE_HEAD_MAX,
    })
}

fn cors(config: &ipfs_cluster::config::Cors) -> Cors {
    Cors {
        origins: config.allowed_origins.clone(),
        methods: config.allowed_methods.clone(),
        headers: config.allowed_headers.clone(),
        exposed: config.exposed_headers.clone(),
        credentials: config.allow_credentials,
        max_age: config.max_age,
    }
}

/// Lets this process open as many files as the system allows it, as the runtime of Go's programs does.
fn raise_files() {
    let raised =
        getrlimit(Resource::RLIMIT_NOFILE).and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tracing::debug!("the limit of open files stays as it is: {error}");
    }
}

/// Tells a service manager that asked for it how the peer stands.
fn notify(state: &str) {
    let Some(name) = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else { return };
    let address = match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        path => SocketAddr::from_pathname(OsStr::from_bytes(path)),
    };
    let sent = address.and_then(|to| UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &to));
    if let Err(e) = sent {
        tracing::warn!("the service manager could not be told {state}: {e}");
    }
}
