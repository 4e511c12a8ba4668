//! Moments that peers compare; waiting uses [`std::time::Instant`].
use std::time::Duration;

/// Milliseconds since the Unix epoch by somebody's wall clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    /// The moment `seconds` after the epoch.
    #[must_use]
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Nanoseconds since the epoch, as metrics carry them.
    #[must_use]
    pub const fn nanos(self) -> i64 {
        self.0.saturating_mul(1_000_000)
    }

    /// This moment with its fraction of a second dropped, which is what the pinset keeps.
    #[must_use]
    pub const fn truncated(self) -> Self {
        Self::from_seconds(self.seconds())
    }

    /// The moment `after` later.
    #[must_use]
    pub fn plus(self, after: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(after.as_millis()).unwrap_or(i64::MAX)))
    }
}
