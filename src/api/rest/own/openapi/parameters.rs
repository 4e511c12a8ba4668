//! The parameters that routes share.
use super::operation::{Kind, Parameter};

const fn text(name: &'static str, about: &'static str) -> Parameter {
    Parameter { name, about, kind: Kind::Text }
}

const fn number(name: &'static str, about: &'static str) -> Parameter {
    Parameter { name, about, kind: Kind::Number }
}

const fn metadata(about: &'static str) -> Parameter {
    Parameter { name: "metadata", about, kind: Kind::Metadata }
}

pub(super) const LOCAL: Parameter = Parameter {
    name: "local",
    about: "Whether only the peer that is asked answers; all members do otherwise.",
    kind: Kind::OneOf(&["true", "false", ""]),
};

pub(super) const LEVEL: [Parameter; 2] =
    [text("component", "A component's name; all when it is not given."), text("level", "debug, info, warn or error.")];

/// How peers are balanced.
pub(super) const REBALANCE: [Parameter; 2] = [
    Parameter {
        name: "dry-run",
        about: "Whether it is only said what would move.",
        kind: Kind::OneOf(&["true", "false", ""]),
    },
    text("max-bytes", "Ends before more bytes than this have moved, such as 500GB or 1TiB."),
];

pub(super) const TYPES: Parameter =
    text("filter", "Comma list of pin, meta-pin, clusterdag-pin, shard-pin and all, which is the default.");

pub(super) const STATUSES: [Parameter; 2] = [
    text("filter", "Comma list of statuses, such as pinned,pin_error,queued; all when it is empty."),
    text(
        "cids",
        "Comma list of CIDs whose status alone is wanted; the other parameters but local are passed over then.",
    ),
];

/// How a pin is to be kept.
pub(super) const OPTIONS: [Parameter; 12] = [
    text("name", "A label."),
    Parameter {
        name: "mode",
        about: "recursive, or direct for the root alone, which only the routes of a path heed.",
        kind: Kind::Text,
    },
    number("replication", "Stands for both of the following."),
    number("replication-min", "Fewer peers than this that can hold it are a failure; -1 is all, 0 the peer's default."),
    number("replication-max", "No more peers than this hold it; -1 is all, 0 the peer's default."),
    number("shard-size", "Bytes of a shard."),
    text("user-allocations", "Comma list of peer IDs that are preferred."),
    text("expire-at", "When it is unpinned, in RFC 3339."),
    text("expire-in", "After how long it is unpinned, such as 24h; at least 1s."),
    text("pin-update", "CID of a pin whose options and peers are taken over."),
    text("origins", "Comma list of multiaddresses, with peer IDs, of who has the content."),
    metadata("meta-KEY=VALUE: a key and a value of the user's."),
];

/// Waiting for a pin.
pub(super) const WAIT: [Parameter; 2] = [
    Parameter {
        name: "wait",
        about: "Whether the answer waits until as many peers hold the pin as it asks for.",
        kind: Kind::OneOf(&["pinned", ""]),
    },
    text("timeout", "How long it waits, from 1s to 1h; 1m when this is not given."),
];

/// Parts of the pinset.
pub(super) const PART: [Parameter; 5] = [
    number("limit", "Rows of a page, from 1 to 10000. Without it the answer is a stream of all rows."),
    text("cursor", "The X-Next-Cursor of the page before."),
    text("name", "Only pins of this name."),
    text("created-after", "Only pins that were made after this moment, in RFC 3339."),
    metadata("meta-KEY=VALUE: only pins that have this key with this value."),
];

pub(super) const LAST_EVENT: Parameter =
    text("last-event-id", "As the header Last-Event-ID: what listening goes on after.");
