//! Whether a change can be applied now: rules 6 to 9 of the replication, each monotone or a fact of its author's chain.
use super::formats::change::Dot;
use super::formats::clock::{Dep, NO_HASH};
use super::formats::envelope::Signed;
use super::tables::view::{Need, View};

/// How far above the greatest counter known a dependency on a refused branch may claim to be: what honest peers wrote on
/// top of a fork must not wait for it, and a fork must be no way to burn the op space.
pub const FORK_SLACK: u32 = 65_536;

/// What is to become of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ready {
    /// Apply it.
    Yes,
    /// It is applied already, or another one of its (actor, seq) is.
    Known,
    /// Not before this is applied.
    Wait(Need),
    /// Refused for ever.
    Never,
    /// It does not continue its author's history as we know it: a fork at our tip.
    Broken,
}

/// Judges `change` against what is applied.
pub fn ready(change: &Signed, view: &impl View) -> Ready {
    let header = &change.header;
    if view.fork(&header.actor).is_some_and(|fork| header.seq >= fork.s) {
        return Ready::Never;
    }
    let (seq, max_op, tip) = view.row(&header.actor).map_or((0, 0, NO_HASH), |row| (row.seq, row.max_op, row.tip));
    if header.seq <= seq {
        return Ready::Known;
    }
    if header.seq != seq + 1 {
        return Ready::Wait(Need { actor: header.actor.clone(), seq: header.seq - 1, max_op: 0 });
    }
    if header.prev_hash != tip {
        return Ready::Broken;
    }
    if header.prev_max_op != max_op {
        return Ready::Never;
    }
    let dep = change.deps.iter().find(|dep| !dep_is_met(dep, view)).map(Need::from);
    dep.or_else(|| unmet_pred(change, view).map(Need::from)).map_or(Ready::Yes, Ready::Wait)
}

/// Rules 7 and 9: what the dependency claims of its actor is applied, or above its fork point.
pub fn dep_is_met(dep: &Dep, view: &impl View) -> bool {
    let applied = view.row(&dep.actor).is_some_and(|row| row.seq >= dep.seq && row.max_op >= dep.max_op);
    let refused = || view.fork(&dep.actor).is_some_and(|fork| dep.seq >= fork.s);
    applied || (refused() && dep.max_op <= view.top().saturating_add(FORK_SLACK))
}

/// Rules 8 and 9: the entry, if there ever was one, is applied, or above its actor's fork point.
pub fn pred_is_met(pred: &Dot, view: &impl View) -> bool {
    view.row(&pred.actor).is_some_and(|row| row.max_op >= pred.counter) || view.above_fork(pred)
}

impl From<&Dep> for Need {
    fn from(dep: &Dep) -> Self {
        Self { actor: dep.actor.clone(), seq: dep.seq, max_op: dep.max_op }
    }
}

impl From<&Dot> for Need {
    fn from(pred: &Dot) -> Self {
        Self { actor: pred.actor.clone(), seq: 0, max_op: pred.counter }
    }
}

fn unmet_pred<'a>(change: &'a Signed, view: &impl View) -> Option<&'a Dot> {
    let preds = change.ops.iter().flat_map(|op| &op.preds);
    let mut met: Option<&Dot> = None;
    for pred in preds {
        // Most predecessors of a change are of few actors: what covers a greater counter covers this one.
        if met.is_some_and(|met| met.actor == pred.actor && met.counter >= pred.counter && !view.above_fork(met)) {
            continue;
        }
        if !pred_is_met(pred, view) {
            return Some(pred);
        }
        met = Some(pred);
    }
    None
}
