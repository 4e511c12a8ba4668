//! The answering side of a sync: what the asker lacks, from our log, in the order in which we applied it (rule 13).
//!
//! A session reads rows only, a bounded part of them each time it is asked for a frame.
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::ControlFlow;

use bytes::Bytes;

use super::pull::rows_frames;
use super::select::{Lack, Selection};
use crate::crdt::automerge::formats::clock::{Actor, Group, Hash, Row};
use crate::crdt::automerge::formats::envelope::Header;
use crate::crdt::automerge::formats::frames::{Attested, CHANGES_MAX, FRAME_MAX, Frame, Hello, REACH_MAX};
use crate::crdt::automerge::formats::heartbeat::Heartbeat;
use crate::crdt::automerge::snapshot::file::Saving;
use crate::crdt::automerge::snapshot::lend::{Lending, Lends};
use crate::crdt::automerge::tables::joining::Joining;
use crate::crdt::automerge::tables::shelf::{self, Served, Shelf};
use crate::crdt::automerge::tables::state::{Counters, Numbers, load_clock};
use crate::crdt::automerge::tables::view::{Clock, View};
use crate::crdt::automerge::tables::{fork, log};
use crate::crdt::{Answer, Backup, ReadRows, Refused, RowsError, Session, Table, Talk};
use crate::model::PeerId;

/// Frames of rows that an asker may send, as many mebibytes.
const ROWS_FRAMES_MAX: usize = 64;

/// Proofs in one sync; the others come with the next one.
const PROOFS_MAX: usize = 64;

/// Rows of APPLIED that one step reads: some milliseconds of one read transaction.
const SCAN_MAX: usize = 16_384;

/// Steps of a selection in one read transaction: a small log takes no more.
const SELECT_STEPS: usize = 4;

/// Makes the sessions of one peer and epoch.
#[derive(Clone, Debug)]
pub struct Server {
    /// This peer.
    pub own: PeerId,
    /// The epoch.
    pub epoch: u32,
    /// What the sessions share on which snapshots are lent.
    pub lends: Lends,
}

impl Answer for Server {
    fn session(&self, peer: PeerId, talk: Talk) -> Box<dyn Session> {
        match talk {
            Talk::Sync => Box::new(Serving { server: self.clone(), peer, phase: Phase::Hello, out: VecDeque::new() }),
            Talk::Snapshot => Box::new(Lending::new(self.epoch, self.lends.clone())),
        }
    }

    fn backup(&self) -> Option<Box<dyn Backup>> {
        Some(Box::new(Saving::new(self.epoch, self.lends.clone())))
    }
}

struct Serving {
    server: Server,
    peer: PeerId,
    phase: Phase,
    out: VecDeque<Bytes>,
}

enum Phase {
    /// The asker's turn to say HELLO.
    Hello,
    /// Compare the clocks.
    Compare(Box<Hello>),
    /// The asker's turn to send its rows of groups that differ.
    Rows(Box<Known>, usize),
    /// Find out what it lacks.
    Plan(Box<Known>),
    /// Choose what it can use.
    Select(Box<Selection>, Ending),
    /// Send it.
    Stream(Box<Stream>, Ending),
    /// All is said.
    Done,
}

/// Both clocks.
struct Known {
    hello: Hello,
    ours: Clock,
    numbers: Numbers,
    upto: u64,
    clock_hash: Hash,
    differ: BTreeSet<PeerId>,
    asker: Clock,
}

impl Known {
    /// Takes the asker's rows; of actors that we do not know it may claim any number, and they change nothing that we send.
    fn hear(&mut self, groups: Vec<Group>) {
        for mut group in groups.into_iter().filter(|group| self.differ.contains(&group.peer)) {
            let (ours, peer) = (&self.ours, group.peer);
            group.rows.retain(|row| {
                let actor = Actor::new(peer, row.suffix);
                ours.row(&actor).is_some() || ours.fork(&actor).is_some()
            });
            self.asker.extend(&group);
        }
    }
}

/// What is said last: our clock when it began.
struct Ending(Hash);

impl Ending {
    fn frame(self) -> Bytes {
        Frame::Done { clock_hash: self.0 }.encode().into()
    }
}

/// Changes on their way out.
enum Stream {
    /// All that is lacked, from this application on.
    Range { next: u64, upto: u64, lacks: BTreeMap<u32, Lack> },
    /// These applications.
    Chosen(VecDeque<u64>),
}

