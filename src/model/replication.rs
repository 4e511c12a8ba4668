//! How many peers hold a pin.

/// The replication factor of a pin: everywhere, or on `min` to `max` peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replication {
    /// -1: every peer.
    Everywhere,
    /// At least `min`, at most `max` peers; 1 <= min <= max.
    Between {
        /// Fewer than this is a failure.
        min: u32,
        /// More than this is waste.
        max: u32,
    },
}

/// Why a pair of factors is no replication factor; the texts are Go's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplicationError {
    /// One of the two is 0.
    #[error("cluster.replication_factor_min and max must be set")]
    Unset,
    /// min > max.
    #[error("cluster.replication_factor_min is larger than max")]
    MinAboveMax,
    /// min < -1.
    #[error("cluster.replication_factor_min is wrong")]
    MinWrong,
    /// max < -1.
    #[error("cluster.replication_factor_max is wrong")]
    MaxWrong,
    /// Exactly one is -1.
    #[error("cluster.replication_factor_min and max must be -1 when one of them is")]
    OneEverywhere,
}

impl Replication {
    /// Returns the replication factor that Go's pair of integers means.
    ///
    /// # Errors
    /// The first of Go's checks that fails, in Go's order.
    pub fn from_factors(min: i32, max: i32) -> Result<Self, ReplicationError> {
        match (u32::try_from(min), u32::try_from(max)) {
            _ if min == 0 || max == 0 => Err(ReplicationError::Unset),
            _ if min > max => Err(ReplicationError::MinAboveMax),
            _ if min < -1 => Err(ReplicationError::MinWrong),
            _ if max < -1 => Err(ReplicationError::MaxWrong),
            (Err(_), Err(_)) => Ok(Self::Everywhere),
            (Ok(min), Ok(max)) => Ok(Self::Between { min, max }),
            (Ok(_), Err(_)) | (Err(_), Ok(_)) => Err(ReplicationError::OneEverywhere),
        }
    }

    /// The pair of integers that Go writes.
    #[must_use]
    pub fn factors(self) -> (i32, i32) {
        match self {
            Self::Everywhere => (-1, -1),
            Self::Between { min, max } => {
                (i32::try_from(min).unwrap_or(i32::MAX), i32::try_from(max).unwrap_or(i32::MAX))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checks_come_in_gos_order() {
        assert_eq!(Replication::from_factors(2, -1), Err(ReplicationError::MinAboveMax));
        assert_eq!(Replication::from_factors(-1, 2), Err(ReplicationError::OneEverywhere));
        assert_eq!(Replication::from_factors(0, 2), Err(ReplicationError::Unset));
        assert_eq!(Replication::from_factors(-2, 2), Err(ReplicationError::MinWrong));
        assert_eq!(Replication::from_factors(-3, -2), Err(ReplicationError::MinWrong));
        assert_eq!(Replication::from_factors(-1, -1), Ok(Replication::Everywhere));
        assert_eq!(Replication::from_factors(2, 3), Ok(Replication::Between { min: 2, max: 3 }));
    }
}
