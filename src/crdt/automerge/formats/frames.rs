//! The frames of a sync.
use std::collections::BTreeSet;

use bytes::Bytes;

use super::clock::{Actor, Group, Hash, put_peer, read_peer};
use super::codec::{Reader, put_sized, put_v};
use super::envelope::{ENVELOPE_MAX, Header};
use super::heartbeat::HEARTBEAT_MAX;
use crate::crdt::Refused;
use crate::model::{PeerId, Trust};

/// Greatest frame.
pub const FRAME_MAX: usize = 1024 * 1024;

/// Greatest PROOF frame.
pub const PROOF_MAX: usize = 4 * 1024;

/// Peers that a HELLO names as trusted.
pub const TRUSTED_MAX: usize = 1024;

/// Groups that a HELLO names; what it leaves out is sent as if it were new.
pub const GROUPS_MAX: usize = 4096;

/// Envelopes in one CHANGES frame.
pub const CHANGES_MAX: usize = 500;

/// Actors in one REACH frame; more of them change nothing for the asker.
pub const REACH_MAX: usize = 4096;

/// Snapshots that a REACH names.
pub const ATTESTED_MAX: usize = 16;

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// The asker begins.
    Hello(Hello),
    /// Clock rows of groups that differ.
    Rows {
        /// The groups, ascending by peer id; one that does not fit goes on in the next frame.
        groups: Vec<Group>,
        /// Whether another ROWS frame follows.
        more: bool,
    },
    /// Two signed headers that no honest author signs.
    Proof(Box<[Header; 2]>),
    /// The signed header of the sender's last change of an actor, where the asker has another one of that seq.
    Tip(Box<Header>),
    /// Envelopes in the order in which the sender applied them.
    Changes(Vec<Bytes>),
    /// What the log does not have.
    Reach {
        /// Actors whose changes are dropped where the asker needs them.
        actors: Vec<Actor>,
        /// Snapshots that can be had.
        attested: Vec<Attested>,
    },
    /// The end.
    Done {
        /// The sender's clock when it began.
        clock_hash: Hash,
    },
}

/// The first frame of a sync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The epoch.
    pub epoch: u32,
    /// The asker's clock.
    pub clock_hash: Hash,
    /// The asker's digest.
    pub digest_hash: Hash,
    /// Whom the asker trusts.
    pub trust: Trust,
    /// The hash of each of its groups, ascending by peer id.
    pub groups: Vec<(PeerId, Hash)>,
}

/// A snapshot that can be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attested {
    /// Its name: the hash of what it is.
    pub id: Hash,
    /// Its pins.
    pub pins: u64,
    /// Bytes of its plain frames.
    pub bytes: u64,
    /// The heartbeat that attests it.
    pub attestation: Vec<u8>,
}

const VERSION: u8 = 1;

const HELLO: u8 = 1;
const ROWS: u8 = 2;
const PROOF: u8 = 3;
const CHANGES: u8 = 4;
const REACH: u8 = 5;
const DONE: u8 = 6;
const TIP: u8 = 7;

