//! Log lines as the Go programs write them: time, level, facility, place, message, apart by tabs, on stderr.
use std::fmt;
use std::io::IsTerminal;

use ipfs_cluster::task;
use time::OffsetDateTime;
use time::macros::format_description;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

/// Where a line comes from, and what operators call that; a part of a part comes before it.
const FACILITIES: &[(&str, &str)] = &[
    ("ipfs_cluster::cluster::peers::informers", "diskinfo"),
    ("ipfs_cluster::monitor::allocate", "allocator"),
    ("ipfs_cluster::swarm::book", "pstoremgr"),
    ("ipfs_cluster::tracker::core", "optracker"),
    ("ipfs_cluster::cluster", "cluster"),
    ("ipfs_cluster::swarm", "swarm"),
    ("ipfs_cluster::api", "restapi"),
    ("ipfs_cluster::ipfs", "ipfshttp"),
    ("ipfs_cluster::monitor", "monitor"),
    ("ipfs_cluster::store", "dsstate"),
    ("ipfs_cluster::crdt", "crdt"),
    ("ipfs_cluster::tracker", "pintracker"),
    ("ipfs_cluster::config", "config"),
    ("ipfs_cluster::follow", "service"),
    ("ipfs_cluster", "service"),
    ("libp2p", "swarm2"),
];

/// What `--loglevel` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Levels {
    all: LevelFilter,
    facilities: Vec<(String, LevelFilter)>,
}

impl Levels {
    /// Everything, as `--debug` asks for.
    pub fn debug() -> Self {
        Self { all: LevelFilter::DEBUG, facilities: Vec::new() }
    }

    /// Reads a comma list of levels and `facility:level`; unknown names are passed over.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut levels = Self { all: LevelFilter::INFO, facilities: Vec::new() };
        for item in text.split(',').map(str::trim) {
            match item.split_once(':') {
                None => levels.all = level(item).unwrap_or(levels.all),
                Some((_, rest)) if rest.contains(':') => {
                    return Err(format!("log levels are written level or facility:level, not {item:?}"));
                }
                Some((facility, rest)) => levels.facilities.extend(level(rest).map(|level| (facility.into(), level))),
            }
        }
        Ok(levels)
    }

    fn targets(&self) -> Targets {
        let mut targets = Targets::new().with_default(LevelFilter::ERROR);
        for (target, facility) in FACILITIES {
            // Other people's parts are quiet unless they are named.
            let own = if target.starts_with("ipfs_cluster") { self.all } else { LevelFilter::ERROR };
            let named = self.facilities.iter().rev().find(|(name, _)| name == facility);
            targets = targets.with_target(*target, named.map_or(own, |(_, level)| *level));
        }
        targets
    }
}

fn level(name: &str) -> Option<LevelFilter> {
    match name.to_ascii_lowercase().as_str() {
        "debug" => Some(LevelFilter::DEBUG),
        "info" | "notice" => Some(LevelFilter::INFO),
        "warn" | "warning" => Some(LevelFilter::WARN),
        "error" | "critical" | "dpanic" | "panic" | "fatal" => Some(LevelFilter::ERROR),
        _ => None,
    }
}

/// Sends log lines to stderr from now on; a second call changes nothing.
pub fn start(levels: &Levels) {
    let is_named = |name| std::env::var(name).is_ok_and(|format| format == "nocolor");
    let is_plain = is_named("IPFS_LOGGING_FMT")
        || is_named("GOLOG_LOG_FMT")
        || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let is_coloured = std::io::stderr().is_terminal() && !is_plain;
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(is_coloured)
        .event_format(Lines { is_coloured });
    // Fails only when there is a subscriber already.
    let _ = tracing_subscriber::registry().with(levels.targets()).with(lines).try_init();
}

struct Lines {
    is_coloured: bool,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let metadata = event.metadata();
        let mut fields = Fields::default();
        event.record(&mut fields);
        let (colour, end) = if self.is_coloured { (colour(*metadata.level()), "\u{1b}[0m") } else { ("", "") };
        let (level, facility) = (metadata.level(), facility(metadata.target()));
        let (file, line) = (place(metadata.file().unwrap_or_default()), metadata.line().unwrap_or_default());
        write!(out, "{}\t{colour}{level}{end}\t{facility}\t{file}:{line}\t{}", now(), fields.message)?;
        if !fields.rest.is_empty() {
            write!(out, "\t{{{}}}", fields.rest.join(", "))?;
        }
        writeln!(out)
    }
}

fn facility(target: &str) -> &'static str {
    FACILITIES.iter().find(|(prefix, _)| target.starts_with(prefix)).map_or("other", |(_, facility)| facility)
}

/// The last two steps of a path.
fn place(file: &str) -> &str {
    let cut = file.rmatch_indices('/').nth(1).map_or(0, |(at, _)| at + 1);
    &file[cut..]
}

fn now() -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(task::wall().nanos()));
    moment.ok().and_then(|moment| moment.format(format).ok()).unwrap_or_default()
}

fn colour(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\u{1b}[31m",
        Level::WARN => "\u{1b}[33m",
        Level::INFO => "\u{1b}[34m",
        Level::DEBUG | Level::TRACE => "\u{1b}[35m",
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    rest: Vec<String>,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message = value.into();
        } else {
            self.rest.push(format!("\"{}\": {value:?}", field.name()));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        } else {
            self.rest.push(format!("\"{}\": \"{}\"", field.name(), format!("{value:?}").escape_default()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_for_all_or_for_a_facility() {
        let levels = Levels::parse("warn,pintracker:debug,swarm2:info,nothing,crdt:loud").unwrap();
        let targets = levels.targets();
        assert!(!targets.would_enable("ipfs_cluster::cluster", &Level::INFO));
        assert!(targets.would_enable("ipfs_cluster::cluster", &Level::WARN));
        assert!(targets.would_enable("ipfs_cluster::tracker::actor", &Level::DEBUG));
        let allocator = Levels::parse("error,allocator:debug").unwrap().targets();
        assert!(allocator.would_enable("ipfs_cluster::monitor::allocate", &Level::DEBUG));
        assert!(!allocator.would_enable("ipfs_cluster::monitor::checker", &Level::WARN));
        assert!(targets.would_enable("libp2p_gossipsub", &Level::INFO));
        assert!(!targets.would_enable("ipfs_cluster::crdt", &Level::INFO));
        assert!(!Levels::parse("debug").unwrap().targets().would_enable("hyper", &Level::WARN));
        assert!(Levels::parse("a:b:c").is_err());
    }

    #[test]
    fn a_line_names_its_facility_and_a_short_place() {
        assert_eq!(facility("ipfs_cluster::tracker::actor"), "pintracker");
        assert_eq!(facility("ipfs_cluster_service::daemon"), "service");
        assert_eq!(place("src/bin/ipfs-cluster-service/daemon.rs"), "ipfs-cluster-service/daemon.rs");
        assert_eq!(place("main.rs"), "main.rs");
    }
}
