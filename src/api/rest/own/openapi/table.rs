//! Every method of every path that the router has.
use std::collections::BTreeMap;

use schemars::SchemaGenerator;
use serde_json::Value;

use super::operation::{Operation, Shape, delete, get, lines, one, post};
use super::parameters::{LAST_EVENT, LEVEL, LOCAL, OPTIONS, PART, REBALANCE, STATUSES, TYPES, WAIT};
use crate::wire::rest::rebalance::{Balance, Shift};
use crate::wire::rest::{
    AddPeer, Alert, Bandwidth, ConnectGraph, Drain, Error, Event, GlobalPinInfo, GlobalRepoGc, Metric, PeerInfo, Pin,
    PinCounts, PinOutcome, ReplicationHealth, Token, Version,
};

/// All operations, in the order of the router.
pub(super) fn operations() -> Vec<Operation> {
    let parts = [peers(), pinset(), pins(), statuses(), paths(), monitor(), health(), own()];
    parts.into_iter().flatten().collect()
}

fn peers() -> Vec<Operation> {
    vec![
        get("/id", "id", "Who the peer is.").gives::<PeerInfo>(),
        get("/version", "version", "The peer's version.").gives::<Version>(),
        get("/peers", "peers", "Who the members are, as they answer.").lists::<PeerInfo>(),
        post("/peers", "addPeer", "Who a peer is; nobody has to be added to the peerset.")
            .takes(one::<AddPeer>())
            .gives::<PeerInfo>(),
        delete("/peers/{peer}", "removePeer", "Refused: members are those who are heard."),
        get("/peers/{peer}/drain", "drained", "How far a peer is with being drained.").gives::<Drain>(),
        post("/peers/{peer}/drain", "drain", "Gives what a peer holds to others, and nothing new to it.")
            .gives::<Drain>(),
        delete("/peers/{peer}/drain", "undrain", "Ends that; what has moved stays where it is.").gives::<Drain>(),
    ]
}

fn pinset() -> Vec<Operation> {
    vec![
        get("/allocations", "allocations", "The pinset, or a part of it.").with(&[TYPES]).with(&PART).lists::<Pin>(),
        get("/allocations/{hash}", "allocation", "A pin.").with(&OPTIONS).gives::<Pin>().or_absent(),
    ]
}

fn pins() -> Vec<Operation> {
    vec![
        get("/pins", "statuses", "Where the pins stand, or a part of them, on each peer.")
            .with(&[LOCAL])
            .with(&STATUSES)
            .with(&PART)
            .lists::<GlobalPinInfo>(),
        post("/pins", "pinLines", "Pins what each line says, and answers each line when its pin is on disk.")
            .takes(lines::<Pin>())
            .answers(200, "What became of each line, in order.", lines::<PinOutcome>())
            .answers(204, "There was no line.", Shape::Nothing),
        get("/pins/counts", "counts", "How many pins there are, and where the peer stands with its own.")
            .gives::<PinCounts>(),
        post("/pins/recover", "recoverAll", "Tries again what failed.").with(&[LOCAL]).lists::<GlobalPinInfo>(),
        post("/pins/sync", "syncAll", "As /pins/recover.").with(&[LOCAL]).lists::<GlobalPinInfo>().old(),
    ]
}

fn statuses() -> Vec<Operation> {
    vec![
        get("/pins/{hash}", "status", "Where a CID stands on each peer, pinned or not.")
            .with(&[LOCAL])
            .with(&OPTIONS)
            .gives::<GlobalPinInfo>(),
        pinning(post("/pins/{hash}", "pin", "Pins a CID.")),
        delete("/pins/{hash}", "unpin", "Unpins a CID.").with(&OPTIONS).gives::<Pin>().or_absent(),
        recovering(post("/pins/{hash}/recover", "recover", "Tries a pin again that failed.")),
        recovering(post("/pins/{hash}/sync", "sync", "As recover.")).old(),
    ]
}

