//! Times as JSON carries them: RFC 3339 with as many decimals as it takes, in the writer's zone.
use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::format_description::well_known::Rfc3339;
use time::{Date, OffsetDateTime};

use crate::model::UnixMillis;

/// A moment to the nanosecond; Go's zero time, the first instant of the year 1, means "none".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(OffsetDateTime);

/// Go's zero time.
const ZERO: OffsetDateTime = match Date::from_ordinal_date(1, 1) {
    Ok(date) => OffsetDateTime::new_utc(date, time::Time::MIDNIGHT),
    Err(_) => OffsetDateTime::UNIX_EPOCH,
};

impl Time {
    /// "None".
    pub const ZERO: Self = Self(ZERO);

    /// Returns whether this is "none".
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.0 == ZERO
    }

    /// Reads RFC 3339; `None` when it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        OffsetDateTime::parse(text, &Rfc3339).ok().map(Self)
    }

    /// The moment as peers compare it; `None` for "none".
    #[must_use]
    pub fn millis(self) -> Option<UnixMillis> {
        let millis = self.0.unix_timestamp_nanos().div_euclid(1_000_000);
        (!self.is_zero()).then(|| UnixMillis(i64::try_from(millis).unwrap_or(i64::MAX)))
    }

    /// The moment in the writer's zone as `2026-05-11 08:17:41`, without its fraction.
    #[must_use]
    pub fn plain(self) -> String {
        let date = self.0.date();
        let (hour, minute, second) = self.0.time().as_hms();
        format!("{date} {hour:02}:{minute:02}:{second:02}")
    }
}

impl Default for Time {
    fn default() -> Self {
        Self::ZERO
    }
}

impl From<UnixMillis> for Time {
    /// Moments beyond the year 9999 become "none".
    fn from(moment: UnixMillis) -> Self {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(moment.0) * 1_000_000).map_or(Self::ZERO, Self)
    }
}

impl From<Option<UnixMillis>> for Time {
    fn from(moment: Option<UnixMillis>) -> Self {
        moment.map_or(Self::ZERO, Self::from)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.format(&Rfc3339).map_err(|_| fmt::Error)?)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(Self::ZERO) };
        Self::parse(&text).ok_or_else(|| D::Error::custom(format!("{text:?} is no RFC 3339 time")))
    }
}

impl JsonSchema for Time {
    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": "date-time",
            "description": "RFC 3339; 0001-01-01T00:00:00Z is none.",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_trimmed_and_zones_kept() {
        for text in [
            "0001-01-01T00:00:00Z",
            "2026-05-11T10:17:41+02:00",
            "2026-11-21T01:54:25.69555311Z",
            "2026-11-21T01:55:15.1Z",
        ] {
            assert_eq!(Time::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn milliseconds_and_none_have_their_texts() {
        assert_eq!(Time::from(UnixMillis(1_778_487_461_500)).to_string(), "2026-05-11T08:17:41.5Z");
        assert_eq!(Time::from(UnixMillis(i64::MAX)), Time::ZERO);
        assert_eq!(Time::from(None).to_string(), "0001-01-01T00:00:00Z");
        assert_eq!(Time::ZERO.millis(), None);
        assert_eq!(Time::from(UnixMillis(-1)).millis(), Some(UnixMillis(-1)));
    }

    #[test]
    fn the_plain_form_stops_at_the_second() {
        assert_eq!(Time::parse("2026-05-11T08:17:41.9+02:00").unwrap().plain(), "2026-05-11 08:17:41");
    }
}
