//! What the swarm counts.
use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// The counters of a running swarm.
        #[derive(Debug, Default)]
        pub struct Counters { $($(#[$doc])* pub $name: Counter,)* }

        /// What happened since the swarm started.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Counts { $($(#[$doc])* pub $name: u64,)* }

        impl Counts {
            /// Returns each with its name, in the order of the fields.
            #[must_use]
            pub fn named(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name)),*]
            }
        }

        impl Counters {
            /// Returns all of them.
            #[must_use]
            pub fn snapshot(&self) -> Counts {
                Counts { $($name: self.$name.get(),)* }
            }
        }
    };
}

counters! {
    /// Own messages handed to gossip.
    published,
    /// Own messages that did not leave: nobody is subscribed, or queues are full.
    publish_failed,
    /// Messages that became events.
    gossip_received,
    /// Messages not handed on because the event queue was full.
    gossip_dropped,
    /// Messages not handed on because their author or relay was above its rate.
    gossip_limited,
    /// Inbound streams that became events.
    streams_accepted,
    /// Inbound streams reset because the event queue was full.
    streams_dropped,
    /// Dials begun.
    dials,
    /// Dials that failed in whatever way.
    dials_failed,
    /// Dials that reached an address whose handshake failed: a wrong secret, or not a cluster peer.
    dials_refused,
    /// Inbound connections whose handshake failed: a wrong secret, or not a cluster peer.
    handshakes_refused,
    /// Peers found on the local network.
    mdns_found,
    /// Found peers that could not be connected to.
    mdns_failed,
    /// Peers disconnected because gossip from them had ceased.
    watchdog_disconnects,
    /// Commands refused because the command queue was full.
    commands_dropped,
    /// Calls answered, with an error of the method's own, too.
    calls_served,
    /// Calls that the caller may not make, or that nobody serves.
    calls_refused,
    /// Calls whose bytes are no call.
    calls_malformed,
    /// Calls whose stream broke or stood still.
    calls_broken,
    /// Calls reset because too many were being answered.
    calls_dropped,
}
