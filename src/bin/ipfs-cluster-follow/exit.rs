//! How the program ends.
use std::fmt::Display;
use std::path::PathBuf;

use crate::common::Manners;

/// Wrong flags end with 0: scripts rely on what Go's program does.
pub const MANNERS: Manners = Manners { no_command: 0, misuse: 0, unknown_command: None };

/// Why a command failed.
#[derive(Debug)]
pub enum Failure {
    /// There is no such follower.
    NotInitialized(String),
    /// There is one already.
    Exists(PathBuf),
    /// `init` without a URL.
    NoSource,
    /// A name that would lead out of the folder of followers.
    BadName(String),
    /// IPFS did not answer in time.
    NoIpfs,
    /// Told to stop before there was a peer to stop.
    Stopped,
    /// Anything else, in one line.
    Other(String),
}

impl Failure {
    /// A failure while `doing`.
    pub fn new(doing: impl Display, cause: impl Display) -> Self {
        Self::Other(format!("{doing}: {cause}"))
    }

    /// Says what failed and returns the exit code.
    pub fn print(&self) -> u8 {
        match self {
            Self::NotInitialized(name) => println!(
                "\nThis cluster peer has not been initialized.\n\n\
                 Try running \"ipfs-cluster-follow {name} init <config-url>\" first."
            ),
            Self::Exists(folder) => eprintln!(
                "Configuration for this cluster already exists.\nPlease delete {} if you wish to re-initialize.",
                folder.display()
            ),
            Self::NoSource => eprintln!("configuration URL not provided"),
            Self::BadName(name) => eprintln!("{name:?} cannot be the name of a cluster: it is the name of a folder"),
            Self::NoIpfs => eprintln!("timed out waiting for IPFS to be available"),
            Self::Stopped => {}
            Self::Other(text) => eprintln!("{text}"),
        }
        1
    }
}
