//! Another peer: a real engine on rows in memory, whose changes come by gossip, of which nobody acknowledges anything.
use std::collections::BTreeMap;

use bytes::Bytes;

use super::lib::cluster::pinset::Pinset;
use super::lib::crdt::{Engine, Input, MapRows, Now, Seen, Sending, Ticket};
use super::lib::model::PeerId;
use super::lib::task;
use super::rig::{keypair, name, open_engine, pin, put};

/// Its keys are this and those above.
pub const THEIRS: u64 = 1 << 32;

/// Its number.
const PEER: u8 = 1;

pub struct Neighbour {
    engine: Box<dyn Engine>,
    rows: MapRows,
    /// As last written.
    pins: BTreeMap<u64, String>,
    /// Changes since the last that everybody has for sure.
    unsure: Vec<Bytes>,
    mono: u64,
}

impl Neighbour {
    pub fn new() -> Self {
        let mut rows = MapRows::default();
        let engine = open_engine(PEER, &mut rows).unwrap();
        Self { engine, rows, pins: BTreeMap::new(), unsure: Vec::new(), mono: 0 }
    }

    /// Pins its key `n`, and offers that to `pinset`, which may drop it or lose it.
    pub fn pin(&mut self, n: u64, pinset: &Pinset) {
        let (n, name) = (THEIRS + n, format!("of another peer, change {}", self.mono));
        self.mono += 1;
        let write = Input::Write { ticket: Ticket(1), op: pin(n, &name), seen: Seen::Any };
        let now = Now { wall: task::wall(), mono: self.mono };
        let turn = self.engine.turn(vec![write], now, &mut self.rows).unwrap();
        let change = turn.sends.into_iter().find_map(|sending| match sending {
            Sending::Gossip { topic: 0, bytes } => Some(bytes),
            Sending::Gossip { .. } | Sending::Open { .. } | Sending::Frame { .. } | Sending::Close { .. } => None,
        });
        let change = change.unwrap();
        let _ = pinset.offer(checked(&change, pinset));
        self.unsure.push(change);
        self.pins.insert(n, name);
    }

    /// Takes the changes that may be lost.
    pub fn unsure(&mut self) -> Vec<Bytes> {
        std::mem::take(&mut self.unsure)
    }

    /// Asserts that all that it ever pinned is there.
    pub fn check(&self, pinset: &Pinset) {
        for (n, pinned) in &self.pins {
            assert_eq!(name(pinset, *n).as_ref(), Some(pinned), "a change of the neighbour, said again");
        }
    }
}

/// Says changes again, as a sync would, and waits until they are taken.
pub async fn say_again(changes: Vec<Bytes>, pinset: &Pinset) {
    for change in changes {
        pinset.input(checked(&change, pinset)).await;
    }
    put(pinset, u64::MAX, "after all of them").await.unwrap();
}

fn checked(change: &[u8], pinset: &Pinset) -> Input {
    let from: PeerId = keypair(PEER).public().to_peer_id();
    Input::Checked { from, item: pinset.check().gossip(0, change).unwrap() }
}
