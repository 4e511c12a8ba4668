//! Without a cluster's name: the followers of this computer.
use std::path::Path;

/// Prints the followers below a folder, by name.
pub fn run(base: &Path) {
    let mut names = followers(base);
    names.sort();
    if names.is_empty() {
        println!(
            "\nNo clusters configured yet!\n\n\
             If this is the first time you are running ipfs-cluster-follow,\n\
             these show what it can do:\n\n\
             $ ipfs-cluster-follow --help                     - general description and usage help\n\
             $ ipfs-cluster-follow <clusterName> --help       - Help and subcommands for the <clusterName>'s follower peer\n\
             $ ipfs-cluster-follow <clusterName> info --help  - Help for the \"info\" subcommand (same for others)."
        );
        return;
    }
    println!("Configurations found for {} follower peers. For info and help, try running:\n", names.len());
    for name in names {
        println!("ipfs-cluster-follow \"{name}\"");
    }
    println!("\nTip: \"ipfs-cluster-follow --help\" for help and examples.");
}

fn followers(base: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(base) else { return Vec::new() };
    let is_follower = |entry: &std::fs::DirEntry| entry.path().join("service.json").is_file();
    entries.filter_map(Result::ok).filter(is_follower).filter_map(|e| e.file_name().into_string().ok()).collect()
}
