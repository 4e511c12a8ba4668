//! A peer's folder and the environment -> its configuration and its identity.
use std::path::Path;

use super::check::{Faults, Notes, check, unknown_keys};
use super::disk::{Identity, IdentityError};
use super::fetch::{FetchError, fetch, shown};
use super::file::{Environment, File, FileError};
use super::typed::Config;

/// Why a peer's configuration could not be loaded; the texts are Go's.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// `service.json` cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// What it points to cannot be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// What it points to points on.
    #[error("a sourced configuration cannot point to another source")]
    Chained,
    /// Values are wrong.
    #[error(transparent)]
    Faults(#[from] Faults),
    /// `identity.json` is there and wrong.
    #[error("error loading identity from {path}: {source}")]
    Identity {
        /// Which file.
        path: String,
        /// Why.
        source: IdentityError,
    },
    /// There is no `identity.json`, and nothing else that says who the peer is.
    #[error("error loading identity: {0}")]
    NoIdentity(#[source] IdentityError),
}

/// Reads `service.json` of a folder, from its source when it has one.
///
/// # Errors
/// [`LoadError`], anything but an identity's.
pub async fn load_file(folder: &Path, notes: &mut Notes) -> Result<File, LoadError> {
    let file = File::read(&folder.join("service.json"))?;
    let Some(source) = file.source() else { return Ok(file) };
    notes.infos.push(format!("loading configuration from {}", shown(source)));
    let fetched = File::parse(&fetch(source).await?)?;
    if fetched.source().is_some() {
        return Err(LoadError::Chained);
    }
    Ok(fetched)
}

/// Loads the configuration and the identity of a folder.
///
/// # Errors
/// [`LoadError`]; of wrong values, all.
pub async fn load(folder: &Path, environment: &Environment) -> Result<(Config, Identity, Notes), LoadError> {
    let mut notes = Notes::default();
    let file = load_file(folder, &mut notes).await?;
    let config = checked(&file, environment, folder, &mut notes)?;
    let identity = load_identity(folder, environment, &file, &mut notes)?;
    Ok((config, identity, notes))
}

/// As [`load`], without the identity.
///
/// # Errors
/// [`LoadError`], anything but an identity's.
pub async fn load_config(folder: &Path, environment: &Environment) -> Result<(Config, Notes), LoadError> {
    let mut notes = Notes::default();
    let file = load_file(folder, &mut notes).await?;
    let config = checked(&file, environment, folder, &mut notes)?;
    Ok((config, notes))
}

fn checked(file: &File, environment: &Environment, folder: &Path, notes: &mut Notes) -> Result<Config, Faults> {
    let checked = check(file, environment, folder);
    if checked.is_err() {
        // A key that is misspelt is often the fault: a value that is missing under its own name.
        unknown_keys(file).for_each(|warning| tracing::warn!("{warning}"));
    }
    let (config, more) = checked?;
    notes.infos.extend(more.infos);
    notes.warnings.extend(more.warnings);
    Ok(config)
}

/// Reads `identity.json`, or makes it of the keys where very old files had the identity.
fn load_identity(
    folder: &Path,
    environment: &Environment,
    file: &File,
    notes: &mut Notes,
) -> Result<Identity, LoadError> {
    let path = folder.join("identity.json");
    let shown = path.display().to_string();
    let (is_there, error) = match Identity::load(&path, environment) {
        Ok(identity) => return Ok(identity),
        Err(failure) => failure,
    };
    if is_there {
        return Err(LoadError::Identity { path: shown, source: error });
    }
    let Some((id, key)) = file.legacy_identity() else { return Err(LoadError::NoIdentity(error)) };
    let identity = Identity::parse(id, key).map_err(LoadError::NoIdentity)?;
    identity.save(&path).map_err(|e| LoadError::Identity { path: shown.clone(), source: e.into() })?;
    notes.warnings.push(format!("NOTICE: the identity was moved from service.json to {shown}"));
    Ok(identity)
}