impl Frame {
    /// Its bytes, without the length that the stream puts before them.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Hello(hello) => hello.write(&mut out),
            Self::Rows { groups, more } => {
                out.extend_from_slice(&[ROWS, u8::from(*more)]);
                put_v(&mut out, groups.len() as u64);
                for group in groups {
                    group.write(&mut out);
                }
            }
            Self::Proof(headers) => {
                out.push(PROOF);
                for header in headers.iter() {
                    out.extend_from_slice(&header.encode());
                }
            }
            Self::Tip(header) => {
                out.push(TIP);
                out.extend_from_slice(&header.encode());
            }
            Self::Changes(envelopes) => {
                out.push(CHANGES);
                put_v(&mut out, envelopes.len() as u64);
                for envelope in envelopes {
                    put_sized(&mut out, envelope);
                }
            }
            Self::Reach { actors, attested } => {
                out.push(REACH);
                put_v(&mut out, actors.len() as u64);
                for actor in actors {
                    actor.write(&mut out);
                }
                put_v(&mut out, attested.len() as u64);
                for attested in attested {
                    attested.write(&mut out);
                }
            }
            Self::Done { clock_hash } => {
                out.push(DONE);
                out.extend_from_slice(clock_hash);
            }
        }
        out
    }

    /// Reads a frame.
    ///
    /// # Errors
    /// [`Refused::Foreign`] for another version, [`Refused::Malformed`] for the rest.
    pub fn decode(bytes: &Bytes) -> Result<Self, Refused> {
        if bytes.len() > FRAME_MAX {
            return Err(Refused::Malformed("a frame is too large"));
        }
        let mut reader = Reader::new(bytes);
        let frame = match reader.u8()? {
            HELLO => Self::Hello(Hello::read(&mut reader)?),
            ROWS => rows(&mut reader)?,
            PROOF if bytes.len() <= PROOF_MAX => {
                Self::Proof(Box::new([Header::read(&mut reader)?, Header::read(&mut reader)?]))
            }
            TIP if bytes.len() <= PROOF_MAX => Self::Tip(Box::new(Header::read(&mut reader)?)),
            CHANGES => {
                let envelope = |reader: &mut Reader<'_>| Ok(bytes.slice_ref(reader.sized(ENVELOPE_MAX)?));
                Self::Changes(list(&mut reader, CHANGES_MAX, envelope)?)
            }
            REACH => Self::Reach {
                actors: list(&mut reader, REACH_MAX, Actor::read)?,
                attested: list(&mut reader, ATTESTED_MAX, Attested::read)?,
            },
            DONE => Self::Done { clock_hash: reader.array()? },
            _ => return Err(Refused::Malformed("an unknown frame")),
        };
        reader.end()?;
        Ok(frame)
    }
}

/// Trust in everyone, in the place of the number of trusted peers.
const EVERYONE: u8 = 1;
const ONLY: u8 = 0;

impl Hello {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[HELLO, VERSION]);
        out.extend_from_slice(&self.epoch.to_le_bytes());
        out.extend_from_slice(&self.clock_hash);
        out.extend_from_slice(&self.digest_hash);
        match &self.trust {
            Trust::Everyone => out.push(EVERYONE),
            Trust::Only(peers) => {
                out.push(ONLY);
                put_v(out, peers.len() as u64);
                for peer in peers {
                    put_peer(out, peer);
                }
            }
        }
        put_v(out, self.groups.len() as u64);
        for (peer, hash) in &self.groups {
            put_peer(out, peer);
            out.extend_from_slice(hash);
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Refused> {
        if reader.u8()? != VERSION {
            return Err(Refused::Foreign("a sync of another version"));
        }
        let (epoch, clock_hash, digest_hash) = (reader.u32()?, reader.array()?, reader.array()?);
        let trust = match reader.u8()? {
            EVERYONE => Trust::Everyone,
            ONLY => Trust::Only(list(reader, TRUSTED_MAX, read_peer)?.into_iter().collect::<BTreeSet<_>>()),
            _ => return Err(Refused::Malformed("an unknown kind of trust")),
        };
        let groups = list(reader, GROUPS_MAX, |reader| Ok((read_peer(reader)?, reader.array()?)))?;
        Ok(Self { epoch, clock_hash, digest_hash, trust, groups })
    }
}

impl Attested {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id);
        out.extend_from_slice(&self.pins.to_le_bytes());
        out.extend_from_slice(&self.bytes.to_le_bytes());
        put_sized(out, &self.attestation);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Refused> {
        Ok(Self {
            id: reader.array()?,
            pins: reader.u64()?,
            bytes: reader.u64()?,
            attestation: reader.sized(HEARTBEAT_MAX)?.to_vec(),
        })
    }
}

fn rows(reader: &mut Reader<'_>) -> Result<Frame, Refused> {
    let more = match reader.u8()? {
        flag @ (0 | 1) => flag == 1,
        _ => return Err(Refused::Malformed("an unknown flag")),
    };
    Ok(Frame::Rows { groups: list(reader, GROUPS_MAX, Group::read)?, more })
}

fn list<T>(
    reader: &mut Reader<'_>,
    max: usize,
    mut read: impl FnMut(&mut Reader<'_>) -> Result<T, Refused>,
) -> Result<Vec<T>, Refused> {
    match reader.v32()? as usize {
        count if count <= max => (0..count).map(|_| read(reader)).collect(),
        _ => Err(Refused::Malformed("a list is above its limit")),
    }
}

#[cfg(test)]
pub mod tests;
