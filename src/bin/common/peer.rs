//! A peer from its configuration, until it is told to stop or ends by itself.
mod reload;

use std::ffi::OsStr;
use std::fmt;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use ipfs_cluster::api::http::{self, Listener, Timeouts, Tls};
use ipfs_cluster::api::{Cors, Credentials, rest};
use ipfs_cluster::cluster::{self, Cluster, STOP_MAX};
use ipfs_cluster::config::{Config, Endpoint, HttpApiConfig, Identity};
use ipfs_cluster::model::Multiaddr;
use ipfs_cluster::swarm::SwarmError;
use ipfs_cluster::task::{self, Fatal, Task};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio_util::sync::CancellationToken;

pub use reload::{ReadTrust, Reload};

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
    let restapi = config.restapi.clone();
    // Bound first: a port that is taken is said before anything is opened.
    let bound = match &restapi {
        Some(api) => bind(api).await.map_err(PeerError::of_api)?,
        None => Bound::default(),
    };
    let keypair = identity.keypair().clone();
    let mut peer = cluster::start(cluster::Args { config, keypair, bootstrap }).await.map_err(PeerError::of_cluster)?;
    let mut api = restapi.map(|api| serve(peer.cluster(), &api, bound));
    let reload = reload::spawn(peer.cluster(), reload);
    notify("READY=1");
    let ended = tokio::select! {
        () = stop.cancelled() => Ok(()),
        error = peer.failed() => Err(PeerError::of_cluster(error)),
        error = failed(api.as_mut()) => Err(PeerError::of_api(error)),
    };
    let deadline = task::now() + STOP_MAX;
    tracing::info!("shutting down");
    notify("STOPPING=1");
    drop(reload);
    // The API is the peer's user, so it goes first; whatever becomes of it, the peer closes its stores.
    let api = match api {
        Some(api) => api.stop().await.map_err(PeerError::of_api),
        None => Ok(()),
    };
    let peer = peer.stop_by(deadline).await.map_err(PeerError::of_cluster);
    ended.and(api).and(peer)
}

/// Waits until the API ends by itself, which it should not.
async fn failed(api: Option<&mut Task>) -> Fatal {
    match api {
        Some(api) => match api.ended().await {
            Ok(()) => "the REST API ended".into(),
            Err(error) => format!("the REST API failed: {error}").into(),
        },
        None => std::future::pending().await,
    }
}

/// Where an API listens, and what encrypts it.
#[derive(Default)]
struct Bound {
    listeners: Vec<Listener>,
    tls: Option<Tls>,
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
    Ok(Bound { listeners, tls })
}

fn serve(cluster: Cluster, api: &HttpApiConfig, Bound { listeners, tls }: Bound) -> Task {
    let users = |users: &ipfs_cluster::config::Credentials| {
        Credentials::new(&users.iter().map(|(user, word)| (user.to_owned(), word.to_owned())).collect())
    };
    let options = rest::RestOptions {
        headers: api.headers.iter().cloned().collect(),
        credentials: api.basic_auth_credentials.as_ref().map(users),
        cors: cors(&api.cors),
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
