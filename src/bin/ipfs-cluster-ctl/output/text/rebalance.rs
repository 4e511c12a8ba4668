//! What rebalancing says.
use std::fmt::Write as _;

use ipfs_cluster::wire::rest::rebalance::{Balance, Rebalanced, Share, Shift};

use super::Text;
use crate::common::human::size;

impl Text for Rebalanced {
    fn text(&self) -> String {
        match self {
            Self::Moved(shift) => moved(shift),
            Self::Ended(balance) => ended(balance),
        }
    }
}

fn moved(Shift { cid, name, from, to, bytes }: &Shift) -> String {
    let size = bytes.map_or_else(|| "unknown size".to_owned(), size);
    format!("{cid} | {name} | {from} -> {to} | {size}\n")
}

fn ended(balance: &Balance) -> String {
    let Balance { moved, bytes, unknown, skipped, dry_run, .. } = balance;
    let verb = if *dry_run { "would move" } else { "moved" };
    let mut text = format!("{verb} {moved} copies, {}", size(*bytes));
    if *unknown > 0 {
        let _ = write!(text, " ({unknown} of unknown size, counted as the mean)");
    }
    let _ = writeln!(text, ", of {} pins", balance.pins);
    if *skipped > 0 {
        let _ = writeln!(text, "  {skipped} more changed meanwhile and stayed");
    }
    if balance.stopped {
        text += "  ended at --max-bytes\n";
    }
    for Share { peer, peername, before, after } in &balance.peers {
        let name = if peername.is_empty() { peer } else { peername };
        let (before, after) = (amount(&balance.metric, *before), amount(&balance.metric, *after));
        let _ = writeln!(text, "  {name}: {before} -> {after}");
    }
    let [before, after] = [balance.spread_before, balance.spread_after].map(|n| i64::try_from(n).unwrap_or(i64::MAX));
    let apart = |n| amount(&balance.metric, n).split(" free").next().unwrap_or_default().to_owned();
    let _ = writeln!(text, "  at most apart: {} -> {}", apart(before), apart(after));
    if *moved > 0 && !dry_run {
        text += "Peers let go of a copy when the others have it; \"ipfs gc\" then frees the space.\n";
    }
    text
}

/// What a peer has, in the words of the metric; what it holds is told as less than none.
fn amount(metric: &str, n: i64) -> String {
    let sign = if n < 0 && metric == "freespace" { "-" } else { "" };
    match metric {
        "freespace" => format!("{sign}{} free", size(n.unsigned_abs())),
        "reposize" => size(n.unsigned_abs()),
        _ => format!("{} pins", n.unsigned_abs()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn balance(metric: &str, dry_run: bool, moved: u64) -> Balance {
        let share = |name: &str, before, after| Share { peer: "B".into(), peername: name.into(), before, after };
        let peers = vec![share("full", -1_000_000, -600_000), share("", 0, -400_000)];
        let (spread_before, spread_after) = (1_000_000, 200_000);
        let all = Balance { metric: metric.into(), dry_run, moved, spread_before, spread_after, ..Balance::default() };
        Balance { pins: 9, bytes: 400_000, peers, ..all }
    }

    #[test]
    fn a_move_is_a_line() {
        let shift = |bytes| {
            let [cid, name, from, to] = ["A", "x", "B", "C"].map(str::to_owned);
            Rebalanced::Moved(Shift { cid, name, from, to, bytes }).text()
        };
        assert_eq!(shift(Some(1_500)), "A | x | B -> C | 1.5 kB\n");
        assert_eq!(shift(None), "A | x | B -> C | unknown size\n");
    }

    #[test]
    fn the_end_says_what_came_of_it() {
        let whole = Balance { unknown: 2, skipped: 1, stopped: true, ..balance("reposize", false, 4) };
        let text = "moved 4 copies, 400 kB (2 of unknown size, counted as the mean), of 9 pins
  1 more changed meanwhile and stayed
  ended at --max-bytes
  full: 1.0 MB -> 600 kB
  B: 0 B -> 400 kB
  at most apart: 1.0 MB -> 200 kB
Peers let go of a copy when the others have it; \"ipfs gc\" then frees the space.
";
        assert_eq!(Rebalanced::Ended(whole).text(), text);
    }

    #[test]
    fn a_look_says_what_would_be_and_each_metric_has_its_words() {
        let text = Rebalanced::Ended(balance("freespace", true, 4)).text();
        assert!(
            text.starts_with("would move 4 copies, 400 kB, of 9 pins\n  full: -1.0 MB free -> -600 kB free\n"),
            "{text}"
        );
        assert!(text.ends_with("at most apart: 1.0 MB -> 200 kB\n"), "{text}");
        let pins = Rebalanced::Ended(balance("numpin", false, 0)).text();
        assert!(pins.ends_with("  B: 0 pins -> 400000 pins\n  at most apart: 1000000 pins -> 200000 pins\n"), "{pins}");
    }
}
