//! The checks of the pin flow: what a pin becomes before it is allocated and written. Pure; the texts are Go's.
use super::SetupError;
use crate::model::{Cid, MaxDepth, Pin, PinMode, PinOptions, PinType, Replication, UnixMillis};

/// The replication factors of pins that name none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// Go's `cluster.replication_factor_min`.
    pub min: i32,
    /// Go's `cluster.replication_factor_max`.
    pub max: i32,
}

/// Returns the pin that `options` ask for, without allocations.
///
/// # Errors
/// The first check that fails, in Go's order.
pub fn setup(
    cid: Cid,
    options: &PinOptions,
    existing: Option<&Pin>,
    defaults: Defaults,
    now: UnixMillis,
) -> Result<Pin, SetupError> {
    let or = |factor: i32, default: i32| if factor == 0 { default } else { factor };
    let replication = Replication::from_factors(
        or(options.replication_min, defaults.min),
        or(options.replication_max, defaults.max),
    )?;
    if options.expire_at.is_some_and(|at| at < now) {
        return Err(SetupError::Expired);
    }
    let pin = Pin {
        cid,
        kind: PinType::Data,
        replication,
        name: options.name.clone(),
        shard_size: options.shard_size,
        user_allocations: options.user_allocations.clone(),
        expire_at: options.expire_at,
        metadata: options.metadata.clone(),
        pin_update: options.pin_update,
        origins: options.origins.clone(),
        allocations: Vec::new(),
        max_depth: match options.mode {
            PinMode::Recursive => MaxDepth::Recursive,
            PinMode::Direct => MaxDepth::Direct,
        },
        reference: None,
        timestamp: Some(now),
    };
    match existing {
        Some(existing) => repin(pin, existing),
        None => Ok(pin),
    }
}

fn repin(pin: Pin, existing: &Pin) -> Result<Pin, SetupError> {
    if existing.kind != pin.kind {
        return Err(SetupError::OtherType { new: pin.kind, was: existing.kind });
    }
    if existing.mode() == PinMode::Recursive && pin.mode() != PinMode::Recursive {
        return Err(SetupError::OtherMode(pin.mode()));
    }
    Ok(pin)
}

/// Returns the pin of `cid` that copies `from`: allocations, factors and all else, with a new name or expiry if asked.
///
/// # Errors
/// [`SetupError::NotUpdatable`] when `from` is not a data pin.
pub fn update(cid: Cid, from: &Pin, options: &PinOptions, now: UnixMillis) -> Result<Pin, SetupError> {
    if from.kind != PinType::Data {
        return Err(SetupError::NotUpdatable);
    }
    let mut pin = Pin { cid, pin_update: Some(from.cid), timestamp: Some(now), ..from.clone() };
    if !options.name.is_empty() {
        pin.name.clone_from(&options.name);
    }
    if options.expire_at.is_some_and(|at| at > now) {
        pin.expire_at = options.expire_at;
    }
    Ok(pin)
}

/// Checks that a user may take `pin` out of the pinset.
///
/// # Errors
/// Why not: parts of sharded content go with their root.
pub fn removable(pin: &Pin) -> Result<(), SetupError> {
    match pin.kind {
        PinType::Data | PinType::Meta => Ok(()),
        PinType::Shard => Err(SetupError::UnpinShard),
        PinType::ClusterDag => Err(SetupError::UnpinClusterDag),
        PinType::Bad => Err(SetupError::UnknownType),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ReplicationError;

    const NOW: UnixMillis = UnixMillis(1_700_000_000_000);
    const EVERYWHERE: Defaults = Defaults { min: -1, max: -1 };

    fn cid() -> Cid {
        "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq".parse().unwrap()
    }

    fn direct() -> PinOptions {
        PinOptions { mode: PinMode::Direct, ..PinOptions::default() }
    }

    #[test]
    fn a_factor_of_zero_is_the_default() {
        let pin = setup(cid(), &PinOptions::default(), None, Defaults { min: 2, max: 3 }, NOW).unwrap();
        assert_eq!(pin.replication, Replication::Between { min: 2, max: 3 });
        let half = PinOptions { replication_min: 2, ..PinOptions::default() };
        let error = setup(cid(), &half, None, EVERYWHERE, NOW).unwrap_err();
        assert_eq!(error, SetupError::Replication(ReplicationError::MinAboveMax));
    }

    #[test]
    fn an_expiry_in_the_past_is_refused() {
        let past = PinOptions { expire_at: Some(UnixMillis(NOW.0 - 1)), ..PinOptions::default() };
        assert_eq!(setup(cid(), &past, None, EVERYWHERE, NOW), Err(SetupError::Expired));
    }

    #[test]
    fn a_recursive_pin_does_not_become_direct_but_the_reverse_works() {
        let recursive = Pin::recursive(cid());
        let error = setup(cid(), &direct(), Some(&recursive), EVERYWHERE, NOW).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot repin a CID which is already pinned in recursive mode (new pin is pinned as direct). Unpin it first."
        );
        let first = setup(cid(), &direct(), None, EVERYWHERE, NOW).unwrap();
        assert!(setup(cid(), &PinOptions::default(), Some(&first), EVERYWHERE, NOW).is_ok());
    }

    #[test]
    fn another_kind_is_not_pinned_over() {
        let shard = Pin { kind: PinType::Shard, ..Pin::recursive(cid()) };
        let error = setup(cid(), &PinOptions::default(), Some(&shard), EVERYWHERE, NOW).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot repin CID with different tracking method, clear state with pin rm to proceed. New: pin. Was: shard-pin"
        );
        assert_eq!(removable(&shard), Err(SetupError::UnpinShard));
    }

    #[test]
    fn an_update_copies_all_but_name_and_future_expiry() {
        let from = Pin { name: "old".into(), ..Pin::recursive(cid()) };
        let past = PinOptions { expire_at: Some(UnixMillis(1)), replication_min: 3, ..PinOptions::default() };
        let pin = update(cid(), &from, &past, NOW).unwrap();
        assert_eq!((pin.name.as_str(), pin.expire_at, pin.replication), ("old", None, Replication::Everywhere));
        assert_eq!(pin.pin_update, Some(from.cid));
    }
}
