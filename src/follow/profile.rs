//! A follower's configuration: a template from elsewhere, with what a follower must not do taken out.
use std::path::Path;

use url::Url;

use super::cache;
use super::signed::{self, Opened, SignatureError};
use crate::config::{
    Config, Environment, FILE_MAX, Faults, FetchError, File, FileError, Identity, IdentityError, Notes, PeerIdError,
    check, fetch, shown,
};
use crate::model::PeerId;
use crate::wire::rest::Time;

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
    /// Whose signature the template needs, and when it was given.
    pub signed: Option<(PeerId, Time)>,
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
    /// Its signature is missing or wrong.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// Nobody's key.
    #[error("\"template_key\" in service.json is no peer ID: {0}")]
    TemplateKey(#[source] PeerIdError),
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
            return Ok(Self { config, identity, notes, source: String::new(), is_fresh: true, signed: None });
        };
        let key = file.template_key().map_err(ProfileError::TemplateKey)?;
        let origin = Origin { source: &source, key, own: &file, environment, folder };
        let shown = shown(&source);
        let failed = match origin.fresh().await {
            Ok(Template { config, mut notes, signed }) => {
                notes.infos.insert(0, format!("loading configuration from {shown}"));
                return Ok(Self { config, identity, notes, source: shown, is_fresh: true, signed });
            }
            Err(failed) => failed,
        };
        // A kept one may be wrong under another environment; what is wrong now is the better thing to say.
        let Some(Ok(Template { config, mut notes, signed })) = origin.kept() else { return Err(failed) };
        notes
            .warnings
            .insert(0, format!("the template at {shown} is of no use, the last good one is in use: {failed}"));
        Ok(Self { config, identity, notes, source: shown, is_fresh: false, signed })
    }
}

/// Where a template comes from, and what it has to be.
struct Origin<'a> {
    source: &'a str,
    key: Option<PeerId>,
    /// What the follower says itself.
    own: &'a File,
    environment: &'a Environment,
    folder: &'a Path,
}

/// A template that is in order.
struct Template {
    config: Config,
    notes: Notes,
    signed: Option<(PeerId, Time)>,
}

impl Origin<'_> {
    /// Fetches and checks a template, and keeps it when it is good.
    async fn fresh(&self) -> Result<Template, ProfileError> {
        let bytes = get(self.source).await?;
        let mut template = self.template(&bytes)?;
        self.is_no_older(&template)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| ProfileError::NoText)?;
        if let Err(e) = cache::keep(self.folder, self.source, text) {
            let warning = format!("the template could not be kept for times when its source is gone: {e}");
            template.notes.warnings.push(warning);
        }
        Ok(template)
    }

    /// The last good one; none when there is none.
    fn kept(&self) -> Option<Result<Template, ProfileError>> {
        cache::last(self.folder, self.source).map(|text| self.template(text.as_bytes()))
    }

    /// Who owns the source can give what was signed long ago: with other trusted peers than now, for instance.
    fn is_no_older(&self, template: &Template) -> Result<(), ProfileError> {
        let Some((key, at)) = template.signed else { return Ok(()) };
        let kept = cache::last(self.folder, self.source);
        match kept.and_then(|text| signed::open(text.as_bytes(), &key).ok()) {
            Some(Opened { at: kept, .. }) if at < kept => Err(SignatureError::Older { at, kept }.into()),
            Some(_) | None => Ok(()),
        }
    }

    /// Nothing is read of a template before its signature was verified, when it needs one.
    fn template(&self, bytes: &[u8]) -> Result<Template, ProfileError> {
        let (mut file, signed) = match self.key {
            None => (File::parse(bytes)?, None),
            Some(key) => {
                let Opened { template, at } = signed::open(bytes, &key)?;
                (File::parse(&template)?, Some((key, at)))
            }
        };
        if file.source().is_some() {
            return Err(ProfileError::Chained);
        }
        self.own.put_budget_over(&mut file);
        let (config, notes) = follower(file, self.environment, self.folder)?;
        Ok(Template { config, notes, signed })
    }
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
