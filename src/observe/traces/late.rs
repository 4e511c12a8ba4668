//! Traces that begin when the configuration is known: the log, whose neighbour they are, begins before.
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use opentelemetry::trace::{Link, SpanKind, TraceId, TraceState, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{ExporterBuildError, RetryPolicy, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchSpanProcessor, Sampler, SamplingDecision, SamplingResult, SdkTracer, SdkTracerProvider, ShouldSample, Span,
    SpanData, SpanProcessor,
};
use tokio::runtime::Handle;
use tracing_subscriber::filter::{LevelFilter, Targets};

use super::TRACE;
use super::collector::{SEND_MAX, Sender};

/// How long the last spans may take to leave when the program ends: the collector may be gone, too.
const STOP_MAX: Duration = Duration::from_secs(1);

/// What traces begin with.
#[derive(Clone, Debug)]
pub struct TracesArgs {
    /// Where spans go.
    pub endpoint: String,
    /// The share of requests that is traced, from 0 to 1.
    pub share: f64,
    /// The name of the service that they are of.
    pub service: String,
    /// The peer that they are of.
    pub peer: String,
}

/// Why traces do not begin.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// The collector's address is none, or a variable of `OpenTelemetry` is wrong.
    #[error(transparent)]
    Exporter(#[from] ExporterBuildError),
    /// What would send spans cannot be made.
    #[error("{0}")]
    Sender(String),
}

/// Gives the subscriber a new filter.
type Filter = Box<dyn Fn(Targets) -> bool + Send + Sync>;

/// The traces of a program: nothing is traced until they begin.
#[derive(Clone)]
pub struct Traces(Arc<Inner>);

struct Inner {
    provider: SdkTracerProvider,
    late: Late,
    filter: OnceLock<Filter>,
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traces").field("begun", &self.0.late.0.get().is_some()).finish()
    }
}

impl Default for Traces {
    /// Traces that have not begun.
    fn default() -> Self {
        let late = Late::default();
        // What resources the spans are of is told by what sends them, because it is not known yet.
        let provider = SdkTracerProvider::builder()
            .with_sampler(late.clone())
            .with_span_processor(late.clone())
            .with_resource(Resource::builder_empty().build())
            .build();
        Self(Arc::new(Inner { provider, late, filter: OnceLock::new() }))
    }
}

impl Traces {
    /// What a subscriber's layer makes spans with.
    #[must_use]
    pub fn tracer(&self) -> SdkTracer {
        self.0.provider.tracer("ipfs-cluster")
    }

    /// Says how the layer's filter is changed; until traces begin, it lets nothing pass.
    pub fn filtered_by(&self, filter: impl Fn(Targets) -> bool + Send + Sync + 'static) {
        // There is one subscriber.
        let _ = self.0.filter.set(Box::new(filter));
    }

    /// Begins to trace, once; spans are sent on `runtime`.
    ///
    /// # Errors
    /// [`TracesError`].
    pub fn begin(&self, args: &TracesArgs, runtime: Handle) -> Result<(), TracesError> {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Sender::new(runtime).map_err(TracesError::Sender)?)
            .with_retry_policy(RetryPolicy::disabled())
            .with_endpoint(&args.endpoint)
            .with_timeout(SEND_MAX)
            .build()?;
        let resource = Resource::builder()
            .with_service_name(args.service.clone())
            .with_attribute(KeyValue::new("cluster_id", args.peer.clone()))
            .build();
        let mut processor = BatchSpanProcessor::builder(exporter).build();
        processor.set_resource(&resource);
        let _ = self.0.late.0.set(Begun { processor, sampler: sampler(args.share) });
        if let Some(filter) = self.0.filter.get() {
            filter(Targets::new().with_target(TRACE, LevelFilter::INFO));
        }
        Ok(())
    }

    /// Sends what is left; it takes a second at most, in which this thread does nothing else.
    pub fn end(&self) {
        if self.0.late.0.get().is_some()
            && let Err(error) = self.0.provider.shutdown_with_timeout(STOP_MAX)
        {
            tracing::debug!("the last spans did not leave: {error}");
        }
    }
}

/// A trace that somebody else began and wants to have is traced, unless none is to be.
fn sampler(share: f64) -> Sampler {
    if share <= 0.0 {
        return Sampler::AlwaysOff;
    }
    Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(share)))
}

/// What decides and sends, once it is there.
#[derive(Clone, Debug, Default)]
struct Late(Arc<OnceLock<Begun>>);

#[derive(Debug)]
struct Begun {
    processor: BatchSpanProcessor,
    sampler: Sampler,
}

impl ShouldSample for Late {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        match self.0.get() {
            Some(begun) => begun.sampler.should_sample(parent, trace, name, kind, attributes, links),
            None => SamplingResult {
                decision: SamplingDecision::Drop,
                attributes: Vec::new(),
                trace_state: TraceState::default(),
            },
        }
    }
}

impl SpanProcessor for Late {
    fn on_start(&self, span: &mut Span, context: &Context) {
        if let Some(begun) = self.0.get() {
            begun.processor.on_start(span, context);
        }
    }

    fn on_end(&self, span: SpanData) {
        if let Some(begun) = self.0.get() {
            begun.processor.on_end(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.get().map_or(Ok(()), |begun| begun.processor.force_flush())
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.get().map_or(Ok(()), |begun| begun.processor.shutdown_with_timeout(timeout))
    }
}