impl Session for Serving {
    fn receive(&mut self, frame: &[u8]) -> Result<(), Refused> {
        let frame = Frame::decode(&Bytes::copy_from_slice(frame))?;
        match (std::mem::replace(&mut self.phase, Phase::Done), frame) {
            (Phase::Hello, Frame::Hello(hello)) if hello.epoch == self.server.epoch => {
                self.phase = Phase::Compare(Box::new(hello));
                Ok(())
            }
            (Phase::Hello, Frame::Hello(_)) => Err(Refused::Foreign("a sync of another epoch")),
            (Phase::Rows(mut known, frames), Frame::Rows { groups, more }) if frames < ROWS_FRAMES_MAX => {
                known.hear(groups);
                self.phase = if more { Phase::Rows(known, frames + 1) } else { Phase::Plan(known) };
                Ok(())
            }
            (_, _) => Err(Refused::Malformed("a frame out of turn")),
        }
    }

    fn next(&mut self, rows: &dyn ReadRows) -> Result<Option<Bytes>, RowsError> {
        loop {
            if let Some(frame) = self.out.pop_front() {
                return Ok(Some(frame));
            }
            match std::mem::replace(&mut self.phase, Phase::Done) {
                Phase::Compare(hello) => self.compare(*hello, rows)?,
                Phase::Plan(known) => self.plan(*known, rows)?,
                Phase::Select(selection, ending) => self.select(selection, ending, rows)?,
                Phase::Stream(stream, ending) => self.stream(stream, ending, rows)?,
                waiting @ (Phase::Hello | Phase::Rows(..) | Phase::Done) => {
                    self.phase = waiting;
                    return Ok(None);
                }
            }
        }
    }

    fn done(&self) -> bool {
        matches!(self.phase, Phase::Done) && self.out.is_empty()
    }
}

impl Serving {
    fn compare(&mut self, hello: Hello, rows: &dyn ReadRows) -> Result<(), RowsError> {
        // While the keys of a join follow our log is no run yet; the asker comes again.
        if Joining::is_marked(rows)? {
            return Ok(());
        }
        let mut ours = load_clock(rows)?;
        let clock_hash = ours.hash();
        let theirs: BTreeMap<&PeerId, &Hash> = hello.groups.iter().map(|(peer, hash)| (peer, hash)).collect();
        let differs = |(peer, hash): &&(PeerId, Hash)| theirs.get(peer) != Some(&hash);
        let differ: Vec<PeerId> = ours.groups().filter(differs).map(|(peer, _)| *peer).collect();
        if clock_hash == hello.clock_hash || differ.is_empty() {
            self.out.push_back(Ending(clock_hash).frame());
            return Ok(());
        }
        self.out.extend(rows_frames(differ.iter().map(|peer| ours.group(*peer)).collect()));
        let mut asker = ours.clone();
        for peer in &differ {
            asker.replace(&Group { peer: *peer, rows: Vec::new() });
        }
        let (numbers, upto) = (Numbers::load(rows)?, Counters::read(rows)?.applied);
        let known = Known { hello, ours, numbers, upto, clock_hash, differ: differ.into_iter().collect(), asker };
        self.phase = Phase::Rows(Box::new(known), 0);
        Ok(())
    }

    fn plan(&mut self, known: Known, rows: &dyn ReadRows) -> Result<(), RowsError> {
        self.out.extend(proofs(&known, rows)?);
        self.out.extend(odd_tips(&known, rows)?);
        let (mut lacks, mut reach, mut next) = (BTreeMap::new(), Vec::new(), known.upto + 1);
        for (actor, row) in known.ours.rows().filter(|(actor, _)| known.differ.contains(&actor.peer())) {
            let have = known.asker.row(actor).map_or(0, |row| row.seq);
            // What the asker knows to be a refused branch is of no use to it.
            let upto = known.asker.fork(actor).map_or(row.seq, |fork| row.seq.min(fork.s.saturating_sub(1)));
            let Some(number) = known.numbers.find(actor).filter(|_| upto > have) else { continue };
            match log::read(number, have + 1, rows)? {
                Some(first) => {
                    next = next.min(first.applied);
                    lacks.insert(number, Lack { after: have, upto });
                }
                None if reach.len() < REACH_MAX => reach.push(actor.clone()),
                None => (),
            }
        }
        let trusted = known.hello.trust.trusts(&self.peer, &self.server.own);
        let needs_choice = !trusted || !reach.is_empty();
        self.out.extend(self.reach(reach, known.asker.rows().next().is_none(), &known.hello, rows)?);
        let ending = Ending(known.clock_hash);
        self.phase = if needs_choice {
            let trust = (!trusted).then_some(known.hello.trust);
            let selection = Selection::new(self.peer, trust, known.asker, lacks, next..=known.upto);
            Phase::Select(Box::new(selection), ending)
        } else {
            Phase::Stream(Box::new(Stream::Range { next, upto: known.upto, lacks }), ending)
        };
        Ok(())
    }

