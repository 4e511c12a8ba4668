//! Where log lines go: stderr, stdout, a file, as the variables of Go's log say.
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// The places that every line goes to.
#[derive(Debug, Default)]
pub struct Sinks {
    stdout: bool,
    stderr: bool,
    file: Option<(PathBuf, Mutex<File>)>,
}

impl Sinks {
    /// Reads `GOLOG_FILE` and `GOLOG_OUTPUT` (`stdout`, `stderr`, `file`, joined by `+`); a file takes stderr's place.
    pub fn from(variable: impl Fn(&str) -> String) -> Result<Self, String> {
        let (path, output) = (variable("GOLOG_FILE"), variable("GOLOG_OUTPUT"));
        let file = match path.as_str() {
            "" => None,
            path => Some((PathBuf::from(path), Mutex::new(open(path)?))),
        };
        let names = |name: &str| output.split('+').any(|item| item == name);
        if names("file") && file.is_none() {
            eprintln!("please specify a GOLOG_FILE value to write to");
        }
        let (stdout, stderr) = (names("stdout"), names("stderr"));
        let is_said = stdout || stderr;
        Ok(Self { stdout, stderr: if is_said { stderr } else { file.is_none() }, file })
    }

    /// Whether a person sees the lines as they come.
    pub fn is_terminal(&self) -> bool {
        self.stdout && io::stdout().is_terminal() || self.stderr && io::stderr().is_terminal()
    }

    /// Opens the file anew, which somebody may have moved away to begin another.
    pub fn reopen(&self) -> Result<(), String> {
        let Some((path, file)) = &self.file else { return Ok(()) };
        let new = open(&path.to_string_lossy())?;
        *file.lock().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }
}

fn open(path: &str) -> Result<File, String> {
    let opened = OpenOptions::new().append(true).create(true).open(path);
    opened.map_err(|error| format!("the log file {path} (GOLOG_FILE) cannot be opened: {error}"))
}

/// A line goes to each place; one that fails takes it from no other.
impl Write for &Sinks {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let stdout = if self.stdout { io::stdout().write_all(line) } else { Ok(()) };
        let stderr = if self.stderr { io::stderr().write_all(line) } else { Ok(()) };
        let file = self
            .file
            .as_ref()
            .map_or(Ok(()), |(_, file)| file.lock().unwrap_or_else(PoisonError::into_inner).write_all(line));
        stdout.and(stderr).and(file).map(|()| line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sinks(variables: &[(&str, &str)]) -> Sinks {
        let of = |name: &str| variables.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| value);
        Sinks::from(|name| of(name).to_owned()).unwrap()
    }

    #[test]
    fn lines_go_to_stderr_or_where_the_variables_say() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log").to_string_lossy().into_owned();
        let places = |sinks: Sinks| (sinks.stdout, sinks.stderr, sinks.file.is_some());
        assert_eq!(places(sinks(&[])), (false, true, false));
        assert_eq!(places(sinks(&[("GOLOG_FILE", &path)])), (false, false, true));
        assert_eq!(places(sinks(&[("GOLOG_FILE", &path), ("GOLOG_OUTPUT", "stderr+file")])), (false, true, true));
        assert_eq!(places(sinks(&[("GOLOG_OUTPUT", "stdout")])), (true, false, false));
        assert!(Sinks::from(|_| "/nowhere/at/all".into()).unwrap_err().contains("GOLOG_FILE"));
    }

    #[test]
    fn a_file_that_was_moved_away_is_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let [path, moved] = ["log", "log.1"].map(|name| folder.path().join(name));
        let sinks = sinks(&[("GOLOG_FILE", &path.to_string_lossy())]);
        (&sinks).write_all(b"one\n").unwrap();
        std::fs::rename(&path, &moved).unwrap();
        sinks.reopen().unwrap();
        (&sinks).write_all(b"two\n").unwrap();
        assert_eq!(std::fs::read_to_string(moved).unwrap(), "one\n");
        assert_eq!(std::fs::read_to_string(path).unwrap(), "two\n");
    }
}
