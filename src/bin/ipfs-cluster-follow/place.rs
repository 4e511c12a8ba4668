//! The folder of one follower.
use std::path::{Path, PathBuf};

use crate::exit::Failure;

/// A follower's name and folder.
#[derive(Clone, Debug)]
pub struct Place {
    pub name: String,
    pub folder: PathBuf,
}

impl Place {
    /// The place of a name, be there a follower or not.
    pub fn any(base: &Path, name: &str) -> Result<Self, Failure> {
        if matches!(name, "" | "." | "..") || name.contains(['/', '\0']) {
            return Err(Failure::BadName(name.into()));
        }
        let base = std::path::absolute(base).map_err(|e| Failure::new("finding the configuration folder", e))?;
        Ok(Self { name: name.into(), folder: base.join(name) })
    }

    /// The place of a follower that is there.
    pub fn find(base: &Path, name: &str) -> Result<Self, Failure> {
        let place = Self::any(base, name)?;
        if place.is_there() { Ok(place) } else { Err(Failure::NotInitialized(name.into())) }
    }

    /// Whether there is a follower.
    pub fn is_there(&self) -> bool {
        self.folder.is_dir()
    }

    /// The socket of its API while it runs.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("api-socket")
    }
}
