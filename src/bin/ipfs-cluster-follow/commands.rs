//! The commands with their flags and help.
use std::path::PathBuf;

use crate::common::{Command, Flag};

const ABOUT: &str = "\
Runs peers that follow a cluster: they keep what the cluster's trusted peers
decide, have no say in it, and cannot see or move other peers.

One program can follow many clusters. Each has a configuration, an identity
and a database of its own below \"~/.ipfs-cluster-follow/<clusterName>\".

EXAMPLES:

List the followers of this computer:

$ ipfs-cluster-follow

Begin to follow a cluster, then run the peer:

$ ipfs-cluster-follow <clusterName> init <example.url>
$ ipfs-cluster-follow <clusterName> run

Sign the template that others follow (see \"ipfs-cluster-follow sign --help\"):

$ ipfs-cluster-follow sign --key publisher.json template.json

See how it does, and what it keeps:

$ ipfs-cluster-follow <clusterName> info
$ ipfs-cluster-follow <clusterName> list

Get help on a command:

$ ipfs-cluster-follow <clusterName> run --help";

/// The program; a cluster's name follows its flags.
pub fn program() -> Command {
    Command::new("ipfs-cluster-follow", "IPFS Cluster Follower")
        .version(env!("CARGO_PKG_VERSION"))
        .arguments("<clusterName> [subcommand]...")
        .about(ABOUT)
        .flag(
            // Go's program has no short form; taking it harms nobody.
            Flag::text("config, c", "path to the followers configuration and data FOLDER")
                .placeholder("FOLDER")
                .default(default_folder().display().to_string())
                .env("IPFS_CLUSTER_PATH"),
        )
        .flag(
            Flag::text("gateway", "the gateway that resolves names that are no URL")
                .default("127.0.0.1:8080")
                .env("IPFS_GATEWAY")
                .hidden(),
        )
}

/// The program as shells complete it: its commands stand behind any name.
pub fn completed() -> Command {
    Command { commands: cluster("NAME").commands, ..program() }
}

fn default_folder() -> PathBuf {
    PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".ipfs-cluster-follow")
}

/// Whether these words after a name begin with one of its commands.
pub fn is_command(words: &[String]) -> bool {
    let Some(first) = words.first() else { return true };
    cluster("").commands.iter().any(|command| command.name == *first)
}

fn template_key() -> Flag {
    Flag::text("template-key", "take the template only when the owner of this peer ID signed it").placeholder("PEER_ID")
}

fn max_bytes() -> Flag {
    let what = "hold at most so many bytes, such as 500GB, and share with others; \"none\": hold everything";
    Flag::text("max-bytes", what).placeholder("SIZE")
}

/// What publishers do with a template before they put it where followers fetch it.
pub fn sign() -> Command {
    Command::new("ipfs-cluster-follow sign", "signs a configuration template")
        .arguments("<template_file>")
        .about(
            "Adds a signature to the end of a template, or puts a new one in place of the old. Followers that\n\
             were initialized with --template-key take the template from nobody else then: not from who\n\
             owns the web server or the name, and not an older one once they had a newer.\n\n\
             Other followers, Go's too, read a signed template as they read any.\n\n\
             EXAMPLE:\n\n\
             $ ipfs-cluster-follow sign --key publisher.json template.json",
        )
        .flag(
            Flag::text("key, k", "the FILE with the signer's identity; it is made when there is none")
                .placeholder("FILE"),
        )
        .flag(Flag::switch("help, h", "show help"))
}

/// What can be done with one cluster.
pub fn cluster(name: &str) -> Command {
    let help = || Flag::switch("help, h", "show help");
    let init = Command::new("init", "initializes the follower peer")
        .arguments("<template_URL>")
        .about(format!(
            "Makes ready to follow the cluster named \"{name}\": writes a new identity, and where the\n\
             configuration template is. It is fetched each time the peer starts; the last good\n\
             one is kept for times when it cannot be.\n\n\
             The template is at a URL, in a file (/path or file:), or under a DNSLink or IPNS name.\n\n\
             To begin anew, remove the follower's folder first."
        ))
        .flag(template_key())
        .flag(max_bytes())
        .flag(help());
    let run = Command::new("run", "runs the follower peer")
        .arguments("")
        .about(format!(
            "Runs the peer that follows \"{name}\" until it is interrupted. It has to be initialized\n\
             with \"init\" before, or with --init now, and its IPFS daemon has to run.\n\n\
             SIGHUP makes it fetch the template again and take the trusted peers from it;\n\
             everything else in it counts at the next start."
        ))
        .flag(Flag::text("init", "initialize cluster peer with the given URL before running"))
        .flag(template_key())
        .flag(max_bytes())
        .flag(help());
    let list = Command::new("list", "list items in the peers' pinset")
        .arguments("")
        .about(
            "Lists what this follower keeps: with the status of each item while the peer runs,\n\
             else as it stands in the database.",
        )
        .flag(help());
    let info = Command::new("info", "displays information for this peer")
        .arguments("")
        .about(format!(
            "Says whether the peer that follows \"{name}\", its IPFS daemon and its template are there;\n\
             and while it runs: how many items it keeps, how many bytes its IPFS daemon holds, whether\n\
             it is behind what others have, and when it last heard of a peer that it trusts."
        ))
        .flag(help());
    Command::new(format!("ipfs-cluster-follow {name}"), "follows a cluster")
        .arguments("")
        .command(init)
        .command(run)
        .command(list)
        .command(info)
}
