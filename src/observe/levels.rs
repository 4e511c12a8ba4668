//! Which log lines are written: the facilities that operators name, and their levels, which may change while a peer runs.
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;

/// Where a line comes from, and what operators call that; a part of a part comes before it.
const FACILITIES: &[(&str, &str)] = &[
    ("ipfs_cluster::cluster::peers::informers", "diskinfo"),
    ("ipfs_cluster::monitor::allocate", "allocator"),
    ("ipfs_cluster::swarm::book", "pstoremgr"),
    ("ipfs_cluster::tracker::core", "optracker"),
    ("ipfs_cluster::cluster", "cluster"),
    ("ipfs_cluster::swarm", "swarm"),
    ("ipfs_cluster::api::access", "restapilog"),
    ("ipfs_cluster::api", "restapi"),
    ("ipfs_cluster::ipfs", "ipfshttp"),
    ("ipfs_cluster::monitor", "monitor"),
    ("ipfs_cluster::store", "dsstate"),
    ("ipfs_cluster::crdt", "crdt"),
    ("ipfs_cluster::tracker", "pintracker"),
    ("ipfs_cluster::config", "config"),
    ("ipfs_cluster::follow", "service"),
    ("ipfs_cluster", "service"),
    (OTHERS_TARGET, "swarm2"),
];

/// Other people's part that has a facility; it is quiet unless it is named.
const OTHERS_TARGET: &str = "libp2p";

/// What every facility of the cluster is called together.
const ALL: [&str; 2] = ["all", "*"];

/// Returns the facility that a line's target belongs to.
#[must_use]
pub fn facility(target: &str) -> &'static str {
    FACILITIES.iter().find(|(prefix, _)| target.starts_with(prefix)).map_or("other", |(_, facility)| facility)
}

/// The levels of all facilities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Levels {
    all: LevelFilter,
    /// Of what is not the cluster's own.
    others: LevelFilter,
    facilities: Vec<(String, LevelFilter)>,
}

impl Default for Levels {
    fn default() -> Self {
        Self { all: LevelFilter::INFO, others: LevelFilter::ERROR, facilities: Vec::new() }
    }
}

impl Levels {
    /// Everything, as `--debug` asks for.
    #[must_use]
    pub fn debug() -> Self {
        Self { all: LevelFilter::DEBUG, ..Self::default() }
    }

    /// Reads a comma list of levels and `facility:level`, as `--loglevel` takes it; unknown names are passed over.
    ///
    /// # Errors
    /// An item with more than one colon, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut levels = Self::default();
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

    /// Takes what `GOLOG_LOG_LEVEL` says, `level` and `facility=level`, below what is said already: a level alone is for
    /// what is not the cluster's own. Returns the items that are none.
    #[must_use]
    pub fn below(mut self, environment: &str) -> (Self, Vec<String>) {
        let (mut faults, mut named) = (Vec::new(), Vec::new());
        for item in environment.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            let (facility, word) = item.split_once('=').map_or((None, item), |(facility, word)| (Some(facility), word));
            match (facility, level(word)) {
                (_, None) => faults.push(item.to_owned()),
                (None, Some(level)) => self.others = level,
                (Some(facility), Some(level)) => named.push((facility.to_owned(), level)),
            }
        }
        named.append(&mut self.facilities);
        self.facilities = named;
        (self, faults)
    }

    /// Returns the filter that lets these lines pass.
    #[must_use]
    pub fn targets(&self) -> Targets {
        let mut targets = Targets::new().with_default(self.others);
        for (target, facility) in FACILITIES {
            targets = targets.with_target(*target, self.of(facility, target.starts_with(OTHERS_TARGET)));
        }
        targets
    }

    fn of(&self, facility: &str, is_others: bool) -> LevelFilter {
        let named = self.facilities.iter().rev().find(|(name, _)| name == facility);
        named.map_or(if is_others { self.others } else { self.all }, |(_, level)| *level)
    }

    fn set(&mut self, component: &str, level: LevelFilter) -> Result<(), LevelError> {
        if ALL.contains(&component) {
            self.all = level;
            self.facilities.retain(|(name, _)| FACILITIES.contains(&(OTHERS_TARGET, name.as_str())));
        } else if let Some((_, facility)) = FACILITIES.iter().find(|(_, facility)| *facility == component) {
            self.facilities.retain(|(name, _)| name != facility);
            self.facilities.push(((*facility).into(), level));
        } else {
            return Err(LevelError::Component(component.into()));
        }
        Ok(())
    }

    fn shown(&self) -> BTreeMap<&'static str, String> {
        let level = |(target, facility): &(&str, &'static str)| {
            (*facility, self.of(facility, target.starts_with(OTHERS_TARGET)).to_string())
        };
        FACILITIES.iter().map(level).collect()
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