    /// Says for whom the log does not reach, and to these and to who has nothing yet which snapshot can be had. It comes
    /// before the changes, so that who takes the snapshot need not hear them.
    fn reach(
        &self,
        actors: Vec<Actor>,
        is_new: bool,
        hello: &Hello,
        rows: &dyn ReadRows,
    ) -> Result<Option<Bytes>, RowsError> {
        if actors.is_empty() && !is_new {
            return Ok(None);
        }
        let there = Shelf::read(rows)?;
        let manifest = there.served().map(|served| shelf::manifest(served.generation, rows)).transpose()?.flatten();
        let attestations = manifest.map(|manifest| manifest.attestations).unwrap_or_default();
        let is_trusted = |bytes: &Vec<u8>| {
            Heartbeat::decode(bytes).is_ok_and(|heartbeat| hello.trust.trusts(&self.peer, &heartbeat.peer))
        };
        let attestation = attestations.into_iter().find(is_trusted);
        let attested: Vec<Attested> = there
            .served()
            .zip(attestation)
            .map(|(Served { id, pins, bytes, .. }, attestation)| Attested {
                id: *id,
                pins: *pins,
                bytes: *bytes,
                attestation,
            })
            .into_iter()
            .collect();
        let is_news = !actors.is_empty() || !attested.is_empty();
        Ok(is_news.then(|| Frame::Reach { actors, attested }.encode().into()))
    }

    fn select(&mut self, mut selection: Box<Selection>, ending: Ending, rows: &dyn ReadRows) -> Result<(), RowsError> {
        for _ in 0..SELECT_STEPS {
            if let Some(chosen) = selection.step(rows)? {
                self.phase = Phase::Stream(Box::new(Stream::Chosen(chosen)), ending);
                return Ok(());
            }
        }
        // Nothing to send yet, but the asker is to know that we work on it.
        self.out.push_back(Frame::Changes(Vec::new()).encode().into());
        self.phase = Phase::Select(selection, ending);
        Ok(())
    }

    fn stream(&mut self, mut stream: Box<Stream>, ending: Ending, rows: &dyn ReadRows) -> Result<(), RowsError> {
        let (envelopes, is_end) = stream.step(rows)?;
        if !envelopes.is_empty() || !is_end {
            self.out.push_back(Frame::Changes(envelopes).encode().into());
        }
        if is_end {
            self.out.push_back(ending.frame());
        } else {
            self.phase = Phase::Stream(stream, ending);
        }
        Ok(())
    }
}

impl Stream {
    /// The next envelopes, and whether they are the last.
    fn step(&mut self, rows: &dyn ReadRows) -> Result<(Vec<Bytes>, bool), RowsError> {
        let mut envelopes = Vec::new();
        let mut bytes = FRAME_ROOM;
        while let Some(keys) = self.keys(rows)? {
            if keys.is_empty() {
                return Ok((envelopes, self.is_empty()));
            }
            for (at, key) in keys {
                let (number, seq) = log::parse(&key)?;
                // What is dropped from the log meanwhile is left out: the asker keeps what it can apply.
                let envelope = log::read(number, seq, rows)?.map(|logged| logged.envelope);
                let size = envelope.as_ref().map_or(0, |envelope| envelope.len() + ENVELOPE_ROOM);
                if envelopes.len() >= CHANGES_MAX || bytes + size > FRAME_MAX {
                    return Ok((envelopes, false));
                }
                bytes += size;
                envelopes.extend(envelope);
                self.pass(at);
            }
        }
        Ok((envelopes, true))
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Range { next, upto, .. } => next > upto,
            Self::Chosen(chosen) => chosen.is_empty(),
        }
    }

    /// What is up to the application `at` is sent.
    fn pass(&mut self, at: u64) {
        match self {
            Self::Range { next, .. } => *next = at + 1,
            Self::Chosen(chosen) => drop(chosen.pop_front()),
        }
    }

    /// The next applications to send and their keys; [`None`] at the end.
    fn keys(&mut self, rows: &dyn ReadRows) -> Result<Option<Keys>, RowsError> {
        if self.is_empty() {
            return Ok(None);
        }
        match self {
            Self::Range { next, upto, lacks } => {
                let (found, scanned) = lacked(*next, *upto, lacks, rows)?;
                if found.is_empty() {
                    *next = scanned;
                }
                Ok(Some(found))
            }
            Self::Chosen(chosen) => {
                let key = |at: &u64| Ok(rows.get(Table::Applied, &at.to_be_bytes())?.map(|key| (*at, key)));
                let keys: Vec<Option<AtKey>> =
                    chosen.iter().take(CHANGES_MAX).map(key).collect::<Result<_, RowsError>>()?;
                // Where the log was cut under us the sync ends, and the next one sees it.
                let is_whole = keys.iter().all(Option::is_some);
                Ok(is_whole.then(|| keys.into_iter().flatten().collect()))
            }
        }
    }
}

