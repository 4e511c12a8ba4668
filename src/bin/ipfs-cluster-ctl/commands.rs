//! The commands, their flags and what the help says of them.
use super::common::{Command, Flag, completions};

const ABOUT: &str = "
Asks an IPFS Cluster peer over its REST API, and prints what it answers as text or as JSON.

The peer is looked for at /ip4/127.0.0.1/tcp/9094; --host names another. Several addresses,
separated by commas, are tried in turn until one can be reached; a name is tried at all its
addresses. /unix/<path> is the socket of a peer on this machine.

\"ipfs-cluster-ctl help <command>\" says more on a command.";

/// The program.
pub fn program() -> Command {
    Command::new("ipfs-cluster-ctl", "CLI for IPFS Cluster")
        .version(env!("CARGO_PKG_VERSION"))
        .about(ABOUT)
        .flag(Flag::text("host, l", "API endpoint multiaddresses (comma-separated)").default("/ip4/127.0.0.1/tcp/9094"))
        .flag(Flag::text("secret", "cluster secret (32 bytes in hex), for endpoints over libp2p only"))
        .flag(Flag::switch("https, s", "use https to connect to the API"))
        .flag(Flag::switch("no-check-certificate", "do not verify the server's certificate (with --https)"))
        .flag(Flag::text("encoding, enc", "output format [text, json]").default("text"))
        .flag(Flag::number("timeout, t", "seconds after which a request is given up; 0 is never"))
        .flag(Flag::switch("debug, d", "log requests and answers"))
        .flag(
            Flag::text("basic-auth", "<username>[:<password>]; turns https on, see --force-http")
                .env("CLUSTER_CREDENTIALS"),
        )
        .flag(Flag::switch("force-http, f", "use http although there are credentials"))
        .command(Command::new("id", "Retrieve peer information").about("Prints who the peer is that is asked."))
        .command(peers())
        .command(add())
        .command(pin())
        .command(status())
        .command(recover())
        .command(
            Command::new("version", "Retrieve cluster version")
                .arguments(" ")
                .about("Prints the peer's version; -v prints this program's."),
        )
        .command(health())
        .command(
            Command::new("doctor", "Say what is wrong with the cluster, and what to do").arguments(" ").about(
                "Asks a peer how it and the others are: API, IPFS daemons, clocks, disks, alerts.\nEnds with the exit code 1 when it found a fault.",
            ),
        )
        .command(snapshot())
        .command(log())
        .command(events())
        .command(ipfs())
        .command(rebalance())
        .command(completions::command("ipfs-cluster-ctl"))
}

/// The path of every command, one a line, depth first.
pub fn list(program: &Command) -> String {
    let below: String = program.commands.iter().map(|command| lines(&program.name, command)).collect();
    format!("{below}{0} commands\n{0} help\n", program.name)
}

fn lines(above: &str, command: &Command) -> String {
    let path = format!("{above} {}", command.name);
    let below: String = command.commands.iter().map(|command| lines(&path, command)).collect();
    format!("{path}\n{below}")
}

fn local() -> Flag {
    Flag::switch("local", "run operation only on the contacted peer")
}

/// The flags of lists that may be long.
fn parts(command: Command) -> Command {
    command
        .flag(Flag::text("name", "list only items of this name"))
        .flag(Flag::list("meta", "key=value, list only items with it, may be given many times"))
        .flag(Flag::text("created-after", "list only items that were pinned later, such as 2026-01-02T15:04:05Z"))
        .flag(Flag::number("limit", "list so many items at most"))
        .flag(Flag::text("cursor", "list only items after this CID, the last of another list"))
}

/// The flags of commands that change a pin.
fn waiting(command: Command, change: &str) -> Command {
    command
        .flag(Flag::switch("no-status, ns", &format!("do not ask for the status after {change} (faster, quieter)")))
        .flag(Flag::switch("wait, w", "wait until enough peers are done"))
        .flag(Flag::number("wait-limit, wl", "how many peers have to be done to end waiting"))
        .flag(Flag::duration("wait-timeout, wt", "how long to --wait, such as 30s; for ever when not given"))
}