/// Why a level stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LevelError {
    /// There is no such facility.
    #[error("no component is called {0:?}: they are all, {names}", names = names())]
    Component(String),
    /// There is no such level.
    #[error("no level is called {0:?}: they are debug, info, warn, error")]
    Level(String),
    /// The log does not take it.
    #[error("the log does not take new levels")]
    Deaf,
}

fn names() -> String {
    Levels::default().shown().into_keys().collect::<Vec<_>>().join(", ")
}

/// Gives the log a new filter; returns whether it took it.
type Apply = Box<dyn Fn(Targets) -> bool + Send + Sync>;

/// The levels of a log that runs.
#[derive(Clone)]
pub struct LogLevels(Arc<Inner>);

struct Inner {
    levels: Mutex<Levels>,
    apply: Apply,
}

impl Default for LogLevels {
    /// Of a log that nobody writes.
    fn default() -> Self {
        Self::new(Levels::default(), Box::new(|_| true))
    }
}

impl fmt::Debug for LogLevels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LogLevels").field(&self.list()).finish()
    }
}

impl LogLevels {
    /// The levels of a log that now has `levels` and takes others by `apply`.
    #[must_use]
    pub fn new(levels: Levels, apply: Apply) -> Self {
        Self(Arc::new(Inner { levels: Mutex::new(levels), apply }))
    }

    /// Returns the level of each facility.
    #[must_use]
    pub fn list(&self) -> BTreeMap<&'static str, String> {
        self.0.levels.lock().unwrap_or_else(PoisonError::into_inner).shown()
    }

    /// Sets the level of a facility, or of `all` of the cluster's own, until the program ends.
    ///
    /// # Errors
    /// [`LevelError`]; then nothing changed.
    pub fn set(&self, component: &str, name: &str) -> Result<(), LevelError> {
        let level = level(name).ok_or_else(|| LevelError::Level(name.into()))?;
        let mut levels = self.0.levels.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = levels.clone();
        changed.set(component, level)?;
        if !(self.0.apply)(changed.targets()) {
            return Err(LevelError::Deaf);
        }
        *levels = changed;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

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
    fn the_environment_is_for_what_no_flag_names() {
        let (levels, faults) = Levels::parse("info,crdt:error").unwrap().below("warn,crdt=debug,swarm=debug,x=loud");
        assert_eq!(faults, ["x=loud"]);
        let targets = levels.targets();
        assert!(targets.would_enable("hyper", &Level::WARN) && !targets.would_enable("hyper", &Level::INFO));
        assert!(targets.would_enable("libp2p_gossipsub", &Level::WARN));
        assert!(!targets.would_enable("ipfs_cluster::crdt", &Level::WARN));
        assert!(targets.would_enable("ipfs_cluster::swarm::actor", &Level::DEBUG));
        assert!(targets.would_enable("ipfs_cluster::cluster", &Level::INFO), "that is what --loglevel is for");
    }

    #[test]
    fn a_line_names_its_facility() {
        assert_eq!(facility("ipfs_cluster::tracker::actor"), "pintracker");
        assert_eq!(facility("ipfs_cluster_service::daemon"), "service");
        assert_eq!(facility("hyper::client"), "other");
    }

    #[test]
    fn levels_change_while_the_log_runs_and_a_wrong_name_changes_nothing() {
        let applied = Arc::new(Mutex::new(Targets::new()));
        let seen = applied.clone();
        let log = LogLevels::new(
            Levels::default(),
            Box::new(move |targets| {
                *seen.lock().unwrap() = targets;
                true
            }),
        );
        let enables = |target: &str, level| applied.lock().unwrap().would_enable(target, &level);
        log.set("crdt", "debug").unwrap();
        assert!(enables("ipfs_cluster::crdt::automerge", Level::DEBUG));
        assert!(!enables("ipfs_cluster::swarm", Level::DEBUG));
        assert_eq!((log.list()["crdt"].as_str(), log.list()["swarm"].as_str()), ("debug", "info"));
        log.set("swarm2", "debug").unwrap();
        log.set("all", "error").unwrap();
        assert!(!enables("ipfs_cluster::crdt", Level::WARN) && enables("libp2p_swarm", Level::DEBUG));
        let before = log.list();
        let unknown = log.set("crtd", "debug").unwrap_err().to_string();
        assert!(unknown.contains("\"crtd\"") && unknown.contains("pintracker"), "{unknown}");
        assert_eq!(log.set("crdt", "loud"), Err(LevelError::Level("loud".into())));
        assert_eq!(log.list(), before);
    }
}
