//! What of our log an asker can use that does not trust us, or for whom parts of it are gone: what its trusted authors wrote,
//! what that stands on, and nothing that it could not apply, or two peers would transfer it for ever (rule 14).
use std::collections::{BTreeMap, VecDeque};
use std::ops::{ControlFlow, RangeInclusive};

use crate::crdt::automerge::admit::{Ready, ready};
use crate::crdt::automerge::formats::clock::Actor;
use crate::crdt::automerge::formats::envelope::Signed;
use crate::crdt::automerge::tables::log;
use crate::crdt::automerge::tables::view::Clock;
use crate::crdt::{ReadRows, RowsError, Table};
use crate::model::{PeerId, Trust};

/// Changes that one step decodes: some milliseconds of one read transaction.
const STEP: usize = 500;

/// Rows of APPLIED that one step reads.
const SCAN_MAX: usize = 16_384;

/// The run of changes of one actor that the asker lacks.
#[derive(Clone, Debug)]
pub struct Lack {
    /// Its last seq there.
    pub after: u32,
    /// Its last seq here.
    pub upto: u32,
}

impl Lack {
    /// Returns whether the change `seq` is lacked.
    pub const fn has(&self, seq: u32) -> bool {
        self.after < seq && seq <= self.upto
    }
}

/// Passes over what is lacked, back for what is vouched for and forth for what applies, until nothing falls out any more.
pub struct Selection {
    asker: PeerId,
    /// Whom the asker trusts; [`None`] when all that we hold is vouched for.
    trust: Option<Trust>,
    clock: Clock,
    lacks: BTreeMap<u32, Lack>,
    pass: Pass,
}

/// The number of an application, and the key of its change.
type AtKey = (u64, Vec<u8>);

enum Pass {
    /// Find what is lacked, newest first, down to `first`; `next` is the application above the next one.
    Find { first: u64, next: u64, wanted: Wanted, kept: VecDeque<u64> },
    /// Drop what nothing kept stands on; `todo` is ascending and worked off from its end.
    Back { todo: VecDeque<u64>, wanted: Wanted, kept: VecDeque<u64> },
    /// Drop what cannot be applied.
    Forth { todo: VecDeque<u64>, view: Box<Clock>, kept: VecDeque<u64>, dropped: bool },
}

/// What the changes kept so far stand on.
#[derive(Default)]
struct Wanted {
    seqs: BTreeMap<Actor, u32>,
    counters: BTreeMap<Actor, u32>,
}

impl Wanted {
    fn has(&self, change: &Signed) -> bool {
        let header = &change.header;
        self.seqs.get(&header.actor).is_some_and(|seq| header.seq <= *seq)
            || self.counters.get(&header.actor).is_some_and(|counter| header.start_op <= *counter)
    }

    fn add(&mut self, change: &Signed) {
        let own = (&change.header.actor, change.header.seq - 1);
        for (actor, seq) in change.deps.iter().map(|dep| (&dep.actor, dep.seq)).chain([own]) {
            raise(&mut self.seqs, actor, seq);
        }
        for pred in change.ops.iter().flat_map(|op| &op.preds) {
            raise(&mut self.counters, &pred.actor, pred.counter);
        }
    }
}

fn raise(map: &mut BTreeMap<Actor, u32>, actor: &Actor, value: u32) {
    match map.get_mut(actor) {
        Some(old) => *old = value.max(*old),
        None => drop(map.insert(actor.clone(), value)),
    }
}

impl Selection {
    /// Begins over the applications of `range`.
    pub fn new(
        asker: PeerId,
        trust: Option<Trust>,
        clock: Clock,
        lacks: BTreeMap<u32, Lack>,
        range: RangeInclusive<u64>,
    ) -> Self {
        let (first, next) = (*range.start(), range.end() + 1);
        let pass = Pass::Find { first, next, wanted: Wanted::default(), kept: VecDeque::new() };
        Self { asker, trust, clock, lacks, pass }
    }

    /// Works on; returns the applications to send, ascending, when they are known.
    ///
    /// # Errors
    /// [`RowsError`].
    pub fn step(&mut self, rows: &dyn ReadRows) -> Result<Option<VecDeque<u64>>, RowsError> {
        let empty = Pass::Back { todo: VecDeque::new(), wanted: Wanted::default(), kept: VecDeque::new() };
        self.pass = match std::mem::replace(&mut self.pass, empty) {
            Pass::Find { first, next, wanted, kept } => self.find(first, next, wanted, kept, rows)?,
            Pass::Back { todo, wanted, kept } => self.back(todo, wanted, kept, rows)?,
            Pass::Forth { todo, view, kept, dropped } => match forth(todo, view, kept, dropped, rows)? {
                Pass::Forth { todo, kept, dropped: false, .. } if todo.is_empty() => return Ok(Some(kept)),
                Pass::Forth { todo, kept, .. } if todo.is_empty() => {
                    Pass::Back { todo: kept, wanted: Wanted::default(), kept: VecDeque::new() }
                }
                pass @ (Pass::Find { .. } | Pass::Back { .. } | Pass::Forth { .. }) => pass,
            },
        };
        Ok(None)
    }