fn peers() -> Command {
    let list = Command::new("ls", "list the nodes participating in the IPFS Cluster")
        .arguments(" ")
        .about("Prints who each member of the cluster is.");
    let remove = Command::new("rm", "remove a peer from the Cluster")
        .arguments("<peer ID>")
        .about("Takes a peer out of the peerset. CRDT clusters refuse that: stop the peer instead.");
    let drain = Command::new("drain", "give what a peer holds to others, before it is taken away")
        .arguments("<peer ID>")
        .about(
            "
Makes a peer ready to be taken away: it gets no new pins, and its pins get other holders. It
keeps each until enough of them have it. Prints how many pins are left. The peer stays in this
state, over restarts too, until --undo.

Pins with a replication factor of -1 are on every peer: they do not move.",
        )
        .flag(Flag::switch("undo", "let the peer have pins again; what has moved stays where it is"))
        .flag(Flag::switch("wait, w", "wait until nothing is left and the peer can be taken away"));
    Command::new("peers", "List and manage IPFS Cluster peers").command(list).command(remove).command(drain)
}

fn pin() -> Command {
    Command::new("pin", "Pin and unpin and list items in IPFS Cluster")
        .command(waiting(pin_add(), "pinning"))
        .command(waiting(
            Command::new("rm", "Unpin an item from the cluster").arguments("<CID|Path>").about(
                "
Takes an item out of the pinset, so that the IPFS daemons that hold it let go of it.
They may take longer than the command, or fail: \"status\" tells.",
            ),
            "unpinning",
        ))
        .command(waiting(pin_update(), "updating"))
        .command(parts(
            Command::new("ls", "List items in the cluster pinset")
                .arguments("[CID]")
                .about(
                    "
Prints the pinset, or one item of it, with the peers that are to hold each item. How far
they are with it is what \"status\" prints.

Filters, when all items are listed:
  - all (default)
  - pin (recursive or direct)
  - meta-pin (sharded content)
  - clusterdag-pin (the list of its shards)
  - shard-pin (one shard)",
                )
                .flag(Flag::text("filter", "comma-separated list of pin types, see above").default("all")),
        ))
}

fn pin_add() -> Command {
    Command::new("add", "Pin an item in the cluster")
        .arguments("<CID|Path>")
        .about(
            "
Puts an item into the pinset, so that the peers that are chosen for it pin it on their IPFS
daemons; then prints how far they are.

A replication factor of -1 is every peer, 0 what the peer is configured with, any other
number that many peers. Allocations are peer IDs that are preferred to the ones that the
cluster would choose.",
        )
        .flag(Flag::number("replication, r", "replication factor, instead of both --rmin and --rmax"))
        .flag(Flag::number("replication-min, rmin", "least peers that hold the item"))
        .flag(Flag::number("replication-max, rmax", "most peers that hold the item"))
        .flag(Flag::text("allocations, allocs", "comma-separated list of peer IDs to prefer"))
        .flag(Flag::text("name, n", "a name for this pin"))
        .flag(Flag::text("mode", "how to pin: recursive or direct").default("recursive"))
        .flag(Flag::text("expire-in", "duration after which the item is unpinned, such as 24h"))
        .flag(Flag::list("metadata", "key=value, may be given many times"))
        .flag(Flag::text("from-file", "pin each line of a file (\"-\" is stdin): a CID, or a pin in JSON"))
}

fn pin_update() -> Command {
    Command::new("update", "Pin a new item based on an existing one")
        .arguments("<existing-CID> <new-CID|Path>")
        .about(
            "
Pins a new item with all options of an existing one and on the same peers, whose IPFS
daemons then fetch only what differs. The existing item stays pinned: see \"pin rm\".",
        )
        .flag(Flag::text("name, n", "a name for the new pin"))
        .flag(Flag::text("expire-in", "duration after which the new item is unpinned, such as 24h"))
}

