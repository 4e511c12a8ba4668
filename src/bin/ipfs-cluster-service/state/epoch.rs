//! `state new-epoch`: the cluster anew, with the pins of one peer and without its history.
use std::path::Path;

use ipfs_cluster::cluster::offline::{self, Import, Pages};
use ipfs_cluster::config::{Config, Environment, File, Identity, rewrite};
use ipfs_cluster::task::Fatal;

use super::folder::ready;
use super::progress::Progress;
use crate::common::{Values, confirm};
use crate::exit::Failure;

/// The key that says the epoch, and its variable.
const KEY: &str = "consensus.crdt.epoch";
const VARIABLE: &str = "CLUSTER_CRDT_EPOCH";

/// What the order is; every peer is told it, because somebody has to know it on each.
const ORDER: &str = "\
A new epoch takes all peers, in this order:
  1. stop all peers of the cluster;
  2. on one peer, the one with the pinset to go on with: state new-epoch
  3. on every other peer: state new-epoch --empty
  4. start them; the others then get the pinset from the first.
Followers begin anew by themselves once their template has the new epoch.
Until a peer is in the new epoch it is kept out, and named in the others' logs.";

/// Brings store and configuration of a folder into one epoch, which is a new one unless they differ.
pub fn run(folder: &Path, values: &Values) -> Result<(), Failure> {
    let failed = |e: Fatal| Failure::new("making a new epoch", e);
    let (_lock, config, identity) = ready(folder)?;
    let store = offline::epoch(folder).map_err(failed)?;
    let plan = Plan::of(store, config.crdt.epoch, elsewhere(folder)?.as_deref()).map_err(|e| failed(e.into()))?;
    let is_empty = values.is_on("empty") && plan.makes_store;
    let pins = if is_empty { None } else { Pages::open(folder).map_err(failed)? };
    println!("{ORDER}\n");
    println!("{}", plan.told(folder, pins.as_ref().map_or(0, Pages::total), is_empty));
    if !values.is_on("force") && !confirm("Continue?") {
        return Ok(());
    }
    let progress = Progress::of_pins(true);
    let made = plan.run(folder, config, &identity, pins, &progress);
    progress.end();
    let count = made.map_err(failed)?;
    println!("This peer is in epoch {}, with {count} pins.", plan.epoch);
    Ok(())
}

/// Where the epoch is said, when it is not in the folder's own file.
fn elsewhere(folder: &Path) -> Result<Option<String>, Failure> {
    if Environment::of_process().get(VARIABLE).is_some() {
        return Ok(Some(format!("the variable {VARIABLE}")));
    }
    let file = File::read(&folder.join("service.json")).map_err(|e| Failure::new("loading configurations", e))?;
    Ok(file.source().map(|source| format!("the configuration at {}", ipfs_cluster::config::shown(source))))
}

/// What is to be done to be in an epoch.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    epoch: u64,
    /// Whether the file is to say it.
    writes_file: bool,
    /// Whether a store is to be made.
    makes_store: bool,
}

impl Plan {
    /// The next epoch; or, when store and configuration differ, the later one of the two: then this was interrupted, or one
    /// of them was changed already.
    fn of(store: Option<u32>, configured: u64, elsewhere: Option<&str>) -> Result<Self, String> {
        let found = store.map(u64::from);
        let is_same = found.is_none_or(|found| found == configured);
        let plan = match found {
            Some(found) if found > configured => Self { epoch: found, writes_file: true, makes_store: false },
            _ if is_same => Self { epoch: configured + 1, writes_file: true, makes_store: true },
            _ => Self { epoch: configured, writes_file: false, makes_store: true },
        };
        if plan.epoch > u64::from(u32::MAX) {
            return Err(format!("{KEY} is {configured}, and there is none above {}", u32::MAX));
        }
        match elsewhere {
            Some(place) if plan.writes_file => Err(format!(
                "{KEY} is said by {place}: raise it there from {configured} to {}, then run this again",
                plan.epoch
            )),
            _ => Ok(plan),
        }
    }

    /// Says what will be done.
    fn told(&self, folder: &Path, pins: u64, is_empty: bool) -> String {
        let (epoch, folder) = (self.epoch, folder.display());
        if !self.makes_store {
            return format!(
                "The pinset in {folder} is of epoch {epoch} already: only {KEY} will be raised to {epoch}."
            );
        }
        let pinset = if is_empty {
            "empty, to be filled by the peer that kept its pins".to_owned()
        } else {
            format!("with its {pins} pins and without what was unpinned before")
        };
        let file = if self.writes_file { format!(", and {KEY} raised to {epoch}") } else { String::new() };
        format!("The pinset in {folder} will be made anew for epoch {epoch}, {pinset}{file}.")
    }

    /// Does it; returns the number of pins. Until the last two steps the old epoch is as it was.
    fn run(
        &self,
        folder: &Path,
        mut config: Config,
        identity: &Identity,
        pins: Option<Pages>,
        progress: &Progress,
    ) -> Result<u64, Fatal> {
        let raise = || rewrite(&folder.join("service.json"), KEY, self.epoch);
        if !self.makes_store {
            raise()?;
            return Ok(pins.map_or(0, |pins| pins.total()));
        }
        config.crdt.epoch = self.epoch;
        let mut import = Import::begin(&config, identity.keypair())?;
        let mut count = 0;
        if let Some(mut pages) = pins {
            progress.of(pages.total());
            while let Some(pins) = pages.page()? {
                count += pins.len() as u64;
                import.add(pins)?;
                progress.at(count);
            }
        }
        // If this ends between the two, the daemon says that they differ, and this command goes on from there.
        if self.writes_file {
            raise()?;
        }
        import.finish()?;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(store: Option<u32>, configured: u64) -> Plan {
        Plan::of(store, configured, None).unwrap()
    }

    #[test]
    fn store_and_configuration_go_to_the_next_epoch_or_to_the_later_of_two() {
        let both = |epoch| Plan { epoch, writes_file: true, makes_store: true };
        assert_eq!((plan(Some(0), 0), plan(None, 4)), (both(1), both(5)));
        assert_eq!(plan(Some(1), 2), Plan { epoch: 2, writes_file: false, makes_store: true });
        assert_eq!(plan(Some(2), 1), Plan { epoch: 2, writes_file: true, makes_store: false });
        assert!(Plan::of(None, u64::from(u32::MAX), None).unwrap_err().contains("there is none above"));
    }

    #[test]
    fn an_epoch_that_is_said_elsewhere_is_raised_there_first() {
        let place = Some("the variable X");
        let error = Plan::of(Some(0), 0, place).unwrap_err();
        assert_eq!(
            error,
            "consensus.crdt.epoch is said by the variable X: raise it there from 0 to 1, then run this again"
        );
        assert_eq!(Plan::of(Some(0), 1, place).unwrap(), plan(Some(0), 1));
    }
}
