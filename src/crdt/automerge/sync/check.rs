//! The stateless checks, which run beside the writer thread.
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;

use crate::crdt::automerge::formats::clock::{Actor, Group, Hash};
use crate::crdt::automerge::formats::envelope::{self, ENVELOPE_MAX, Header, Signed};
use crate::crdt::automerge::formats::frames::{Attested, FRAME_MAX, Frame};
use crate::crdt::automerge::formats::heartbeat::{HEARTBEAT_MAX, Heartbeat};
use crate::crdt::automerge::formats::snapshot::frame;
use crate::crdt::automerge::formats::snapshot::lend::Lent;
use crate::crdt::automerge::formats::topic;
use crate::crdt::automerge::snapshot::lender::Offer;
use crate::crdt::automerge::tables::fork;
use crate::crdt::automerge::tables::view::Clock;
use crate::crdt::{Check, Checked, Refused, Talk};

/// Topic of changes.
pub const CHANGES_TOPIC: usize = 0;

/// Topic of heartbeats.
pub const HEARTBEATS_TOPIC: usize = 1;

/// What a check hands to the engine.
#[derive(Debug)]
pub enum Body {
    /// A change from gossip.
    Change(Box<Signed>),
    /// A heartbeat from gossip.
    Heartbeat(Box<Heartbeat>),
    /// A frame of a sync that we asked for.
    Frame(Answer),
    /// What a lender says, and the hash of the plain frame when it came whole.
    Lent(Lent, Option<Hash>),
}

/// What the answering side of a sync may say.
#[derive(Debug)]
pub enum Answer {
    /// Its rows of groups that differ.
    Rows {
        /// The groups.
        groups: Vec<Group>,
        /// Whether more follow.
        more: bool,
    },
    /// The proof of a fork.
    Proof(Box<[Header; 2]>),
    /// Changes in the order in which it applied them.
    Changes(Vec<Signed>),
    /// The last change of an actor there.
    Tip(Box<Header>),
    /// Its log does not reach for so many actors; these snapshots can be had.
    Reach(usize, Vec<Offer>),
    /// The end, and its clock when it began.
    Done(Hash),
}

/// The checks of one cluster and epoch.
#[derive(Clone, Debug)]
pub struct Checker {
    /// The epoch.
    pub epoch: u32,
    /// The cluster's name.
    pub cluster_name: String,
    /// Branches that are refused.
    pub cut: Cut,
}

/// The actors that signed two histories, and the first seq of each that is refused: nobody needs to hear of it by gossip.
#[derive(Clone, Debug, Default)]
pub struct Cut(Arc<RwLock<BTreeMap<Actor, u32>>>);

impl Cut {
    /// Replaces them by those of the clock.
    pub fn set(&self, clock: &Clock) {
        let forks = clock.forks().map(|(actor, fork)| (actor.clone(), fork.s)).collect();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = forks;
    }

    fn has(&self, header: &Header) -> bool {
        let cut = self.0.read().unwrap_or_else(PoisonError::into_inner);
        cut.get(&header.actor).is_some_and(|seq| header.seq >= *seq)
    }
}

impl Checker {
    fn change(&self, bytes: &[u8]) -> Result<Checked, Refused> {
        if bytes.len() > ENVELOPE_MAX {
            return Err(Refused::Malformed("an envelope is too large"));
        }
        let change = envelope::verify(Bytes::copy_from_slice(bytes), self.epoch, &self.cluster_name)?;
        if self.cut.has(&change.header) {
            return Err(Refused::Foreign("a change on a refused branch"));
        }
        Ok(Checked {
            signer: Some(change.header.actor.peer()),
            start: Some(change.header.actor.suffix()),
            weight: change.weight(),
            ops: change.ops.len(),
            body: Box::new(Body::Change(Box::new(change))),
        })
    }

    fn heartbeat(&self, bytes: &[u8]) -> Result<Checked, Refused> {
        if bytes.len() > HEARTBEAT_MAX {
            return Err(Refused::Malformed("a heartbeat is too large"));
        }
        let heartbeat = Heartbeat::verify(bytes, self.epoch, &self.cluster_name)?;
        Ok(Checked {
            signer: Some(heartbeat.peer),
            start: None,
            weight: bytes.len(),
            ops: 0,
            body: Box::new(Body::Heartbeat(Box::new(heartbeat))),
        })
    }