fn status() -> Command {
    let status = Command::new("status", "Retrieve the status of tracked items")
        .arguments("[CID1] [CID2]...")
        .about(
            "
Prints how far each peer is with the items that are named, or with all.

With --filter only what is in one of these states, separated by commas:

  - cluster_error
  - error
  - pin_error
  - pin_queued
  - pinned
  - pinning
  - queued
  - remote
  - sharded
  - unexpectedly_unpinned
  - unpin_error
  - unpin_queued
  - unpinned
  - unpinning",
        )
        .flag(local())
        .flag(Flag::text("filter", "comma-separated list of filters"));
    parts(status)
}

fn recover() -> Command {
    Command::new("recover", "Recover tracked items in error state")
        .arguments("[CID]")
        .about(
            "
Makes peers try again what failed, for one item or for all, and prints what is tried.",
        )
        .flag(local())
}

fn health() -> Command {
    let graph = Command::new("graph", "create a graph displaying connectivity of cluster peers")
        .about("Prints which peers and IPFS daemons see each other, in the DOT language.")
        .flag(Flag::text("file, f", "a file to write the graph to"))
        .flag(Flag::switch("all-ipfs-peers", "show IPFS daemons of no cluster peer too"));
    let metrics = Command::new("metrics", "List latest metrics logged by this peer").arguments("<metric name>").about(
        "
Prints the names of the metrics that the peer knows, or the latest value of one metric of
each member, such as \"ping\" or \"freespace\".",
    );
    let alerts = Command::new("alerts", "List the latest expired metric alerts")
        .about("Prints which metrics of which peers expired, newest first.");
    let bandwidth = Command::new("bandwidth", "Lists bandwidth stats for libp2p protocols")
        .about("Prints bytes in and out of each protocol between peers.");
    let replication = Command::new("replication", "Show how the replication of this peer stands").about(
        "
Prints whether the peer has what the others have, what waits, how long its log is, and what
was noticed: forks, damage, joins. The peer has all that it heard of when it is in sync.",
    );
    let live = Command::new("live", "Probe whether the peer runs")
        .about("Exits with 0 when the peer runs, with 1 when it does not: for probes that restart it.");
    let ready = Command::new("ready", "Probe whether the peer reads and writes pins")
        .about("Exits with 0 when the peer can be asked, with 1 when not: for probes that choose whom to ask.");
    let synced = Command::new("synced", "Probe whether the peer has all changes that it heard of")
        .about("Exits with 0 when the peer has what the others have, with 1 when it is behind them.");
    let pins = Command::new("pins", "Count the pins, and the peer's own by status").about(
        "
Prints how many pins there are, and how many of those that the peer is to hold stand where.
It is as fast with millions of pins as with one.",
    );
    Command::new("health", "Cluster monitoring information")
        .command(graph)
        .command(metrics)
        .command(alerts)
        .command(bandwidth)
        .command(replication)
        .command(live)
        .command(ready)
        .command(synced)
        .command(pins)
}

fn log() -> Command {
    let level =
        Command::new("level", "Show the levels of the peer's log, or set one").arguments("[component] <level>").about(
            "
Prints the level of each component of the peer's log. With a level (debug, info, warn, error)
sets it first: of the component that is named, or of all; until the peer ends.",
        );
    Command::new("log", "What a peer logs, while it runs").command(level)
}

fn snapshot() -> Command {
    let save = Command::new("save", "save a copy of the pinset to a file").arguments("<file>").about(
        "
Makes a copy of the whole pinset with all that the peer holds now, while it runs, and writes
it to a file (\"-\" is stdout). \"ipfs-cluster-service state import --format snapshot <file>\"
starts a new peer from it.",
    );
    Command::new("snapshot", "Copies of the pinset to take away").command(save)
}

fn events() -> Command {
    Command::new("events", "Follow what happens to pins")
        .arguments(" ")
        .about(
            "
Prints what happens to pins, as it happens, until the peer goes down: \"pin\" (added or
changed), \"unpin\", and \"status\" when the peer is done with an item, or failed. Each has an
ID to go on after later. \"reset\" says that events were missed: list all then.",
        )
        .flag(Flag::text("since", "ID of the event to go on after; 0 is before the oldest that is kept"))
}

