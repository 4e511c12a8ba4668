//! A connector whose calls are counted and timed.
mod trigger;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use futures::Stream;
use futures::future::{BoxFuture, FutureExt};
use futures::stream::{BoxStream, StreamExt};
use opentelemetry::Context as Origin;
use tracing::field::Empty;
use tracing::{Span, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

pub use self::trigger::Trigger;
use super::connector::{Connector, Held, IpfsError, PinRequest, Progress, RepoStat};
use crate::model::{Cid, GcKey, IpfsInfo, Multiaddr, PeerId};
use crate::observe::{IpfsMeters, Meters, Origins, TRACE};
use crate::task;

/// Counts and times the calls on another connector.
pub struct Metered {
    inner: Arc<dyn Connector>,
    trigger: Trigger,
    meters: IpfsMeters,
    origins: Origins,
}

impl Metered {
    /// Counts the calls on `inner`, and tells `trigger` of those that change the daemon's space.
    #[must_use]
    pub fn new(inner: Arc<dyn Connector>, meters: &Meters, trigger: Trigger) -> Self {
        Self { inner, trigger, meters: meters.ipfs.clone(), origins: meters.origins.clone() }
    }

    fn call<T: Send + 'static>(
        &self,
        name: &'static str,
        answer: BoxFuture<'static, Result<T, IpfsError>>,
    ) -> BoxFuture<'static, Result<T, IpfsError>> {
        let timer = Timer::start(name, &self.meters, span(name, None));
        async move {
            let answer = answer.await;
            timer.end(answer.is_err());
            answer
        }
        .boxed()
    }

    fn stream<T: Send + 'static>(
        &self,
        name: &'static str,
        (items, span): (BoxStream<'static, Result<T, IpfsError>>, Span),
        end: impl FnOnce(&IpfsMeters, End) + Send + Unpin + 'static,
    ) -> BoxStream<'static, Result<T, IpfsError>> {
        let timer = Timer::start(name, &self.meters, span);
        Timed { items, count: 0, timer: Some(timer), end: Some(end) }.boxed()
    }
}

/// The span of a call, for somebody who is traced: what a peer asks by itself is nobody's.
fn span(call: &'static str, origin: Option<Origin>) -> Span {
    if origin.is_none() && Span::current().is_disabled() {
        return Span::none();
    }
    let span =
        info_span!(target: TRACE, "ipfs", otel.name = call_name(call), otel.kind = "client", otel.status_code = Empty);
    if let Some(origin) = origin {
        // Fails only where nobody traces.
        let _ = span.set_parent(origin);
    }
    span
}

fn call_name(call: &str) -> String {
    format!("ipfs.{call}")
}

/// One call that runs; when it is dropped before its end, it was given up, which is no success.
struct Timer {
    name: &'static str,
    meters: IpfsMeters,
    began: Instant,
    is_open: bool,
    span: Span,
}

impl Timer {
    fn start(name: &'static str, meters: &IpfsMeters, span: Span) -> Self {
        Self { name, meters: meters.clone(), began: task::now(), is_open: true, span }
    }

    fn end(mut self, is_error: bool) {
        self.is_open = false;
        if is_error {
            self.span.record("otel.status_code", "error");
        }
        self.meters.called(self.name, task::now().duration_since(self.began), is_error);
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if self.is_open {
            self.meters.called(self.name, task::now().duration_since(self.began), true);
        }
    }
}

/// How a stream ended: after so many items, with an error or without.
struct End {
    count: i64,
    is_error: bool,
}

struct Timed<T, F> {
    items: BoxStream<'static, Result<T, IpfsError>>,
    count: i64,
    timer: Option<Timer>,
    end: Option<F>,
}

impl<T, F: FnOnce(&IpfsMeters, End) + Unpin> Stream for Timed<T, F> {
    type Item = Result<T, IpfsError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let next = std::task::ready!(this.items.poll_next_unpin(cx));
        let is_error = next.as_ref().is_some_and(Result::is_err);
        if next.is_none() || is_error {
            if let (Some(timer), Some(end)) = (this.timer.take(), this.end.take()) {
                end(&timer.meters, End { count: this.count, is_error });
                timer.end(is_error);
            }
        } else {
            this.count += 1;
        }
        Poll::Ready(next)
    }
}

