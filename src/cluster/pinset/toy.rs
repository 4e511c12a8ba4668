//! (test) The least engine: the last write of a CID wins, and a sum over all rows shows a lost or a torn one.
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::crdt::{
    self, Answer, Check, Checked, Engine, Input, Now, Op, OpId, ReadRows, Refused, Rows, RowsError, Seen, Sending,
    Session, Summary, Table, Talk, Turn, WriteError,
};
use crate::model::{Cid, PeerId, Pin, Trust, UnixMillis};

/// A pin of this name makes the engine panic.
pub const PANIC: &str = "panic!";

/// A pin of this name makes the turn fail.
pub const FAIL: &str = "fail!";

#[derive(Debug, Default)]
pub struct Toy {
    commit: u64,
    entries: u64,
    sum: u64,
    everyone: bool,
    turns: usize,
}

/// Opens the engine on its rows.
pub fn open(rows: &mut dyn Rows) -> Result<Box<dyn Engine>, RowsError> {
    let (commit, entries, sum) = (number(rows, "commit")?, number(rows, "entries")?, number(rows, "sum")?);
    Ok(Box::new(Toy { commit, entries, sum, ..Toy::default() }))
}

/// Adds the rows up anew and compares with what the last turn wrote beside them.
pub fn check_sum(rows: &dyn ReadRows) -> Result<(), RowsError> {
    let (mut entries, mut sum) = (0, 0_u64);
    rows.scan(Table::Pins, &[]..&[], &mut |key, value| {
        entries += 1;
        sum = sum.wrapping_add(hash(key, value));
        ControlFlow::Continue(())
    })?;
    assert_eq!((entries, sum), (number(rows, "entries")?, number(rows, "sum")?), "rows and sum are of one commit");
    Ok(())
}

/// The CID of the bytes of `n`.
pub fn cid(n: u64) -> Cid {
    let hash = blake3::hash(&n.to_le_bytes());
    Cid::new_v1(0x55, multihash::Multihash::wrap(0x12, hash.as_bytes()).expect("32 bytes fit"))
}

/// A pin of [`cid`] with a name.
pub fn pin(n: u64, name: &str) -> Pin {
    Pin { name: name.into(), ..Pin::recursive(cid(n)) }
}

/// A merge of a pin that another peer wrote.
#[must_use]
pub fn merge(n: u64, name: &str) -> Input {
    let body = Box::new((cid(n), name.to_owned()));
    Input::Checked { from: PeerId::random(), item: Checked { signer: None, start: None, weight: 100, ops: 1, body } }
}

impl Toy {
    fn put(&mut self, cid: &Cid, name: &str, turn: &mut Turn, rows: &mut dyn Rows) -> Result<(), RowsError> {
        let key = cid.to_bytes();
        let counter = self.take(&key, rows)?.map_or(0, |id| id.counter);
        let value = [&(counter + 1).to_le_bytes(), name.as_bytes()].concat();
        self.entries += 1;
        self.sum = self.sum.wrapping_add(hash(&key, &value));
        rows.put(Table::Pins, &key, &value)?;
        self.tell(&key, turn, rows)
    }

    fn take(&mut self, key: &[u8], rows: &mut dyn Rows) -> Result<Option<OpId>, RowsError> {
        let Some(value) = rows.get(Table::Pins, key)? else { return Ok(None) };
        self.entries -= 1;
        self.sum = self.sum.wrapping_sub(hash(key, &value));
        rows.remove(Table::Pins, key)?;
        Ok(Some(id(&value)))
    }

    fn tell(&mut self, key: &[u8], turn: &mut Turn, rows: &mut dyn Rows) -> Result<(), RowsError> {
        let n = u32::try_from(turn.news).expect("few");
        turn.news += 1;
        rows.put(Table::News, &[&(self.commit + 1).to_be_bytes()[..], &n.to_be_bytes()].concat(), key)
    }

    fn write(&mut self, op: Op, seen: &Seen, turn: &mut Turn, rows: &mut dyn Rows) -> Result<Answered, RowsError> {
        let key = op.cid().to_bytes();
        let before = rows.get(Table::Pins, &key)?;
        if let Seen::Winner(winner) = seen
            && *winner != before.as_deref().map(id)
        {
            return Ok(Err(WriteError::Stale));
        }
        match op {
            Op::Pin(pin) => {
                assert_ne!(pin.name, PANIC);
                if pin.name == FAIL {
                    return Err(RowsError::Damaged { table: Table::Pins, what: "told to fail" });
                }
                self.put(&pin.cid, &pin.name, turn, rows)?;
                turn.sends.push(Sending::Gossip { topic: 0, bytes: pin.name.clone().into() });
                Ok(Ok(*pin))
            }
            Op::Unpin(cid) => {
                let Some(value) = before else { return Ok(Err(WriteError::NotFound)) };
                self.take(&key, rows)?;
                self.tell(&key, turn, rows)?;
                Ok(Ok(pin_of(cid, &value)))
            }
        }
    }
}

type Answered = Result<Pin, WriteError>;

