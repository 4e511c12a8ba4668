//! Makes an input smaller as long as the same holds of it.
use std::time::{Duration, Instant};

use crate::task;

/// Returns the smallest input found within `time` for which `holds`, as it does for `input`.
pub fn shrink(input: Vec<u8>, time: Duration, holds: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let until = task::now() + time;
    let mut best = input;
    loop {
        let before = best.clone();
        best = zeroed(shortened(best, &holds, until), &holds, until);
        if best == before || task::now() > until {
            return best;
        }
    }
}

/// Leaves out pieces: halves first, bytes last.
fn shortened(mut best: Vec<u8>, holds: &impl Fn(&[u8]) -> bool, until: Instant) -> Vec<u8> {
    let mut size = best.len().div_ceil(2);
    while size > 0 {
        let mut at = 0;
        while at < best.len() && task::now() < until {
            let without = [&best[..at], &best[best.len().min(at + size)..]].concat();
            if holds(&without) {
                best = without;
            } else {
                at += size;
            }
        }
        size /= 2;
    }
    best
}

/// Makes bytes zero that do not matter.
fn zeroed(mut best: Vec<u8>, holds: &impl Fn(&[u8]) -> bool, until: Instant) -> Vec<u8> {
    for at in 0..best.len() {
        let byte = std::mem::take(&mut best[at]);
        if byte != 0 && (task::now() > until || !holds(&best)) {
            best[at] = byte;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matters_is_left() {
        let input: Vec<u8> = (0..200).collect();
        let minute = Duration::from_mins(1);
        assert_eq!(shrink(input, minute, |bytes| bytes.contains(&17) && bytes.contains(&150)), [17, 150]);
        assert_eq!(shrink(vec![9; 40], minute, |bytes| bytes.len() > 2), [0, 0, 0]);
    }
}