impl Connector for Metered {
    fn pin(&self, request: PinRequest) -> BoxStream<'static, Result<Progress, IpfsError>> {
        self.meters.pin_asked();
        self.trigger.step();
        let trigger = self.trigger.clone();
        let span = span("pin", self.origins.take(|| request.cid.to_bytes()));
        self.stream("pin", (self.inner.pin(request), span), move |meters, end| {
            trigger.step();
            if end.is_error { meters.pin_failed() } else { meters.holds_more(1) }
        })
    }

    fn unpin(&self, cid: Cid) -> BoxFuture<'static, Result<(), IpfsError>> {
        let (answer, meters) = (self.call("unpin", self.inner.unpin(cid)), self.meters.clone());
        answer.inspect(move |done| done.iter().for_each(|()| meters.holds_more(-1))).boxed()
    }

    fn held(&self, cid: Cid) -> BoxFuture<'static, Result<Option<Held>, IpfsError>> {
        self.call("held", self.inner.held(cid))
    }

    fn list(&self) -> BoxStream<'static, Result<(Cid, Held), IpfsError>> {
        self.stream("list", (self.inner.list(), span("list", None)), |meters, end| {
            if !end.is_error {
                meters.holds(end.count);
            }
        })
    }

    fn size(&self, cid: Cid) -> BoxFuture<'static, Result<Option<u64>, IpfsError>> {
        self.call("size", self.inner.size(cid))
    }

    fn id(&self) -> BoxFuture<'static, Result<IpfsInfo, IpfsError>> {
        self.call("id", self.inner.id())
    }

    fn repo_stat(&self) -> BoxFuture<'static, Result<RepoStat, IpfsError>> {
        self.call("repo_stat", self.inner.repo_stat())
    }

    fn swarm_peers(&self) -> BoxFuture<'static, Result<Vec<PeerId>, IpfsError>> {
        self.call("swarm_peers", self.inner.swarm_peers())
    }

    fn connect(&self, address: Multiaddr) -> BoxFuture<'static, Result<(), IpfsError>> {
        self.call("connect", self.inner.connect(address))
    }

    fn gc(&self) -> BoxFuture<'static, Result<Vec<GcKey>, IpfsError>> {
        let trigger = self.trigger.clone();
        self.call("gc", self.inner.gc()).inspect(move |_| trigger.step()).boxed()
    }

    fn resolve(&self, path: String) -> BoxFuture<'static, Result<Cid, IpfsError>> {
        self.call("resolve", self.inner.resolve(path))
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::registry::Registry;

    use super::*;
    use crate::ipfs::fake::{Fake, Script, cid};
    use crate::model::MaxDepth;
    use crate::observe::page;

    fn request(n: u64) -> PinRequest {
        let (name, update_from, origins) = Default::default();
        PinRequest { cid: cid(n), max_depth: MaxDepth::Recursive, name, update_from, origins }
    }

    fn shown(meters: &Meters, line: &str) -> String {
        let mut registry = Registry::default();
        meters.register(&mut registry);
        let page = page(&registry);
        let found = page.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(' '));
        found.unwrap_or_default().to_owned()
    }

    #[tokio::test]
    async fn pins_failures_and_what_is_held_are_counted() {
        let (fake, meters) = (Fake::default(), Meters::default());
        let ipfs = Metered::new(Arc::new(fake.clone()), &meters, Trigger::new(0));
        fake.script(cid(2), Script::Fail(IpfsError::Garbled("once".into())));
        for n in 0..3 {
            let _ = ipfs.pin(request(n)).collect::<Vec<_>>().await;
        }
        assert_eq!(shown(&meters, "ipfscluster_pins_pin_add"), "3");
        assert_eq!(shown(&meters, "ipfscluster_pins_pin_add_errors"), "1");
        assert_eq!(shown(&meters, "ipfscluster_pins_ipfs_pins"), "2");
        ipfs.unpin(cid(0)).await.unwrap();
        assert_eq!(shown(&meters, "ipfscluster_pins_ipfs_pins"), "1");
        // Somebody else's pin is seen by the next listing.
        let _ = fake.pin(request(9)).collect::<Vec<_>>().await;
        let _ = ipfs.list().collect::<Vec<_>>().await;
        assert_eq!(shown(&meters, "ipfscluster_pins_ipfs_pins"), "2");
        assert_eq!(shown(&meters, r#"ipfscluster_ipfs_call_seconds_count{call="pin"}"#), "3");
    }

    #[tokio::test]
    async fn a_call_that_is_given_up_is_an_error() {
        let (fake, meters) = (Fake::default(), Meters::default());
        fake.script(cid(1), Script::Hang);
        let ipfs = Metered::new(Arc::new(fake), &meters, Trigger::new(0));
        let mut pin = ipfs.pin(request(1));
        assert!(futures::poll!(pin.next()).is_pending());
        drop(pin);
        assert_eq!(shown(&meters, r#"ipfscluster_ipfs_call_errors_total{call="pin"}"#), "1");
    }
}