    fn answer(&self, bytes: &[u8]) -> Result<Checked, Refused> {
        if bytes.len() > FRAME_MAX {
            return Err(Refused::Malformed("a frame is too large"));
        }
        let answer = match Frame::decode(&Bytes::copy_from_slice(bytes))? {
            Frame::Hello(_) => return Err(Refused::Malformed("a sync is answered with a HELLO")),
            Frame::Rows { groups, more } => Answer::Rows { groups, more },
            Frame::Proof(headers) => {
                headers.iter().try_for_each(|header| header.verify(self.epoch, &self.cluster_name))?;
                fork::proven(&headers[0], &headers[1]).ok_or(Refused::Malformed("a proof that proves nothing"))?;
                Answer::Proof(headers)
            }
            Frame::Tip(header) => {
                header.verify(self.epoch, &self.cluster_name)?;
                Answer::Tip(header)
            }
            Frame::Changes(envelopes) => {
                let verify = |bytes| envelope::verify(bytes, self.epoch, &self.cluster_name);
                Answer::Changes(envelopes.into_iter().map(verify).collect::<Result<_, _>>()?)
            }
            Frame::Reach { actors, attested } => Answer::Reach(actors.len(), self.offers(&attested)),
            Frame::Done { clock_hash } => Answer::Done(clock_hash),
        };
        let (ops, weight) = match &answer {
            Answer::Changes(changes) => {
                (changes.iter().map(|change| change.ops.len()).sum(), changes.iter().map(Signed::weight).sum())
            }
            Answer::Rows { .. } | Answer::Proof(_) | Answer::Tip(_) | Answer::Reach(..) | Answer::Done(_) => {
                (0, bytes.len())
            }
        };
        Ok(Checked { signer: None, start: None, weight, ops, body: Box::new(Body::Frame(answer)) })
    }

    /// The snapshots whose attestation is what it says.
    fn offers(&self, attested: &[Attested]) -> Vec<Offer> {
        let offer = |attested: &Attested| {
            let heartbeat = Heartbeat::verify(&attested.attestation, self.epoch, &self.cluster_name).ok()?;
            Some(Offer { by: heartbeat.peer, pins: attested.pins })
        };
        attested.iter().filter_map(offer).collect()
    }
}

/// What a lender says; a frame that came whole is unpacked here, beside the writer thread.
fn lent(bytes: &[u8]) -> Result<Checked, Refused> {
    if bytes.len() > FRAME_MAX {
        return Err(Refused::Malformed("a frame is too large"));
    }
    let lent = Lent::decode(&Bytes::copy_from_slice(bytes))?;
    let hash = match &lent {
        Lent::Frame { piece, .. } if piece.offset == 0 && piece.is_last() => {
            frame::unpack(&piece.bytes).ok().map(|plain| frame::hash(&plain))
        }
        Lent::Frame { .. } | Lent::Manifest(_) | Lent::Later { .. } | Lent::Nothing => None,
    };
    Ok(Checked { signer: None, start: None, weight: bytes.len(), ops: 0, body: Box::new(Body::Lent(lent, hash)) })
}

impl Check for Checker {
    fn gossip(&self, topic: usize, bytes: &[u8]) -> Result<Checked, Refused> {
        guarded(|| match topic {
            CHANGES_TOPIC => self.change(bytes),
            HEARTBEATS_TOPIC => self.heartbeat(bytes),
            _ => Err(Refused::Foreign("an unknown topic")),
        })
    }

    fn frame(&self, talk: Talk, bytes: &[u8]) -> Result<Checked, Refused> {
        guarded(|| match talk {
            Talk::Sync => self.answer(bytes),
            Talk::Snapshot => lent(bytes),
        })
    }

    fn epoch_of(&self, topic: &str) -> Option<u32> {
        topic::epoch_of(topic, &self.cluster_name)
    }
}

/// A decoder that panics costs its message, not its thread.
fn guarded(check: impl FnOnce() -> Result<Checked, Refused>) -> Result<Checked, Refused> {
    catch_unwind(AssertUnwindSafe(check)).unwrap_or(Err(Refused::Panicked))
}
