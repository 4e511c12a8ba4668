//! Go's `Pin`.
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Time;
use crate::model;

/// One element of the pinset; `null` and empty lists are told apart as Go does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Pin {
    /// Least holders; -1 is everywhere.
    pub replication_factor_min: i32,
    /// Most holders.
    pub replication_factor_max: i32,
    /// Its label.
    pub name: String,
    /// `recursive` or `direct`.
    pub mode: String,
    /// Bytes a shard.
    pub shard_size: u64,
    /// Peers that were asked for.
    pub user_allocations: Option<Vec<String>>,
    /// When it ends.
    pub expire_at: Time,
    /// The user's keys and values.
    pub metadata: Option<BTreeMap<String, String>>,
    /// The pin that it replaces.
    pub pin_update: Option<String>,
    /// Peers that have the content.
    pub origins: Option<Vec<String>>,
    /// What is pinned.
    pub cid: Option<String>,
    /// `pin`, `meta-pin`, `clusterdag-pin`, `shard-pin` or `bad-type`; very old exports have none, and mean `pin`.
    #[serde(rename = "type", default = "plain")]
    pub kind: String,
    /// Who holds it; empty is everywhere.
    pub allocations: Option<Vec<String>>,
    /// -1 recursive, 0 direct, n levels; very old exports have none, and mean -1.
    #[serde(default = "recursive")]
    pub max_depth: i32,
    /// The pin it belongs to.
    pub reference: Option<String>,
    /// When it was pinned.
    pub timestamp: Time,
}

fn plain() -> String {
    model::PinType::Data.name().into()
}

fn recursive() -> i32 {
    model::MaxDepth::Recursive.number()
}

fn texts<T: ToString>(list: &[T]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

impl Pin {
    /// The pin as the answer to its submission shows it.
    #[must_use]
    pub fn submitted(pin: &model::Pin) -> Self {
        Self {
            user_allocations: Some(texts(&pin.user_allocations)).filter(|list| !list.is_empty()),
            metadata: Some(pin.metadata.clone()),
            origins: Some(texts(&pin.origins)).filter(|list| !list.is_empty()),
            ..Self::stored(pin)
        }
    }

    /// The pin as the pinset has it.
    #[must_use]
    pub fn stored(pin: &model::Pin) -> Self {
        let (replication_factor_min, replication_factor_max) = pin.replication.factors();
        Self {
            replication_factor_min,
            replication_factor_max,
            name: pin.name.clone(),
            mode: mode_name(pin.mode()).into(),
            shard_size: pin.shard_size,
            user_allocations: None,
            expire_at: pin.expire_at.into(),
            metadata: Some(pin.metadata.clone()).filter(|map| !map.is_empty()),
            pin_update: pin.pin_update.map(|cid| cid.to_string()),
            origins: Some(texts(&pin.origins)),
            cid: Some(pin.cid.to_string()),
            kind: pin.kind.name().into(),
            allocations: Some(texts(&pin.allocations)),
            max_depth: pin.max_depth.number(),
            reference: pin.reference.map(|cid| cid.to_string()),
            timestamp: pin.timestamp.into(),
        }
    }
}

/// What became of one line of `POST /pins`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PinOutcome {
    /// Its number, the first is 1; blank lines count and are not answered.
    pub line: u64,
    /// What it asked to pin; empty when it could not be read.
    pub cid: String,
    /// Whether it is pinned: on disk, as after any 200.
    pub ok: bool,
    /// The status that the request alone would have had; 0 when it is pinned.
    #[serde(skip_serializing_if = "is_zero")]
    pub code: u16,
    /// Why it is not pinned.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub error: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
const fn is_zero(code: &u16) -> bool {
    *code == 0
}

impl Pin {
    /// A request to pin `cid` with these options.
    #[must_use]
    pub fn wished(cid: &str, options: &model::PinOptions) -> Self {
        Self {
            cid: Some(cid.into()),
            kind: plain(),
            mode: mode_name(options.mode).into(),
            replication_factor_min: options.replication_min,
            replication_factor_max: options.replication_max,
            name: options.name.clone(),
            shard_size: options.shard_size,
            user_allocations: Some(texts(&options.user_allocations)),
            expire_at: options.expire_at.into(),
            metadata: Some(options.metadata.clone()),
            pin_update: options.pin_update.map(|cid| cid.to_string()),
            origins: Some(texts(&options.origins)),
            max_depth: recursive(),
            ..Self::default()
        }
    }

    /// Reads it as a request to pin: allocations, depth, reference and timestamp are the cluster's to say.
    ///
    /// # Errors
    /// The field that is wrong.
    pub fn request(self) -> Result<(model::Cid, model::PinOptions), PinError> {
        let name = self.cid.clone().ok_or(PinError::NoCid)?;
        let cid_of = |text: &str| super::parse_cid(text).map_err(|error| PinError::Cid { cid: name.clone(), error });
        let field = |field, value: &str| PinError::Field { cid: name.clone(), field, value: value.into() };
        if self.kind != plain() {
            return Err(field("type", &self.kind));
        }
        let mode = match self.mode.as_str() {
            "" | "recursive" => model::PinMode::Recursive,
            "direct" => model::PinMode::Direct,
            other => return Err(field("mode", other)),
        };
        let options = model::PinOptions {
            mode,
            replication_min: self.replication_factor_min,
            replication_max: self.replication_factor_max,
            shard_size: self.shard_size,
            user_allocations: parsed(self.user_allocations, |text| {
                super::parse_peer(text).map_err(|_| field("user_allocations", text))
            })?,
            expire_at: self.expire_at.millis(),
            pin_update: self.pin_update.as_deref().map(cid_of).transpose()?,
            origins: parsed(self.origins, |text| text.parse().map_err(|_| field("origins", text)))?,
            metadata: self.metadata.unwrap_or_default(),
            name: self.name,
        };
        Ok((cid_of(&name)?, options))
    }
}

/// Why a JSON object is no pin.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// It has no `cid`.
    #[error("a pin without a cid")]
    NoCid,
    /// A CID does not parse.
    #[error("pin {cid}: {error}")]
    Cid {
        /// Of which pin.
        cid: String,
        /// What is wrong.
        error: super::CidError,
    },
    /// A field holds what no pin has.
    #[error("pin {cid}: {field} is invalid: {value:?}")]
    Field {
        /// Of which pin.
        cid: String,
        /// Which.
        field: &'static str,
        /// What it holds.
        value: String,
    },
    /// The factors contradict each other.
    #[error("pin {cid}: {error}")]
    Replication {
        /// Of which pin.
        cid: String,
        /// How.
        error: model::ReplicationError,
    },
}

