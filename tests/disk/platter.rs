//! A disk that keeps unsynced writes apart, and at a power cut loses some of them, in any order, torn at sectors.
use std::io;
use std::sync::{Arc, Mutex};

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use redb::StorageBackend;

/// What a drive writes whole or not at all.
const SECTOR_BYTES: usize = 512;

#[derive(Clone, Debug)]
pub struct Platter(Arc<Mutex<State>>);

/// What redb gets of it, until the next cut.
#[derive(Debug)]
pub struct Plug {
    platter: Platter,
    life: u64,
}

#[derive(Debug)]
struct State {
    /// What reads see.
    seen: Vec<u8>,
    /// What a cut leaves, at least.
    durable: Vec<u8>,
    unsynced: Vec<Unsynced>,
    /// Writes and syncs until the power goes.
    fuse: Option<u64>,
    life: u64,
    powered: bool,
    rng: StdRng,
    pub lost: u64,
}

#[derive(Clone, Debug)]
enum Unsynced {
    Write { offset: usize, data: Vec<u8> },
    Len(usize),
}

impl Platter {
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            seen: Vec::new(),
            durable: Vec::new(),
            unsynced: Vec::new(),
            fuse: None,
            life: 0,
            powered: true,
            rng: StdRng::seed_from_u64(seed),
            lost: 0,
        })))
    }

    /// The backend of one opening.
    pub fn plug(&self) -> Plug {
        Plug { platter: self.clone(), life: self.0.lock().unwrap().life }
    }

    /// Cuts the power in the middle of the `steps`th write or sync from now.
    pub fn cut_after(&self, steps: u64) {
        self.0.lock().unwrap().fuse = Some(steps);
    }

    /// Cuts the power now, unless it is gone.
    pub fn cut(&self) {
        let mut state = self.0.lock().unwrap();
        if state.powered {
            state.cut();
        }
    }

    /// Starts again with what the last cut left.
    pub fn power_on(&self) {
        let mut state = self.0.lock().unwrap();
        assert!(!state.powered);
        let durable = state.durable.clone();
        state.seen = durable;
        state.unsynced.clear();
        state.life += 1;
        state.powered = true;
        state.fuse = None;
    }

    /// Writes that cuts lost so far, whole or in part.
    pub fn lost(&self) -> u64 {
        self.0.lock().unwrap().lost
    }
}

impl State {
    fn cut(&mut self) {
        let mut unsynced = std::mem::take(&mut self.unsynced);
        unsynced.shuffle(&mut self.rng);
        let luck = self.rng.random_range(0.0..1.0);
        for change in unsynced {
            if !self.rng.random_bool(luck) {
                self.lost += 1;
                continue;
            }
            match change {
                Unsynced::Write { offset, data } if self.rng.random_bool(0.2) => {
                    self.lost += 1;
                    for (n, sector) in data.chunks(SECTOR_BYTES).enumerate() {
                        if self.rng.random_bool(0.5) {
                            let write = Unsynced::Write { offset: offset + n * SECTOR_BYTES, data: sector.to_vec() };
                            write.apply(&mut self.durable);
                        }
                    }
                }
                whole @ (Unsynced::Write { .. } | Unsynced::Len(_)) => whole.apply(&mut self.durable),
            }
        }
        self.powered = false;
    }

    fn change(&mut self, change: Unsynced) {
        change.apply(&mut self.seen);
        self.unsynced.push(change);
    }

    fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            change.apply(&mut self.durable);
        }
    }
}

impl Unsynced {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Len(len) => bytes.resize(*len, 0),
            Self::Write { offset, data } => {
                let end = offset + data.len();
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                bytes[*offset..end].copy_from_slice(data);
            }
        }
    }
}

impl Plug {
    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> io::Result<T> {
        let mut state = self.platter.0.lock().unwrap();
        if !state.powered || state.life != self.life {
            return Err(io::Error::other("no power"));
        }
        Ok(work(&mut state))
    }

    /// A step that a cut may hit: `change` is then unsynced, and the caller hears nothing good.
    fn step(&self, change: Option<Unsynced>) -> io::Result<()> {
        self.with(|state| {
            let syncs = change.is_none();
            if let Some(change) = change {
                state.change(change);
            }
            if let Some(fuse) = &mut state.fuse {
                *fuse = fuse.saturating_sub(1);
                if *fuse == 0 {
                    state.cut();
                    return Err(io::Error::other("the power went"));
                }
            }
            if syncs {
                state.sync();
            }
            Ok(())
        })?
    }
}

impl StorageBackend for Plug {
    fn len(&self) -> io::Result<u64> {
        self.with(|state| state.seen.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.with(|state| {
            let offset = usize::try_from(offset).unwrap();
            let bytes = state.seen.get(offset..offset + out.len());
            out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        })?
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.step(Some(Unsynced::Len(usize::try_from(len).unwrap())))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.step(None)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.step(Some(Unsynced::Write { offset: usize::try_from(offset).unwrap(), data: data.to_vec() }))
    }
}
