//! Programs that end with the test that started them.
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long a program may take to end after SIGTERM.
const STOP_MAX: Duration = Duration::from_secs(15);

/// A running program; dropping it kills it, by its pid.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with its output appended to `log`.
    pub fn start(command: &Command, log: &Path) -> Self {
        let output = |log: &Path| -> File {
            OpenOptions::new().create(true).append(true).open(log).expect("the log can be written")
        };
        let child = leashed(command).stdin(Stdio::null()).stdout(output(log)).stderr(output(log)).spawn();
        let name = command.get_program().to_string_lossy();
        Self { child: child.unwrap_or_else(|e| panic!("{name} does not start: {e}")), log: log.to_owned() }
    }

    /// Returns all that it and its forerunners with this log have printed.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Its process ID.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns how it ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be asked for")
    }

    /// Sends SIGKILL and waits for the end.
    pub fn kill(mut self) {
        self.end();
    }

    /// Sends `signal`.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a pid fits"));
        kill(pid, signal).expect("an own child can be signalled");
    }

    /// Sends SIGTERM and returns how it ended.
    pub fn stop(mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.wait(STOP_MAX)
    }

    /// Waits until it ends by itself.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let from = now();
        loop {
            match self.ended() {
                Some(status) => return status,
                None if from.elapsed() > limit => panic!("it did not end within {limit:?}:\n{}", tail(&self.log())),
                None => thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// Returns the moment now.
#[expect(clippy::disallowed_methods, reason = "a test of programs waits for them by the real clock")]
pub fn now() -> Instant {
    Instant::now()
}

/// Returns the end of a log.
pub fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}

/// `command`, ended by the system if this thread is gone before it, where the system offers that.
fn leashed(command: &Command) -> Command {
    let setpriv = Path::new("/usr/bin/setpriv");
    let mut leashed = if setpriv.exists() {
        let mut leashed = Command::new(setpriv);
        leashed.args(["--pdeathsig", "KILL", "--"]).arg(command.get_program());
        leashed
    } else {
        Command::new(command.get_program())
    };
    leashed.args(command.get_args());
    for (key, value) in command.get_envs() {
        match value {
            Some(value) => leashed.env(key, value),
            None => leashed.env_remove(key),
        };
    }
    leashed
}
