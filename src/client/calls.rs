//! The calls, one a route.
use std::collections::BTreeMap;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use hyper::Method;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::de::DeserializeOwned;

use super::documents::documents;
use super::error::Error;
use super::request::Client;
use crate::model::{Cid, Draining, PeerId, PinOptions, Probe};
use crate::wire::rest::rebalance::Rebalanced;
use crate::wire::rest::{
    self, Alert, Bandwidth, ConnectGraph, ContentPath, Drain, GlobalPinInfo, GlobalRepoGc, Metric, PeerInfo, Pin,
    PinCounts, ReplicationHealth, Version, options_to_query,
};

/// What paths have to escape besides controls; slashes stay.
const PATH: AsciiSet = CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// Documents as they come; an error is the last item.
pub type Documents<T> = BoxStream<'static, Result<T, Error>>;

impl Client {
    /// Who the peer is.
    ///
    /// # Errors
    /// [`Error`], as all calls.
    pub async fn id(&self) -> Result<PeerInfo, Error> {
        self.call(Method::GET, "/id").await
    }

    /// The peer's version.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn version(&self) -> Result<String, Error> {
        Ok(self.call::<Version>(Method::GET, "/version").await?.version)
    }

    /// Whether the peer is up.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn health(&self) -> Result<(), Error> {
        self.send(Method::GET, "/health").await.map(drop)
    }

    /// What the peer answers to a probe: code 200 or 503, and why.
    ///
    /// # Errors
    /// [`Error`], with code 404 of a peer that knows no such thing.
    pub async fn probe(&self, probe: Probe) -> Result<rest::Error, Error> {
        match self.call(Method::GET, probe.path()).await {
            Err(Error { code: 503, message, .. }) => Ok(rest::Error { code: 503, message, ..rest::Error::default() }),
            answer => answer,
        }
    }

    /// How many pins there are, and where the peer that is asked stands with its own.
    ///
    /// # Errors
    /// [`Error`], with code 400 of a peer that knows no such thing.
    pub async fn pin_counts(&self) -> Result<PinCounts, Error> {
        self.call(Method::GET, "/pins/counts").await
    }

    /// The levels of the log of the peer that is asked, by component.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn log_levels(&self) -> Result<BTreeMap<String, String>, Error> {
        self.call(Method::GET, "/log/levels").await
    }

    /// Sets the level of a component of the peer's log, or of `all`; returns the levels of all.
    ///
    /// # Errors
    /// [`Error`], with code 400 where one of the two is unknown.
    pub async fn set_log_level(&self, component: &str, level: &str) -> Result<BTreeMap<String, String>, Error> {
        let path = format!("/log/levels?component={}&level={}", escaped(component), escaped(level));
        self.call(Method::POST, &path).await
    }

    /// Who is connected with whom.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn graph(&self) -> Result<ConnectGraph, Error> {
        self.call(Method::GET, "/health/graph").await
    }

    /// Bytes between peers by protocol; `None` when the peer counts none.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn bandwidth(&self) -> Result<Option<Bandwidth>, Error> {
        self.call(Method::GET, "/health/bandwidth").await
    }

    /// Lets the daemons collect what nobody has pinned; with `local` that of the peer that is asked.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn gc(&self, local: bool) -> Result<GlobalRepoGc, Error> {
        self.call(Method::POST, &format!("/ipfs/gc?local={local}")).await
    }

    /// All members, as they answer.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn peers(&self) -> Result<Documents<PeerInfo>, Error> {
        self.stream(Method::GET, "/peers").await
    }

    /// Takes a peer out of the peerset.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn remove_peer(&self, peer: PeerId) -> Result<(), Error> {
        self.send(Method::DELETE, &format!("/peers/{peer}")).await.map(drop)
    }

    /// Begins or ends to drain a peer, or only looks; returns how far that is.
    ///
    /// # Errors
    /// [`Error`], with code 404 when the peer that is asked knows no such thing.
    pub async fn drain(&self, peer: PeerId, what: Draining) -> Result<Drain, Error> {
        let method = match what {
            Draining::Look => Method::GET,
            Draining::Begin => Method::POST,
            Draining::End => Method::DELETE,
        };
        self.call(method, &format!("/peers/{peer}/drain")).await
    }

    /// Moves copies to peers that have room, or says which would, until so many bytes have; returns them as they move, and
    /// last what came of it. Who stops reading ends it.
    ///
    /// # Errors
    /// [`Error`], with code 404 of a peer that knows no such thing.
    pub async fn rebalance(&self, dry_run: bool, max_bytes: Option<u64>) -> Result<Documents<Rebalanced>, Error> {
        let max_bytes = max_bytes.map_or_else(String::new, |max| format!("&max-bytes={max}"));
        self.stream(Method::POST, &format!("/rebalance?dry-run={dry_run}{max_bytes}")).await
    }

    /// Pins what a path leads to; returns the pin as submitted.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn pin(&self, path: &ContentPath, options: &PinOptions) -> Result<Pin, Error> {
        self.call(Method::POST, &format!("/pins{}?{}", escaped(path.as_str()), options_to_query(options))).await
    }

    /// Unpins what a path leads to; returns the pin as it was.
    ///
    /// # Errors
    /// [`Error`], with code 404 when it is not pinned.
    pub async fn unpin(&self, path: &ContentPath) -> Result<Pin, Error> {
        self.call(Method::DELETE, &format!("/pins{}", escaped(path.as_str()))).await
    }

    /// The pin of a CID.
    ///
    /// # Errors
    /// [`Error`], with code 404 when it is not pinned.
    pub async fn allocation(&self, cid: Cid) -> Result<Pin, Error> {
        self.call(Method::GET, &format!("/allocations/{cid}")).await
    }

    /// The pinset, or the pins whose kind is in the comma list `filter`.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn allocations(&self, filter: &str) -> Result<Documents<Pin>, Error> {
        self.stream(Method::GET, &format!("/allocations?filter={}", value(filter))).await
    }

    /// The status of one CID on all peers, or on the one that is asked.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn status(&self, cid: Cid, local: bool) -> Result<GlobalPinInfo, Error> {
        self.call(Method::GET, &format!("/pins/{cid}?local={local}")).await
    }

    /// The status of several CIDs.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn status_cids(&self, cids: &[Cid], local: bool) -> Result<Documents<GlobalPinInfo>, Error> {
        let cids = cids.iter().map(Cid::to_string).collect::<Vec<_>>().join(",");
        self.stream(Method::GET, &format!("/pins?local={local}&filter=&cids={cids}")).await
    }

    /// The status of all pins, or of those whose status is in the comma list `filter`.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn status_all(&self, filter: &str, local: bool) -> Result<Documents<GlobalPinInfo>, Error> {
        self.stream(Method::GET, &format!("/pins?local={local}&filter={}&cids=", value(filter))).await
    }

    /// Tries a pin again that failed.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn recover(&self, cid: Cid, local: bool) -> Result<GlobalPinInfo, Error> {
        self.call(Method::POST, &format!("/pins/{cid}/recover?local={local}")).await
    }

    /// Tries all again that failed; returns them.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn recover_all(&self, local: bool) -> Result<Documents<GlobalPinInfo>, Error> {
        self.stream(Method::POST, &format!("/pins/recover?local={local}")).await
    }

    /// The names of metrics.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn metric_names(&self) -> Result<Vec<String>, Error> {
        Ok(self.call::<Option<_>>(Method::GET, "/monitor/metrics").await?.unwrap_or_default())
    }

    /// The latest metrics of a name, one a peer.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn metrics(&self, name: &str) -> Result<Vec<Metric>, Error> {
        let path = format!("/monitor/metrics/{}", escaped(name).replace('/', "%2F"));
        Ok(self.call::<Option<_>>(Method::GET, &path).await?.unwrap_or_default())
    }

    /// The alerts, newest first.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn alerts(&self) -> Result<Vec<Alert>, Error> {
        Ok(self.call::<Option<_>>(Method::GET, "/health/alerts").await?.unwrap_or_default())
    }

    /// How the replication of the peer stands.
    ///
    /// # Errors
    /// [`Error`], with code 404 of a peer that knows no such thing.
    pub async fn replication(&self) -> Result<ReplicationHealth, Error> {
        self.call(Method::GET, "/health/replication").await
    }

    /// A copy of the whole pinset, as the bytes of a file come; an error is the last item.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn snapshot(&self) -> Result<BoxStream<'static, Result<Bytes, Error>>, Error> {
        Ok(self.send(Method::GET, "/snapshot").await?.parts())
    }

    async fn stream<T>(&self, method: Method, path: &str) -> Result<Documents<T>, Error>
    where
        T: DeserializeOwned + Send + 'static,
    {
        Ok(documents(self.send(method, path).await?).boxed())
    }
}

fn escaped(path: &str) -> String {
    utf8_percent_encode(path, &PATH).to_string()
}

pub(super) fn value(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