fn pinning(operation: Operation) -> Operation {
    let submitted: fn(&mut SchemaGenerator) -> _ = |generator| {
        let either = [generator.subschema_for::<Pin>(), generator.subschema_for::<GlobalPinInfo>()];
        schemars::json_schema!({ "anyOf": either })
    };
    operation
        .with(&OPTIONS)
        .with(&WAIT)
        .answers(200, "The pin as submitted, which is on disk; with wait, where it stands.", Shape::One(submitted))
        .answers(202, "With wait: it is in the pinset, and not held yet or failed.", one::<GlobalPinInfo>())
        .or_absent()
}

fn recovering(operation: Operation) -> Operation {
    operation.with(&[LOCAL]).with(&OPTIONS).gives::<GlobalPinInfo>().or_absent()
}

fn paths() -> Vec<Operation> {
    let of = |path, pin, unpin| {
        let about = "Unpins what a path leads to.";
        let unpin = delete(path, unpin, about).with(&OPTIONS).gives::<Pin>().or_absent();
        [pinning(post(path, pin, "Pins what a path leads to.")), unpin]
    };
    let all = [
        of("/pins/ipfs/{*path}", "pinIpfs", "unpinIpfs"),
        of("/pins/ipns/{*path}", "pinIpns", "unpinIpns"),
        of("/pins/ipld/{*path}", "pinIpld", "unpinIpld"),
    ];
    all.into_iter().flatten().collect()
}

fn monitor() -> Vec<Operation> {
    vec![
        get("/monitor/metrics", "metricNames", "The names of metrics.").gives::<Vec<String>>(),
        get("/monitor/metrics/{name}", "metrics", "The latest metric of each peer.").gives::<Vec<Metric>>(),
        post("/token", "token", "A token for who is logged in.").gives::<Token>(),
        post("/ipfs/gc", "gc", "Lets the IPFS daemons free what nobody has pinned.")
            .with(&[LOCAL])
            .gives::<GlobalRepoGc>(),
    ]
}

fn health() -> Vec<Operation> {
    let probe =
        |path, id, about| get(path, id, about).gives::<Error>().answers(503, "It is not.", one::<Error>()).open();
    vec![
        get("/health", "health", "Whether the peer answers.").answers(204, "It does.", Shape::Nothing).open(),
        probe("/livez", "live", "Whether the peer runs."),
        probe("/readyz", "ready", "Whether the peer reads and writes pins."),
        probe("/syncedz", "synced", "Whether the peer has all changes that it heard of."),
        get("/health/graph", "graph", "Who is connected with whom.").gives::<ConnectGraph>(),
        get("/health/bandwidth", "bandwidth", "Bytes between peers by protocol.").gives::<Option<Bandwidth>>(),
        get("/health/alerts", "alerts", "Which metrics expired, newest first.").gives::<Vec<Alert>>(),
        get("/health/replication", "replication", "How the replication stands.").gives::<ReplicationHealth>(),
    ]
}

fn own() -> Vec<Operation> {
    let event: fn(&mut SchemaGenerator) -> _ = SchemaGenerator::subschema_for::<Event>;
    let rebalanced: fn(&mut SchemaGenerator) -> _ = |generator| {
        let either = [generator.subschema_for::<Shift>(), generator.subschema_for::<Balance>()];
        schemars::json_schema!({ "anyOf": either })
    };
    vec![
        post("/rebalance", "rebalance", "Moves copies from peers that hold too much to peers that have room.")
            .with(&REBALANCE)
            .answers(200, "A line for each copy that moves, then what came of it.", Shape::Lines(rebalanced)),
        get("/events", "events", "What happens to the pins, for as long as somebody listens.")
            .with(&[LAST_EVENT])
            .answers(200, "Server-sent events; each has its document in its data.", Shape::Events(event)),
        get("/snapshot", "snapshot", "A copy of the pinset to take away.").answers(200, "A file.", Shape::Bytes),
        get("/log/levels", "logLevels", "What each component logs.").gives::<BTreeMap<String, String>>(),
        post("/log/levels", "setLogLevel", "Sets what a component logs until the peer ends.")
            .with(&LEVEL)
            .gives::<BTreeMap<String, String>>(),
        get("/openapi.json", "openapi", "This document.").gives::<Value>().open(),
    ]
}
