//! SIGINT and SIGTERM end the program: the first gently, the third at once. SIGHUP asks for settings to be read anew.
use std::io::{self, IsTerminal};
use std::sync::Arc;

use ipfs_cluster::task::Task;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Cancels `stop` at the first signal, warns at the second, and ends the process with 1 at the third; SIGHUP rings
/// `hangup` instead, unless it says that the program's terminal is gone.
///
/// The task that is returned watches for as long as it is kept.
pub fn watch(stop: CancellationToken, hangup: Arc<Notify>) -> io::Result<Task> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hung_up = signal(SignalKind::hangup())?;
    let had_terminal = io::stdin().is_terminal();
    Ok(Task::spawn(move |ended| async move {
        let mut count = 0;
        loop {
            tokio::select! {
                () = ended.cancelled() => return Ok(()),
                _ = interrupt.recv() => (),
                _ = terminate.recv() => (),
                _ = hung_up.recv() => if !had_terminal || io::stdin().is_terminal() {
                    hangup.notify_one();
                    continue;
                },
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
