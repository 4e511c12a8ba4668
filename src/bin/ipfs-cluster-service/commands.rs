//! The commands with their flags and help.
use std::path::PathBuf;

use crate::common::{Command, Flag, completions};

const ABOUT: &str = "\
Runs a peer of an IPFS Cluster.

The peers of a cluster share one pinset: the list of what is to be kept. Each
peer makes its own IPFS daemon hold its part of it, and offers an HTTP API
through which ipfs-cluster-ctl and other programs read and change the pinset.

    ipfs-cluster-ctl --HTTP--> peer --HTTP--> IPFS daemon
                                 |
                               libp2p, private to those who have the secret
                                 |
                               peer --HTTP--> IPFS daemon

A peer needs a configuration and an identity, which \"init\" makes:
~/.ipfs-cluster/service.json and ~/.ipfs-cluster/identity.json.

EXAMPLES:

Make a configuration:

$ ipfs-cluster-service init

Run the peer:

$ ipfs-cluster-service daemon

Run a peer that joins others:

$ ipfs-cluster-service daemon --bootstrap /ip4/192.0.2.2/tcp/9096/p2p/<peer ID>

Log more of some parts; levels are error, warn, info and debug:

$ ipfs-cluster-service --loglevel info,cluster:debug,pintracker:debug daemon";

const INIT: &str = "\
Makes service.json, and identity.json when there is none.

With a URL, service.json only points to it: the configuration is fetched
from there each time the daemon starts. Without one, it is a configuration
with all defaults and a new cluster secret. A secret of your own is asked for
with --custom-secret, or taken from the variable CLUSTER_SECRET; every other
CLUSTER_* variable is written into the file too.

--force overwrites service.json without asking. identity.json is never
overwritten: remove it first to get a new one.

