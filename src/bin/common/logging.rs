//! The log of a program: which lines, how they look and where they go, as flags and the variables of Go's log say.
mod lines;
mod sinks;

use std::sync::Arc;

use ipfs_cluster::observe::{Levels, LogLevels, Traces};
use tracing::Subscriber;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, reload};

use lines::Lines;
use sinks::Sinks;

/// A log that is being written.
#[derive(Clone, Debug)]
pub struct Log {
    /// Its levels, which may change.
    pub levels: LogLevels,
    /// What is told to a collector of traces beside it.
    pub traces: Traces,
    sinks: Arc<Sinks>,
}

impl Log {
    /// Opens its file anew, when it has one.
    pub fn reopen(&self) -> Result<(), String> {
        self.sinks.reopen()
    }
}

/// Writes log lines from now on; `levels` go before those of the environment. A second call changes nothing.
pub fn start(levels: Levels) -> Result<Log, String> {
    let (levels, faults) = levels.below(&either("GOLOG_LOG_LEVEL", "IPFS_LOGGING"));
    for fault in faults {
        eprintln!("error setting log level {fault:?}");
    }
    let sinks = Arc::new(Sinks::from(variable)?);
    let (filter, handle) = reload::Layer::new(levels.targets());
    let look = look(&either("GOLOG_LOG_FMT", "IPFS_LOGGING_FMT"), sinks.is_terminal());
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(sinks.clone())
        .with_ansi(look == Lines::Coloured)
        .event_format(look)
        .with_filter(filter);
    let (spans, traces) = spans();
    // Fails only when there is a subscriber already.
    let _ = tracing_subscriber::registry().with(lines).with(spans).try_init();
    let levels = LogLevels::new(levels, Box::new(move |targets| handle.reload(targets).is_ok()));
    Ok(Log { levels, traces, sinks })
}

/// The layer that makes spans, which lets nothing pass until traces begin.
fn spans<S>() -> (impl Layer<S>, Traces)
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    let traces = Traces::default();
    let (filter, handle) = reload::Layer::new(Targets::new());
    traces.filtered_by(move |targets| handle.reload(targets).is_ok());
    let layer = tracing_opentelemetry::layer()
        .with_tracer(traces.tracer())
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false);
    (layer.with_filter(filter), traces)
}

fn look(format: &str, is_terminal: bool) -> Lines {
    let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    match format {
        "json" => return Lines::Json,
        "nocolor" => return Lines::Plain,
        "color" => return Lines::Coloured,
        "" => (),
        unknown => eprintln!("ignoring unrecognized log format '{unknown}'"),
    }
    if is_terminal && !is_plain { Lines::Coloured } else { Lines::Plain }
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

fn either(name: &str, old: &str) -> String {
    Some(variable(name)).filter(|value| !value.is_empty()).unwrap_or_else(|| variable(old))
}
