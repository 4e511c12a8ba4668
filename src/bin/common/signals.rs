//! SIGINT, SIGTERM and SIGHUP end the program: the first gently, the third at once.
use std::io;

use ipfs_cluster::task::Task;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Cancels `stop` at the first signal, warns at the second, and ends the process with 1 at the third.
///
/// The task that is returned watches for as long as it is kept.
pub fn watch(stop: CancellationToken) -> io::Result<Task> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(Task::spawn(move |ended| async move {
        let mut count = 0;
        loop {
            tokio::select! {
                () = ended.cancelled() => return Ok(()),
                _ = interrupt.recv() => (),
                _ = terminate.recv() => (),
                _ = hangup.recv() => (),
            }
            count += 1;
            match count {
                1 => stop.cancel(),
                2 => eprintln!(
                    "The peer is shutting down already. Another signal ends it at once, with nothing cleaned up."
                ),
                _ => {
                    eprintln!("exiting cluster NOW");
                    std::process::exit(1);
                }
            }
        }
    }))
}
