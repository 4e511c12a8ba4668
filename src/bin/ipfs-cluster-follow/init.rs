//! `init`: an identity, and where the template is.
use ipfs_cluster::config::{Environment, File, Identity, PRIVATE, make_folder, parse_peer_id, write_atomically};
use ipfs_cluster::follow::{gateway_source, source_of, template_key};
use ipfs_cluster::model::PeerId;

use crate::budget;
use crate::common::Values;
use crate::exit::Failure;
use crate::place::Place;

/// Where the template is, and whose signature it needs.
pub struct Source<'a> {
    text: &'a str,
    gateway: &'a str,
    key: Option<PeerId>,
    max_bytes: Option<&'a str>,
}

impl<'a> Source<'a> {
    /// Reads `--template-key` and `--max-bytes`.
    pub fn of(text: &'a str, gateway: &'a str, values: &'a Values) -> Result<Self, Failure> {
        let key = values.given("template-key").map(|key| {
            let key = parse_peer_id(key).map_err(|e| Failure::new("reading --template-key", e))?;
            template_key(&key).map_err(|e| Failure::new("reading --template-key", e))?;
            Ok(key)
        });
        Ok(Self { text, gateway, key: key.transpose()?, max_bytes: budget::read(values)? })
    }

    fn file(&self) -> Result<File, Failure> {
        let url = resolve(self.text, self.gateway)?;
        let mut file = self.key.map_or_else(|| File::sourced(&url), |key| File::sourced_and_signed(&url, &key));
        if let Some(size) = self.max_bytes {
            file.set_budget(size);
        }
        Ok(file)
    }
}

/// Makes the folder of a follower; the template is not fetched yet.
pub fn run(place: &Place, source: &Source<'_>) -> Result<(), Failure> {
    if place.is_there() {
        return Err(Failure::Exists(place.folder.clone()));
    }
    let file = source.file()?;
    let identity = Identity::generate().and_then(|identity| identity.under(&Environment::of_process()));
    let identity = identity.map_err(|e| Failure::new("generating an identity", e))?;
    let (identity_file, config_file) = (place.folder.join("identity.json"), place.folder.join("service.json"));
    make_folder(&place.folder).map_err(|e| Failure::new(format!("creating {}", place.folder.display()), e))?;
    identity.save(&identity_file).map_err(|e| Failure::new("saving identity", e))?;
    println!("Identity written to {}.", identity_file.display());
    write_atomically(&config_file, file.to_text().as_bytes(), PRIVATE)
        .map_err(|e| Failure::new("saving configuration", e))?;
    println!("Configuration written to {}.", config_file.display());
    let name = &place.name;
    println!("Cluster \"{name}\" follower peer initialized.\n");
    println!("You can now use \"ipfs-cluster-follow {name} run\" to start a follower peer for this cluster.");
    println!("(Remember to start your IPFS daemon before)");
    Ok(())
}

/// As [`run`], and a follower that is there is left as it is; one that takes less than it is told to is refused.
pub fn run_unless_there(place: &Place, source: &Source<'_>) -> Result<(), Failure> {
    if !place.is_there() {
        return run(place, source);
    }
    if source.key.is_some() {
        let file = File::read(&place.folder.join("service.json"));
        let kept = file.map_err(|e| Failure::Other(e.to_string()))?.template_key();
        if kept.ok().flatten() != source.key {
            return Err(Failure::Other(format!(
                "the follower \"{}\" was initialized with another template key or none: remove {} to begin anew",
                place.name,
                place.folder.display()
            )));
        }
    }
    println!("Configuration for this cluster already exists. Skipping initialization.");
    println!("If you wish to re-initialize, simply delete {}\n", place.folder.display());
    Ok(())
}

/// A URL, a path, or a name that the gateway resolves.
fn resolve(source: &str, gateway: &str) -> Result<String, Failure> {
    if ["http://", "https://", "file:"].iter().any(|scheme| source.starts_with(scheme)) {
        return Ok(source.into());
    }
    if source.starts_with(['/', '.']) {
        let path = std::path::absolute(source).map_err(|e| Failure::new(format!("finding {source}"), e))?;
        return Ok(source_of(&path.to_string_lossy()));
    }
    println!("{source} will be assumed to be an DNSLink-powered address: /ipns/{source}.");
    println!("It will be resolved using the local IPFS daemon's gateway ({gateway}).");
    println!("If this is not the case, specify the full url starting with http:// or https://.");
    println!("(You can override the gateway URL by setting IPFS_GATEWAY)\n");
    Ok(gateway_source(gateway, source))
}
