//! What a daemon would do to a pinset when nobody writes: a snapshot is made, and the log that it holds is dropped.
use std::ops::ControlFlow;

use crate::crdt::{Engine, Input, Now, Part, RowsError, Survey, Turn};
use crate::store::{PinsetDb, StoreError};
use crate::task::{self, Fatal};

/// Parts of a survey that are written together: some 100 KiB, for one fsync.
const PARTS: usize = 64;

/// Turns until a pinset is left as it is: a turn drops some thousand changes, so this is for some hundred million.
const TURNS_MAX: usize = 100_000;

/// Lets `engine` work until it has nothing more to do.
///
/// # Errors
/// When the store cannot be written.
pub(super) fn settle(engine: &mut dyn Engine, db: &PinsetDb) -> Result<(), Fatal> {
    let began = task::now();
    let now = || {
        let mono = u64::try_from(task::now().saturating_duration_since(began).as_millis()).unwrap_or(u64::MAX);
        Now { wall: task::wall(), mono }
    };
    for _ in 0..TURNS_MAX {
        let now = now();
        let turn = turn(engine, vec![Input::Tick], now, db)?;
        match turn.survey {
            Some(survey) => look(engine, survey, now, db)?,
            None if turn.tick_at.is_none_or(|at| at > now.wall) => break,
            None => (),
        }
    }
    Ok(())
}

fn turn(engine: &mut dyn Engine, inputs: Vec<Input>, now: Now, db: &PinsetDb) -> Result<Turn, StepError> {
    db.write(|rows| Ok(engine.turn(inputs, now, rows)?))
}

/// Runs a survey; what it finds is taken while it reads on.
fn look(engine: &mut dyn Engine, survey: Box<dyn Survey>, now: Now, db: &PinsetDb) -> Result<(), StepError> {
    let (mut parts, mut failed) = (Vec::new(), None);
    let mut take = |parts: &mut Vec<Part>| {
        let found = parts.drain(..).map(|part| Input::Found(Some(part))).collect();
        match turn(engine, found, now, db) {
            Ok(_) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        }
    };
    db.read::<_, StepError>(|rows| {
        survey.run(rows, &mut |part| {
            parts.push(part);
            if parts.len() < PARTS { ControlFlow::Continue(()) } else { take(&mut parts) }
        })?;
        Ok(())
    })?;
    // After a failure none are left.
    if !parts.is_empty() {
        let _ = take(&mut parts);
    }
    failed.map_or(Ok(()), Err)
}

/// Why a turn is not done.
#[derive(Debug, thiserror::Error)]
enum StepError {
    #[error(transparent)]
    Rows(#[from] RowsError),
    #[error(transparent)]
    Store(#[from] StoreError),
}