fn ipfs() -> Command {
    let collect = Command::new("gc", "run garbage collection on IPFS repos of cluster peers")
        .about("Makes the IPFS daemons of all peers free what is not pinned.")
        .flag(local());
    Command::new("ipfs", "Manage IPFS daemon").command(collect)
}

fn rebalance() -> Command {
    Command::new("rebalance", "Move copies to peers that have room")
        .arguments(" ")
        .about(
            "
Moves copies of pins from peers that hold too much to peers that have room, such as after
peers were added. Prints each copy that moves, then what the peers have. Look first, with
--dry-run; what it says moves in the same way without it, unless something changes.

Peers are balanced by the metric that the allocator chooses them by: freespace or
reposize. Peers that are within a twentieth of it stay as they are. No pin gets fewer copies,
and a peer keeps a copy until the others have it. No copy goes where the tags of its pin's
holders would be less spread; those that spread them better go first. Pins with a
replication factor of -1 are on every peer and stay. A pin does not remember which peers
its user asked for: it moves as the others.

It goes at the speed of repairs, \"cluster.repin_bytes_per_second\" of the peer that is
asked, for as long as it takes. Ctrl-C ends it: what has moved stays, and the next run goes
on. Ask the same peer again: it remembers for a day what it has moved, before daemons say
so. Sizes are those that it knows, of what it holds; the others count as their mean.",
        )
        .flag(Flag::switch("dry-run", "say what would move, and move nothing"))
        .flag(Flag::text("max-bytes", "end before more than this has moved, such as 500GB or 1TiB"))
}

fn add() -> Command {
    Command::new("add", "Add a file or directory to ipfs and pin it in the cluster")
        .arguments("<path>")
        .about("Adds files to IPFS and pins them.")
        .flag(Flag::switch("recursive, r", "add directory paths recursively"))
        .flag(Flag::switch("quiet, q", "write only hashes, one a line"))
        .flag(Flag::switch("quieter, Q", "write only the last hash"))
        .flag(Flag::switch("no-stream", "write all at the end, as one array in JSON"))
        .flag(Flag::switch("local", "add to the local peer but pin normally"))
        .flag(Flag::text("name, n", "a name for this pin"))
        .flag(Flag::number("replication-min, rmin", "least peers that hold the item"))
        .flag(Flag::number("replication-max, rmax", "most peers that hold the item"))
        .flag(Flag::text("expire-in", "duration after which the item is unpinned, such as 24h"))
        .flag(Flag::list("metadata", "key=value, may be given many times"))
        .flag(Flag::text("allocations, allocs", "comma-separated list of peer IDs to prefer"))
        .flag(Flag::switch("no-pin", "do not pin after adding"))
        .flag(Flag::switch("wait", "wait until enough peers are done"))
        .flag(Flag::duration("wait-timeout, wt", "how long to --wait, such as 30s; for ever when not given"))
        .flag(Flag::switch("wrap-with-directory, w", "wrap with a directory"))
        .flag(Flag::text("format", "'unixfs' or 'car'").default("unixfs"))
        .flag(Flag::text("layout", "balanced or trickle"))
        .flag(Flag::switch("hidden, H", "include hidden files"))
        .flag(Flag::text("chunker, s", "'size-<size>' or 'rabin-<min>-<avg>-<max>'").default("size-262144"))
        .flag(Flag::switch("raw-leaves", "use raw blocks for leaves"))
        .flag(Flag::number("cid-version", "CID version; 1 implies raw leaves"))
        .flag(Flag::text("hash", "hash function; others than the default imply version 1").default("sha2-256"))
        .flag(Flag::switch("nocopy", "add a URL without a copy; implies raw leaves"))
}

#[cfg(test)]
mod tests;
