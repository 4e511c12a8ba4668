//! How long to wait before the next try.
use std::time::Duration;

use crate::model::Cid;

/// The longest wait: content that nobody has today may be there tomorrow.
const WAIT_MAX: Duration = Duration::from_hours(24);

/// Returns the wait after try number `attempts`: `base`, doubled each time up to a day, and up to a quarter more.
///
/// The quarter depends on the CID and the try alone, so that a burst that failed together does not come back together
/// and equal inputs give equal waits.
pub(super) fn wait(base: Duration, attempts: u32, cid: &Cid) -> Duration {
    let doubled = base.saturating_mul(1_u32.checked_shl(attempts.saturating_sub(1)).unwrap_or(u32::MAX)).min(WAIT_MAX);
    let mut seed = blake3::Hasher::new();
    seed.update(&cid.to_bytes()).update(&attempts.to_be_bytes());
    let share = u32::from(seed.finalize().as_bytes()[0]);
    doubled + doubled * share / 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_from_a_minute_to_a_day_with_a_quarter_of_jitter() {
        let cid: Cid = "QmaKtvC1QxgReLFj8Rqnn1jrmX1VsYwUjh4eBxoCvgPjuP".parse().unwrap();
        let minute = Duration::from_mins(1);
        let mut least = minute;
        for attempts in 1..60 {
            let wait = wait(minute, attempts, &cid);
            assert!(wait >= least && wait <= least + least / 4, "{attempts}: {wait:?}");
            least = (least * 2).min(WAIT_MAX);
        }
    }
}