impl TryFrom<Pin> for model::Pin {
    type Error = PinError;

    /// Reads what `state export` and `/allocations` of this program and of Go's write.
    fn try_from(pin: Pin) -> Result<Self, PinError> {
        let name = pin.cid.clone().ok_or(PinError::NoCid)?;
        let cid_of = |text: &str| super::parse_cid(text).map_err(|error| PinError::Cid { cid: name.clone(), error });
        let some_cid = |text: &Option<String>| text.as_deref().map(cid_of).transpose();
        let field = |field, value: &str| PinError::Field { cid: name.clone(), field, value: value.into() };
        let kinds = model::PinType::ALL.into_iter().skip(1);
        Ok(Self {
            cid: cid_of(&name)?,
            kind: kinds.into_iter().find(|kind| kind.name() == pin.kind).ok_or_else(|| field("type", &pin.kind))?,
            replication: model::Replication::from_factors(pin.replication_factor_min, pin.replication_factor_max)
                .map_err(|error| PinError::Replication { cid: name.clone(), error })?,
            name: pin.name,
            shard_size: pin.shard_size,
            user_allocations: Vec::new(),
            expire_at: pin.expire_at.millis(),
            metadata: pin.metadata.unwrap_or_default(),
            pin_update: some_cid(&pin.pin_update)?,
            origins: parsed(pin.origins, |text| text.parse().map_err(|_| field("origins", text)))?,
            allocations: parsed(pin.allocations, |text| {
                super::parse_peer(text).map_err(|_| field("allocations", text))
            })?,
            max_depth: model::MaxDepth::from_number(pin.max_depth),
            reference: some_cid(&pin.reference)?,
            timestamp: pin.timestamp.millis(),
        })
    }
}

fn parsed<T>(list: Option<Vec<String>>, one: impl Fn(&str) -> Result<T, PinError>) -> Result<Vec<T>, PinError> {
    list.unwrap_or_default().iter().map(|text| one(text)).collect()
}

/// Go's name of a mode.
pub(super) const fn mode_name(mode: model::PinMode) -> &'static str {
    match mode {
        model::PinMode::Recursive => "recursive",
        model::PinMode::Direct => "direct",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{PinMode, PinOptions, UnixMillis};

    const A: &str = "QmP63DkAFEnDYNjDYBpyNDfttu1fvUw99x1brscPzpqmmq";

    proptest! {
        #[test]
        fn what_is_wished_is_what_is_requested(
            (name, min, max, shard_size) in (".{0,20}", -1..9_i32, -1..9_i32, any::<u64>()),
            metadata in prop::collection::btree_map(".{0,8}", ".{0,8}", 0..4),
            (expire, direct, update) in (prop::option::of(1..253_402_300_799_i64), any::<bool>(), any::<bool>()),
        ) {
            let options = PinOptions {
                name, replication_min: min, replication_max: max, shard_size, metadata,
                mode: if direct { PinMode::Direct } else { PinMode::Recursive },
                expire_at: expire.map(UnixMillis::from_seconds),
                pin_update: update.then(|| A.parse().unwrap()),
                user_allocations: vec![model::PeerId::random()],
                origins: vec!["/ip4/1.2.3.4/tcp/4001".parse().unwrap()],
            };
            let line = serde_json::to_string(&Pin::wished(A, &options)).unwrap();
            let read: Pin = serde_json::from_str(&line).unwrap();
            prop_assert_eq!(read.request().unwrap(), (A.parse().unwrap(), options));
        }
    }

    #[test]
    fn a_field_that_is_wrong_is_named_and_refused() {
        for (fields, fault) in [
            ("\"mode\":\"x\"", "mode is invalid: \"x\""),
            ("\"type\":\"meta-pin\"", "type is invalid: \"meta-pin\""),
            ("\"user_allocations\":[\"x\"]", "user_allocations is invalid: \"x\""),
            ("\"origins\":[\"x\"]", "origins is invalid: \"x\""),
            ("\"pin_update\":\"x\"", "invalid cid: cid too short"),
        ] {
            let pin: Pin = serde_json::from_str(&format!("{{\"cid\":\"{A}\",{fields}}}")).unwrap();
            assert_eq!(pin.request().unwrap_err().to_string(), format!("pin {A}: {fault}"));
        }
        assert!(matches!(Pin { kind: plain(), ..Pin::default() }.request(), Err(PinError::NoCid)));
    }
}
