//! What the parts of a peer count and time. Whoever builds the peer makes them, hands each part its own, and registers them.
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::page::PlainCounter;
use super::traces::Origins;

/// Seconds, for what a client or a disk waits for.
const FAST: [f64; 13] = [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
/// Seconds, for what another program does, a pin of terabytes too.
const SLOW: [f64; 13] = [0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1_800.0, 10_800.0, 86_400.0];
/// Milliseconds of Go's distribution of them, half as fine.
const MILLISECONDS: [f64; 16] =
    [0.1, 0.6, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 65.0, 130.0, 250.0, 500.0, 1_000.0, 5_000.0, 20_000.0, 100_000.0];
/// Inputs of one turn.
const INPUTS: [f64; 8] = [1.0, 2.0, 5.0, 20.0, 100.0, 500.0, 2_000.0, 10_000.0];

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// The meters of a peer.
#[derive(Clone, Debug, Default)]
pub struct Meters {
    /// Of its HTTP front ends.
    pub http: HttpMeters,
    /// Of its pinset's writer.
    pub pinset: PinsetMeters,
    /// Of its IPFS daemon.
    pub ipfs: IpfsMeters,
    /// Of the calls that other peers make.
    pub calls: CallMeters,
    /// The traced requests that the daemon will be asked for something for.
    pub origins: Origins,
}

impl Meters {
    /// Puts all of them on a page.
    pub fn register(&self, registry: &mut Registry) {
        self.http.register(registry);
        self.pinset.register(registry);
        self.ipfs.register(registry);
        self.calls.register(registry);
    }
}

/// Requests and how long the heads of their answers took.
#[derive(Clone, Debug)]
pub struct HttpMeters {
    requests: Family<Request, PlainCounter>,
    seconds: Histograms<Route>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: String,
}

impl Default for HttpMeters {
    fn default() -> Self {
        Self { requests: Family::default(), seconds: Family::new_with_constructor(|| Histogram::new(FAST)) }
    }
}

impl HttpMeters {
    /// Counts a request. `method` and `route` are names of the code's own, never what a client wrote.
    pub fn answered(&self, method: &'static str, route: &str, status: u16, took: Duration) {
        self.requests.get_or_create(&Request { method, route: route.to_owned(), status }).inc();
        self.seconds.get_or_create(&Route { route: route.to_owned() }).observe(took.as_secs_f64());
    }

    fn register(&self, registry: &mut Registry) {
        let help = "Requests answered, by method, route and status";
        registry.register("ipfscluster_http_requests_total", help, self.requests.clone());
        let help = "Seconds from a request to the head of its answer, by route";
        registry.register("ipfscluster_http_request_seconds", help, self.seconds.clone());
    }
}

/// The writer thread: turns, commits, and how long its callers wait.
#[derive(Clone, Debug)]
pub struct PinsetMeters {
    writes: Histogram,
    turns: Histogram,
    inputs: Histogram,
    commits: Histogram,
}

impl Default for PinsetMeters {
    fn default() -> Self {
        let fast = || Histogram::new(FAST);
        Self { writes: fast(), turns: fast(), inputs: Histogram::new(INPUTS), commits: fast() }
    }
}

impl PinsetMeters {
    /// A caller waited so long until its write was on disk, or refused.
    pub fn written(&self, took: Duration) {
        self.writes.observe(took.as_secs_f64());
    }

    /// A turn of so many inputs took so long, with its commit.
    pub fn turned(&self, inputs: usize, took: Duration) {
        self.inputs.observe(f64::from(u32::try_from(inputs).unwrap_or(u32::MAX)));
        self.turns.observe(took.as_secs_f64());
    }

    /// A transaction took so long from its last row until it was on disk.
    pub fn committed(&self, took: Duration) {
        self.commits.observe(took.as_secs_f64());
    }

    fn register(&self, registry: &mut Registry) {
        let help = "Seconds from a write to its answer, which is on disk then";
        registry.register("ipfscluster_writer_write_seconds", help, self.writes.clone());
        let help = "Seconds that a turn of the engine takes, with its commit";
        registry.register("ipfscluster_writer_turn_seconds", help, self.turns.clone());
        let help = "Inputs that one turn of the engine takes";
        registry.register("ipfscluster_writer_turn_inputs", help, self.inputs.clone());
        let help = "Seconds from the last row of a transaction until it is on disk, fsync included";
        registry.register("ipfscluster_writer_commit_seconds", help, self.commits.clone());
    }
}

/// Calls of other peers that were answered, under Go's names.
#[derive(Clone, Debug)]
pub struct CallMeters {
    milliseconds: Histograms<Method>,
    completed: Family<Method, PlainCounter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Method {
    gorpc_server_method: String,
}

impl Default for CallMeters {
    fn default() -> Self {
        Self {
            milliseconds: Family::new_with_constructor(|| Histogram::new(MILLISECONDS)),
            completed: Family::default(),
        }
    }
}

impl CallMeters {
    /// A call was answered. `method` is one of those that are served, never what a peer wrote.
    pub fn answered(&self, method: String, took: Duration) {
        let method = Method { gorpc_server_method: method };
        self.milliseconds.get_or_create(&method).observe(took.as_secs_f64() * 1e3);
        self.completed.get_or_create(&method).inc();
    }

    fn register(&self, registry: &mut Registry) {
        let help = "Distribution of server latency in milliseconds, by method";
        let name = "ipfscluster_gorpc_libp2p_io_server_server_latency";
        registry.register(name, help, self.milliseconds.clone());
        let help = "Count of calls answered, by method";
        registry.register("ipfscluster_gorpc_libp2p_io_server_completed_rpcs", help, self.completed.clone());
    }
}

/// What was asked of the IPFS daemon.
#[derive(Clone, Debug)]
pub struct IpfsMeters {
    pins: Gauge,
    pin_add: PlainCounter,
    pin_add_errors: PlainCounter,
    seconds: Histograms<Call>,
    errors: Family<Call, PlainCounter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Call {
    call: &'static str,
}

impl Default for IpfsMeters {
    fn default() -> Self {
        Self {
            pins: Gauge::default(),
            pin_add: PlainCounter::default(),
            pin_add_errors: PlainCounter::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(SLOW)),
            errors: Family::default(),
        }
    }
}

impl IpfsMeters {
    /// A call ended after so long.
    pub fn called(&self, call: &'static str, took: Duration, is_error: bool) {
        self.seconds.get_or_create(&Call { call }).observe(took.as_secs_f64());
        if is_error {
            self.errors.get_or_create(&Call { call }).inc();
        }
    }

    /// A pin was asked for.
    pub fn pin_asked(&self) {
        self.pin_add.inc();
    }

    /// A pin that was asked for did not come about.
    pub fn pin_failed(&self) {
        self.pin_add_errors.inc();
    }

    /// The daemon holds one more, or one less.
    pub fn holds_more(&self, n: i64) {
        self.pins.inc_by(n);
    }

    /// The daemon holds so many.
    pub fn holds(&self, n: i64) {
        self.pins.set(n);
    }

    fn register(&self, registry: &mut Registry) {
        let help = "Current number of items pinned on IPFS, as of the last full listing and what was done since";
        registry.register("ipfscluster_pins_ipfs_pins", help, self.pins.clone());
        let help = "Total number of IPFS pin requests";
        registry.register("ipfscluster_pins_pin_add", help, self.pin_add.clone());
        let help = "Total number of failed pin requests";
        registry.register("ipfscluster_pins_pin_add_errors", help, self.pin_add_errors.clone());
        let help = "Seconds that calls to the IPFS daemon take, by call";
        registry.register("ipfscluster_ipfs_call_seconds", help, self.seconds.clone());
        let help = "Calls to the IPFS daemon that failed or were given up, by call";
        registry.register("ipfscluster_ipfs_call_errors_total", help, self.errors.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::page;

    #[test]
    fn what_was_counted_and_timed_is_on_the_page() {
        let (meters, mut registry) = (Meters::default(), Registry::default());
        meters.register(&mut registry);
        meters.http.answered("GET", "/pins/{hash}", 200, Duration::from_millis(3));
        meters.pinset.committed(Duration::from_millis(20));
        meters.ipfs.called("pin", Duration::from_secs(2), true);
        meters.ipfs.holds(7);
        meters.ipfs.holds_more(-1);
        meters.calls.answered("Cluster.ID".into(), Duration::from_millis(3));
        let page = page(&registry);
        for line in [
            r#"ipfscluster_http_requests_total{method="GET",route="/pins/{hash}",status="200"} 1"#,
            r#"ipfscluster_http_request_seconds_bucket{le="0.0025",route="/pins/{hash}"} 0"#,
            r#"ipfscluster_http_request_seconds_bucket{le="0.005",route="/pins/{hash}"} 1"#,
            "ipfscluster_writer_commit_seconds_count 1",
            r#"ipfscluster_ipfs_call_errors_total{call="pin"} 1"#,
            "ipfscluster_pins_ipfs_pins 6",
            r#"ipfscluster_gorpc_libp2p_io_server_server_latency_bucket{le="2.0",gorpc_server_method="Cluster.ID"} 0"#,
            r#"ipfscluster_gorpc_libp2p_io_server_server_latency_bucket{le="4.0",gorpc_server_method="Cluster.ID"} 1"#,
            r#"ipfscluster_gorpc_libp2p_io_server_completed_rpcs{gorpc_server_method="Cluster.ID"} 1"#,
            "# TYPE ipfscluster_pins_pin_add counter",
            "ipfscluster_pins_pin_add 0",
        ] {
            assert!(page.lines().any(|found| found == line), "no {line} in\n{page}");
        }
    }
}
