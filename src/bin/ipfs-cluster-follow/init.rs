//! `init`: an identity, and where the template is.
use ipfs_cluster::config::{Environment, File, Identity, PRIVATE, make_folder, write_atomically};
use ipfs_cluster::follow::{gateway_source, source_of};

use crate::exit::Failure;
use crate::place::Place;

/// Makes the folder of a follower; the template is not fetched yet.
pub fn run(place: &Place, source: &str, gateway: &str) -> Result<(), Failure> {
    if place.is_there() {
        return Err(Failure::Exists(place.folder.clone()));
    }
    let source = resolve(source, gateway)?;
    let identity = Identity::generate().and_then(|identity| identity.under(&Environment::of_process()));
    let identity = identity.map_err(|e| Failure::new("generating an identity", e))?;
    let (identity_file, config_file) = (place.folder.join("identity.json"), place.folder.join("service.json"));
    make_folder(&place.folder).map_err(|e| Failure::new(format!("creating {}", place.folder.display()), e))?;
    identity.save(&identity_file).map_err(|e| Failure::new("saving identity", e))?;
    println!("Identity written to {}.", identity_file.display());
    write_atomically(&config_file, File::sourced(&source).to_text().as_bytes(), PRIVATE)
        .map_err(|e| Failure::new("saving configuration", e))?;
    println!("Configuration written to {}.", config_file.display());
    let name = &place.name;
    println!("Cluster \"{name}\" follower peer initialized.\n");
    println!("You can now use \"ipfs-cluster-follow {name} run\" to start a follower peer for this cluster.");
    println!("(Remember to start your IPFS daemon before)");
    Ok(())
}

/// As [`run`], and a follower that is there is left as it is.
pub fn run_unless_there(place: &Place, source: &str, gateway: &str) -> Result<(), Failure> {
    if !place.is_there() {
        return run(place, source, gateway);
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
