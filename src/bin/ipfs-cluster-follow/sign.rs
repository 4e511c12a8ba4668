//! `sign`: a template that followers can tell from a forged one.
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use ipfs_cluster::config::{Environment, FILE_MAX, Identity, write_atomically};
use ipfs_cluster::follow::sign;
use ipfs_cluster::task;

use crate::common::Run;
use crate::exit::Failure;

/// Signs a file in its place.
pub fn run(run: &Run) -> Result<(), Failure> {
    let template = run.arguments.first().ok_or_else(|| Failure::Other("the template's file is not provided".into()))?;
    let key = run.values.given("key").ok_or_else(|| {
        Failure::Other(
            "no key to sign with: --key FILE names the signer's identity, and makes it when it is not there".into(),
        )
    })?;
    let template = Path::new(template);
    let failed = |e: std::io::Error| Failure::new(format!("reading {}", template.display()), e);
    let found = std::fs::metadata(template).map_err(failed)?;
    if found.len() > FILE_MAX {
        return Err(Failure::Other(format!("{} is longer than {FILE_MAX} bytes", template.display())));
    }
    let text = std::fs::read_to_string(template).map_err(failed)?;
    let identity = identity(Path::new(key))?;
    let doing = || format!("signing {}", template.display());
    let signed = sign(&text, identity.keypair(), task::wall()).map_err(|e| Failure::new(doing(), e))?;
    let mode = Permissions::mode(&found.permissions()) & 0o777;
    write_atomically(template, signed.as_bytes(), mode).map_err(|e| Failure::new(doing(), e))?;
    println!("{} is signed. Followers that shall take nothing else begin with:\n", template.display());
    println!("ipfs-cluster-follow <clusterName> init --template-key {} <template_URL>", identity.id());
    Ok(())
}

fn identity(path: &Path) -> Result<Identity, Failure> {
    let doing = || format!("reading the key {}", path.display());
    // The environment is a peer's; the key is the one that was named.
    if path.try_exists().map_err(|e| Failure::new(doing(), e))? {
        return Identity::load(path, &Environment::default()).map_err(|(_, e)| Failure::new(doing(), e));
    }
    let identity = Identity::generate().map_err(|e| Failure::new("generating a key", e))?;
    identity.save(path).map_err(|e| Failure::new(format!("writing the key {}", path.display()), e))?;
    println!("A new key was written to {}. Keep it: who has it can change what followers do.", path.display());
    Ok(identity)
}
