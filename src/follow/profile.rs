//! A follower's configuration: a template from elsewhere, with what a follower must not do taken out.
use std::path::Path;

use url::Url;

use super::cache;
use crate::config::{
    Config, Environment, FILE_MAX, Faults, FetchError, File, FileError, Identity, IdentityError, Notes, check, fetch,
    shown,
};

/// What a follower runs with.
#[derive(Debug)]
pub struct Profile {
    /// The template as a follower runs it.
    pub config: Config,
    /// Its own, never the template's.
    pub identity: Identity,
    /// What is worth a log line.
    pub notes: Notes,
    /// Where the template comes from, as it may be shown.
    pub source: String,
    /// Whether the source gave a template that is in order; `false`: the last good one is in use.
    pub is_fresh: bool,
}

/// Why there is nothing to run with; the texts begin as Go's.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// A file cannot be read, or is no JSON object.
    #[error(transparent)]
    File(#[from] FileError),
    /// The source gives nothing, and nothing was kept of it.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// A template points to another one.
    #[error("a sourced configuration cannot point to another source")]
    Chained,
    /// The template is no text.
    #[error("the template is not UTF-8")]
    NoText,
    /// The template is wrong.
    #[error(transparent)]
    Faults(#[from] Faults),
    /// The identity is missing or wrong.
    #[error("error loading identity: {0}")]
    Identity(#[source] IdentityError),
}

impl Profile {
    /// Loads the profile of a follower's folder.
    ///
    /// The template is fetched anew. When that fails, or it is wrong, the last good one is used and a warning says so.
    ///
    /// # Errors
    /// What is wrong with the template when no good one was kept; what is wrong with the identity.
    pub async fn load(folder: &Path, environment: &Environment) -> Result<Self, ProfileError> {
        let identity = Identity::load(&folder.join("identity.json"), environment);
        let identity = identity.map_err(|(_, e)| ProfileError::Identity(e))?;
        let file = File::read(&folder.join("service.json"))?;
        let Some(source) = file.source().map(source_of) else {
            let (config, notes) = follower(file, environment, folder)?;
            return Ok(Self { config, identity, notes, source: String::new(), is_fresh: true });
        };
        let (fresh, shown) = (fresh(&source, environment, folder).await, shown(&source));
        let failed = match fresh {
            Ok((config, mut notes)) => {
                notes.infos.insert(0, format!("loading configuration from {shown}"));
                return Ok(Self { config, identity, notes, source: shown, is_fresh: true });
            }
            Err(failed) => failed,
        };
        let Some(kept) = cache::last(folder, &source) else { return Err(failed) };
        // A kept one may be wrong under another environment; what is wrong now is the better thing to say.
        let Ok((config, mut notes)) = template(kept.as_bytes(), environment, folder) else { return Err(failed) };
        notes
            .warnings
            .insert(0, format!("the template at {shown} is of no use, the last good one is in use: {failed}"));
        Ok(Self { config, identity, notes, source: shown, is_fresh: false })
    }
}

/// Fetches and checks a template, and keeps it when it is good.
async fn fresh(source: &str, environment: &Environment, folder: &Path) -> Result<(Config, Notes), ProfileError> {
    let bytes = get(source).await?;
    let (config, mut notes) = template(&bytes, environment, folder)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| ProfileError::NoText)?;
    if let Err(e) = cache::keep(folder, source, text) {
        notes.warnings.push(format!("the template could not be kept for times when its source is gone: {e}"));
    }
    Ok((config, notes))
}

/// Returns what is at a source, which is a URL or `file:`.
async fn get(source: &str) -> Result<Vec<u8>, ProfileError> {
    let Some(path) = Url::parse(source).ok().filter(|url| url.scheme() == "file").map(|url| url.to_file_path()) else {
        return Ok(fetch(source).await?.to_vec());
    };
    let failed = |cause: String| FetchError::Failed { url: source.into(), cause };
    let path = path.map_err(|()| failed("the path is not absolute".into()))?;
    let length = std::fs::metadata(&path).map_err(|e| failed(e.to_string()))?.len();
    if length > FILE_MAX {
        return Err(failed(format!("it is longer than {FILE_MAX} bytes")).into());
    }
    Ok(std::fs::read(&path).map_err(|e| failed(e.to_string()))?)
}

fn template(bytes: &[u8], environment: &Environment, folder: &Path) -> Result<(Config, Notes), ProfileError> {
    let file = File::parse(bytes)?;
    if file.source().is_some() {
        return Err(ProfileError::Chained);
    }
    follower(file, environment, folder)
}

/// What a follower makes of a template: it writes nothing, serves only its own socket, and is who it is.
fn follower(mut file: File, environment: &Environment, folder: &Path) -> Result<(Config, Notes), ProfileError> {
    for section in ["api.ipfsproxy", "api.pinsvcapi", "observations.metrics", "observations.tracing"] {
        file.remove(section);
    }
    file.reset("api.restapi");
    file.set("api.restapi.http_listen_multiaddress", format!("/unix{}", folder.join("api-socket").display()));
    let (mut config, notes) = check(&file, environment, folder)?;
    config.cluster.follower_mode = true;
    Ok((config, notes))
}

/// The source that an old or a careless `service.json` means: without a scheme it is http, a path is a file.
#[must_use]
pub fn source_of(text: &str) -> String {
    if text.starts_with('/') {
        Url::from_file_path(text).map_or_else(|()| text.to_owned(), Url::into)
    } else if ["http://", "https://", "file:"].iter().any(|scheme| text.starts_with(scheme)) {
        text.into()
    } else {
        format!("http://{text}")
    }
}

/// The source of a bare name: what a gateway has under `/ipns/`.
#[must_use]
pub fn gateway_source(gateway: &str, name: &str) -> String {
    source_of(&format!("{}/ipns/{name}", gateway.trim_end_matches('/')))
}

#[cfg(test)]
#[path = "profile_tests.rs"]
mod tests;