The peerstore file is made empty, or with the addresses of --peers, whose
peers then are the trusted ones (\"trusted_peers\").";

const DAEMON: &str = "\
Runs the peer until it is interrupted, with the configuration that \"init\" made.

It serves the REST API (port 9094, this machine only) and talks to the other
peers (port 9096), which need the same secret. Its IPFS daemon may come and go:
pins wait for it, and \"ipfs-cluster-ctl status\" says so.

--bootstrap names peers to begin with, such as /ip4/192.0.2.2/tcp/9096/p2p/<peer ID>.
They are trusted unless --no-trust is given. Peers remember each other, so that
later starts need it no more.

With --init a first start makes the configuration and the identity, with all
CLUSTER_* variables in it: what a container needs, and no other step.

SIGINT and SIGTERM stop the peer. What was accepted is on disk already. SIGHUP
makes it read the trusted peers (\"trusted_peers\") anew: changes of those who
are added and that wait for it count at once; what those who are removed wrote
before stays. All other settings are read at the start alone.";

const EXPORT: &str = "\
Writes the pinset of this peer to stdout or a file: to move it, to keep a copy,
or to put it into another cluster.

--format json is one object a line, which the Go programs read too.
--format automerge is an Automerge document: the maps \"000\" to \"fff\" in its
root hold a pin's record under the key of its CID. Any program with Automerge
loads it.
--format snapshot is what peers give each other: small, quick, and signed, with
the clock that tells its pins from later ones.";

const IMPORT: &str = "\
Replaces the pinset of this peer with an exported one, read from a file or,
without one, from stdin. The old pinset is there until all of the new one is
read: a fault in the input, or the end of this program, changes nothing.

An import that was interrupted goes on with --resume and the same input and
flags: what is in already is passed over.

--format automerge reads what \"export\" writes, of any size, and any Automerge
document of that form, as long as it fits into memory.

--format snapshot reads what \"export\" and \"ipfs-cluster-ctl snapshot save\"
write. It is believed when a trusted peer has signed it. The peer is then as if
it had joined the cluster: it gets from other peers only what is newer.";

const VERIFY: &str = "\
Reads the whole pinset of this peer and recomputes what follows from it: the
digest that peers compare, the counters, the index of the pins that expire, and
whether the clock has seen every entry and the log ends where the clock does.

It prints what it found and \"ok\", or each fault with what to do about it, and
then ends with the exit code 1. It changes nothing, and needs the memory of one
pin however many there are.

$ ipfs-cluster-service state verify
epoch:   0
pins:    1000000
entries: 1000002
changes: 2001
digest:  5f0e...
ok";

const NEW_EPOCH: &str = "\
Begins the cluster anew, with the pins of one peer and without its history: what
makes a cluster forget the changes of peers that are gone, or of one that was
not to be trusted, and what gives it new room when its operations are used up.

A new epoch takes all peers, in this order: stop all of them; run this on one,
whose pins are kept; run it with --empty on all others; start them. The others
then get the pinset from the first. Until a peer is in the new epoch it is kept
out, and named in the others' logs. Followers begin anew by themselves once
their template has the new epoch.

It raises consensus.crdt.epoch in service.json by one and makes the pinset anew.
If it is interrupted, the old epoch is as it was, or the daemon says that the two
differ: then run it again. Where service.json comes from elsewhere, or the
variable CLUSTER_CRDT_EPOCH says the epoch, raise it there first.

$ ipfs-cluster-service state new-epoch            # on one peer
$ ipfs-cluster-service state new-epoch --empty    # on all others";

const DOCTOR: &str = "\
Checks configuration, secret, identity, ports, addresses, clock, trust, engine,
IPFS daemon, disk and template of this peer, whether it runs or not. Each thing
that is wrong is named with what to do about it. It changes nothing, and ends
with the exit code 1 when it found a fault; a warning is none.";

const CLEANUP: &str = "\
Removes the pinset and all that goes with it from this peer. Its next start
is like its first: it may have to get everything from other peers.";

/// The program with all its commands.
pub fn program() -> Command {
    Command::new("ipfs-cluster-service", "IPFS Cluster peer")
        .version(env!("CARGO_PKG_VERSION"))
        .about(ABOUT)
        .flag(
            Flag::text("config, c", "path to the configuration and data FOLDER")
                .placeholder("FOLDER")
                .default(default_folder().display().to_string())
                .env("IPFS_CLUSTER_PATH"),
        )
        .flag(Flag::switch("force, f", "forcefully proceed with some actions. i.e. overwriting configuration"))
        .flag(Flag::switch("debug, d", "enable full debug logging (very verbose)"))
        .flag(Flag::text("loglevel, l", "set overall and component-wise log levels").env("IPFS_CLUSTER_LOG_LEVEL"))
        .command(init())
        .command(daemon())
        .command(Command::new("id", "Prints the peer ID"))
        .command(doctor())
        .command(state())
        .command(Command::new("version", "Prints the ipfs-cluster version"))
        .command(completions::command("ipfs-cluster-service"))
}

fn default_folder() -> PathBuf {
    PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".ipfs-cluster")
}

fn init() -> Command {
    Command::new("init", "Creates a configuration and generates an identity")
        .arguments("[http-source-url]")
        .about(INIT)
        .flag(Flag::text("consensus", "select consensus: 'crdt' or 'raft'").default("crdt"))
        .flag(Flag::text("datastore", "select datastore: 'badger', 'badger3', 'leveldb' or 'pebble'").default("pebble"))
        .flag(Flag::switch("custom-secret, s", "prompt for the cluster secret (when no source specified)"))
        .flag(Flag::text("peers", "comma-separated list of multiaddresses to init with (see help)"))
        .flag(Flag::switch("force, f", "overwrite configuration without prompting"))
        .flag(Flag::switch("randomports", "configure random ports to listen on instead of defaults"))
}

fn daemon() -> Command {
    Command::new("daemon", "Runs the IPFS Cluster peer")
        .about(DAEMON)
        .flag(Flag::switch("upgrade, u", "run state migrations before starting (deprecated/unused)"))
        .flag(Flag::text(
            "bootstrap, j",
            "join a cluster providing a comma-separated list of existing peers multiaddress(es)",
        ))
        .flag(Flag::switch("leave, x", "remove peer from cluster on exit. Overrides \"leave_on_shutdown\"").hidden())
        .flag(Flag::switch("init", "run \"init\" first if there is no configuration"))
        .flag(Flag::switch("stats", "enable stats collection"))
        .flag(Flag::switch("tracing", "enable tracing collection"))
        .flag(Flag::switch("no-trust", "do not trust bootstrap peers (only for \"crdt\" consensus)"))
}

fn doctor() -> Command {
    Command::new("doctor", "Says what is wrong with this peer, and what to do")
        .about(DOCTOR)
        .flag(Flag::text("encoding, enc", "output format [text, json]").default("text"))
}

fn state() -> Command {
    let crdt = Command::new("crdt", "CRDT-state commands")
        .command(Command::new("info", "Print information about the CRDT store"))
        .command(
            Command::new("dot", "Write the CRDT-DAG as DOT file")
                .flag(Flag::text("file, f", "writes to an output file")),
        )
        .command(Command::new("mark-dirty", "Marks the CRDT-store as dirty"))
        .command(Command::new("mark-clean", "Marks the CRDT-store as clean"));
    let export = Command::new("export", "save the state to a JSON file")
        .about(EXPORT)
        .flag(format())
        .flag(Flag::text("file, f", "writes to an output file"));
    let import = Command::new("import", "load the state from a file produced by 'export'")
        .about(IMPORT)
        .flag(format())
        .flag(Flag::switch("resume", "go on with an import that was interrupted"))
        .flag(Flag::switch("force, f", "skips confirmation prompt"))
        .flag(Flag::number("replication-min, rmin", "Overwrite replication-factor-min for all pins on import"))
        .flag(Flag::number("replication-max, rmax", "Overwrite replication-factor-max for all pins on import"))
        .flag(Flag::text(
            "allocations, allocs",
            "Overwrite allocations for all pins on import. Comma-separated list of peer IDs",
        ));
    let cleanup = Command::new("cleanup", "remove persistent data")
        .about(CLEANUP)
        .flag(Flag::switch("force, f", "skip confirmation prompt"));
    let verify = Command::new("verify", "check that the state is whole").about(VERIFY);
    let new_epoch = Command::new("new-epoch", "begin the cluster anew, with the pins of one peer")
        .about(NEW_EPOCH)
        .flag(Flag::switch("force, f", "skip confirmation prompt"))
        .flag(Flag::switch("empty", "without the pins of this peer: they come from another"));
    Command::new("state", "Manages the peer's persistent state (pinset)")
        .command(crdt)
        .command(export)
        .command(import)
        .command(verify)
        .command(new_epoch)
        .command(cleanup)
}

fn format() -> Flag {
    Flag::text("format", "how the pinset is written: 'json', 'automerge' or 'snapshot'").default("json")
}