/// Room that a frame keeps for its head, and an envelope for its length.
const FRAME_ROOM: usize = 64;
const ENVELOPE_ROOM: usize = 5;

/// The number of an application, and the key of its change.
type AtKey = (u64, Vec<u8>);

type Keys = Vec<AtKey>;

/// At most a frame of applications in `next..=upto` that the asker lacks, and the first application not looked at.
fn lacked(next: u64, upto: u64, lacks: &BTreeMap<u32, Lack>, rows: &dyn ReadRows) -> Result<(Keys, u64), RowsError> {
    let (mut found, mut scanned, mut fault) = (Vec::new(), upto + 1, None);
    let mut steps = 0;
    rows.scan(Table::Applied, &next.to_be_bytes()..&(upto + 1).to_be_bytes(), &mut |at, key| {
        let (Ok(at), Ok((number, seq))) = (<[u8; 8]>::try_from(at), log::parse(key)) else {
            fault = Some(RowsError::Damaged { table: Table::Applied, what: "row" });
            return ControlFlow::Break(());
        };
        steps += 1;
        if found.len() >= CHANGES_MAX || steps > SCAN_MAX {
            scanned = u64::from_be_bytes(at);
            return ControlFlow::Break(());
        }
        if lacks.get(&number).is_some_and(|lack| lack.has(seq)) {
            found.push((u64::from_be_bytes(at), key.to_vec()));
        }
        ControlFlow::Continue(())
    })?;
    fault.map_or(Ok((found, scanned)), Err)
}

/// Our signed headers where the asker has another change of the same seq: it holds the other half of a proof.
fn odd_tips(known: &Known, rows: &dyn ReadRows) -> Result<Vec<Bytes>, RowsError> {
    let is_odd = |(actor, row): &(&Actor, &Row)| {
        let is_forked = known.ours.fork(actor).or(known.asker.fork(actor)).is_some();
        !is_forked && known.asker.row(actor).is_some_and(|theirs| theirs.seq == row.seq && theirs.tip != row.tip)
    };
    let mut frames = Vec::new();
    for (actor, _) in known.ours.rows().filter(is_odd).take(PROOFS_MAX) {
        let header = rows.get(Table::Tips, actor.as_bytes())?.and_then(|bytes| Header::decode(&bytes).ok());
        frames.extend(header.map(|header| Bytes::from(Frame::Tip(Box::new(header)).encode())));
    }
    Ok(frames)
}

/// Proofs of forks of the peers that differ.
fn proofs(known: &Known, rows: &dyn ReadRows) -> Result<Vec<Bytes>, RowsError> {
    let mut proofs = Vec::new();
    rows.scan(Table::Forked, b""..b"", &mut |key, row| {
        let is_asked = Actor::from_bytes(key).is_some_and(|actor| known.differ.contains(&actor.peer()));
        if let Some(proof) = fork::proof(row).filter(|_| is_asked) {
            proofs.push(Frame::Proof(Box::new(proof)).encode().into());
        }
        if proofs.len() < PROOFS_MAX { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(proofs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crdt::automerge::formats::clock::{GroupRow, Row, SUFFIX};
    use crate::crdt::automerge::tests::testing::{EPOCH, peer};
    use crate::model::Trust;

    #[test]
    fn an_asker_cannot_fill_our_memory_with_starts_that_we_do_not_know() {
        let row = |n: u8| {
            let row = Row { seq: 1, max_op: 5_000, tip: [n; 32], head: true };
            GroupRow { suffix: [n; SUFFIX], row, fork: None }
        };
        let (mut ours, none) = (Clock::default(), [0; 32]);
        ours.extend(&Group { peer: peer(2), rows: vec![row(1)] });
        let trust = Trust::Everyone;
        let hello = Hello { epoch: EPOCH, clock_hash: none, digest_hash: none, trust, groups: Vec::new() };
        let (numbers, differ, asker) = (Numbers::default(), [peer(2)].into(), Clock::default());
        let mut known = Known { hello, ours, numbers, upto: 0, clock_hash: none, differ, asker };
        known.hear(vec![Group { peer: peer(2), rows: (0..9).map(row).collect() }]);
        assert_eq!(known.asker.rows().map(|(actor, _)| actor.suffix()).collect::<Vec<_>>(), [[1; SUFFIX]]);
    }
}