impl Engine for Toy {
    fn turn(&mut self, inputs: Vec<Input>, _now: Now, rows: &mut dyn Rows) -> Result<Turn, RowsError> {
        let mut turn = Turn::default();
        self.turns += 1;
        for input in inputs {
            match input {
                Input::Write { ticket, op, seen } => {
                    let answer = self.write(op, &seen, &mut turn, rows)?;
                    turn.answers.push((ticket, answer));
                }
                Input::Checked { item, .. } => {
                    let (cid, name) = *item.body.downcast::<(Cid, String)>().expect("made by merge()");
                    self.put(&cid, &name, &mut turn, rows)?;
                }
                Input::PeerSeen(peer) => {
                    turn.sends.push(Sending::Open { peer, talk: Talk::Sync, hello: "hello".into() });
                }
                Input::Ended { complete: false, .. } => turn.counts.push(("syncs_broken", 1)),
                Input::Ended { .. } | Input::Frame { .. } | Input::Found(_) | Input::PeerGone(_) | Input::Tick => (),
            }
        }
        if turn.news > 0 {
            self.commit += 1;
            for (name, number) in [("commit", self.commit), ("entries", self.entries), ("sum", self.sum)] {
                rows.put(Table::Meta, name.as_bytes(), &number.to_le_bytes())?;
            }
        }
        Ok(turn)
    }

    fn topics(&self) -> Vec<String> {
        vec!["toy".into()]
    }

    fn protocols(&self) -> [String; 2] {
        ["/toy/1".into(), "/toy/whole/1".into()]
    }

    fn check(&self) -> Arc<dyn Check> {
        Arc::new(Nothing)
    }

    fn answer(&self) -> Arc<dyn Answer> {
        Arc::new(Nothing)
    }

    fn summary(&self) -> Summary {
        Summary { entries: self.entries, in_sync: self.everyone, pending: self.turns, ..Summary::default() }
    }

    fn trust(&mut self, trust: Trust) {
        self.everyone = trust == Trust::Everyone;
    }
}

/// Reads the toy's rows.
#[derive(Debug)]
pub struct Reader;

impl crdt::Pinset for Reader {
    fn key(&self, cid: &Cid) -> Vec<u8> {
        cid.to_bytes()
    }

    fn get(&self, cid: &Cid, rows: &dyn ReadRows) -> Result<Option<(Pin, OpId)>, RowsError> {
        let value = rows.get(Table::Pins, &cid.to_bytes())?;
        Ok(value.map(|value| (pin_of(*cid, &value), id(&value))))
    }

    fn page(
        &self,
        after: Option<&[u8]>,
        limit: usize,
        rows: &dyn ReadRows,
    ) -> Result<(Vec<Pin>, Option<Vec<u8>>), RowsError> {
        let start = after.map_or_else(Vec::new, |key| [key, &[0]].concat());
        let (mut pins, mut last) = (Vec::new(), None);
        rows.scan(Table::Pins, &start..&[], &mut |key, value| {
            pins.push(pin_of(Cid::try_from(key).expect("a CID"), value));
            last = Some(key.to_vec());
            if pins.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        let next = last.filter(|_| pins.len() == limit);
        Ok((pins, next))
    }

    fn expired(
        &self,
        _before: UnixMillis,
        _after: Option<&[u8]>,
        _limit: usize,
        _rows: &dyn ReadRows,
    ) -> Result<(Vec<Pin>, Option<Vec<u8>>), RowsError> {
        Ok((Vec::new(), None))
    }
}

/// Checks nothing and answers nothing.
struct Nothing;

impl Check for Nothing {
    fn gossip(&self, _topic: usize, _bytes: &[u8]) -> Result<Checked, Refused> {
        Err(Refused::Foreign("a toy"))
    }

    fn frame(&self, _talk: Talk, _bytes: &[u8]) -> Result<Checked, Refused> {
        Err(Refused::Foreign("a toy"))
    }
}

impl Answer for Nothing {
    fn backup(&self) -> Option<Box<dyn crdt::Backup>> {
        None
    }

    fn session(&self, _peer: PeerId, _talk: Talk) -> Box<dyn Session> {
        unreachable!("nobody syncs with a toy")
    }
}

fn number(rows: &dyn ReadRows, name: &str) -> Result<u64, RowsError> {
    let row = rows.get(Table::Meta, name.as_bytes())?;
    Ok(row.map_or(0, |row| u64::from_le_bytes(row.try_into().expect("eight bytes"))))
}

fn id(value: &[u8]) -> OpId {
    let counter = value.first_chunk().map_or(0, |counter| u32::from_le_bytes(*counter));
    OpId { counter, actor: Vec::new() }
}

fn pin_of(cid: Cid, value: &[u8]) -> Pin {
    Pin { name: String::from_utf8_lossy(&value[4..]).into_owned(), ..Pin::recursive(cid) }
}

fn hash(key: &[u8], value: &[u8]) -> u64 {
    let hash = blake3::hash(&[key, value].concat());
    u64::from_le_bytes(*hash.as_bytes().first_chunk().expect("32 bytes"))
}