    fn is_wanted(&self, change: &Signed, wanted: &Wanted) -> bool {
        let trust = self.trust.as_ref();
        trust.is_none_or(|trust| trust.trusts(&self.asker, &change.header.actor.peer())) || wanted.has(change)
    }

    fn forth(&self, kept: VecDeque<u64>) -> Pass {
        Pass::Forth { todo: kept, view: Box::new(self.clock.clone()), kept: VecDeque::new(), dropped: false }
    }

    fn find(
        &self,
        first: u64,
        next: u64,
        mut wanted: Wanted,
        mut kept: VecDeque<u64>,
        rows: &dyn ReadRows,
    ) -> Result<Pass, RowsError> {
        let (found, next) = self.lacked_below(first, next, rows)?;
        for (at, key) in found {
            if let Some(change) = change(&key, rows)?.filter(|change| self.is_wanted(change, &wanted)) {
                wanted.add(&change);
                kept.push_front(at);
            }
        }
        Ok(if next <= first { self.forth(kept) } else { Pass::Find { first, next, wanted, kept } })
    }

    fn back(
        &self,
        mut todo: VecDeque<u64>,
        mut wanted: Wanted,
        mut kept: VecDeque<u64>,
        rows: &dyn ReadRows,
    ) -> Result<Pass, RowsError> {
        for _ in 0..STEP {
            let Some(at) = todo.pop_back() else { return Ok(self.forth(kept)) };
            if let Some(change) = applied(at, rows)?.filter(|change| self.is_wanted(change, &wanted)) {
                wanted.add(&change);
                kept.push_front(at);
            }
        }
        Ok(Pass::Back { todo, wanted, kept })
    }

    /// Lacked changes below `next`, newest first, and the application above the next one to look at.
    fn lacked_below(&self, first: u64, next: u64, rows: &dyn ReadRows) -> Result<(Vec<AtKey>, u64), RowsError> {
        let (mut found, mut below, mut steps, mut fault) = (Vec::new(), first, 0, None);
        rows.scan_back(Table::Applied, &first.to_be_bytes()..&next.to_be_bytes(), &mut |at, key| {
            let (Ok(at), Ok((number, seq))) = (<[u8; 8]>::try_from(at), log::parse(key)) else {
                fault = Some(RowsError::Damaged { table: Table::Applied, what: "row" });
                return ControlFlow::Break(());
            };
            steps += 1;
            if found.len() >= STEP || steps > SCAN_MAX {
                below = u64::from_be_bytes(at) + 1;
                return ControlFlow::Break(());
            }
            if self.lacks.get(&number).is_some_and(|lack| lack.has(seq)) {
                found.push((u64::from_be_bytes(at), key.to_vec()));
            }
            ControlFlow::Continue(())
        })?;
        fault.map_or(Ok((found, below)), Err)
    }
}

fn forth(
    mut todo: VecDeque<u64>,
    mut view: Box<Clock>,
    mut kept: VecDeque<u64>,
    mut dropped: bool,
    rows: &dyn ReadRows,
) -> Result<Pass, RowsError> {
    for _ in 0..STEP {
        let Some(at) = todo.pop_front() else { break };
        let Some(change) = applied(at, rows)? else { continue };
        match ready(&change, &*view) {
            Ready::Yes => {
                view.advance(&change);
                kept.push_back(at);
            }
            // It shows the asker that its branch is not ours.
            Ready::Broken => kept.push_back(at),
            Ready::Known | Ready::Never | Ready::Wait(_) => dropped = true,
        }
    }
    Ok(Pass::Forth { todo, view, kept, dropped })
}

fn applied(at: u64, rows: &dyn ReadRows) -> Result<Option<Signed>, RowsError> {
    rows.get(Table::Applied, &at.to_be_bytes())?.map_or(Ok(None), |key| change(&key, rows))
}

fn change(key: &[u8], rows: &dyn ReadRows) -> Result<Option<Signed>, RowsError> {
    let (number, seq) = log::parse(key)?;
    log::read(number, seq, rows)?.map(|logged| logged.signed()).transpose()
}
