//! The page that Prometheus reads: its text format 0.0.4, where a counter has the name that it is given.
//!
//! The format of the crate, `OpenMetrics`, hangs `_total` on every counter; dashboards of Go's peers know them without.
use std::fmt;

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::{MetricType, TypedMetric};
use prometheus_client::registry::Registry;

/// What the page is, as HTTP says it.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Returns everything in `registry`.
#[must_use]
pub fn page(registry: &Registry) -> String {
    let mut text = String::new();
    // Writing to a string fails only where a collector does, and then what there is is shown.
    if encode(&mut text, registry).is_err() {
        tracing::warn!("the page of metrics is not whole");
    }
    text
}

/// A counter whose name on the page is the one that it was registered with.
#[derive(Clone, Debug, Default)]
pub struct PlainCounter(Counter);

impl PlainCounter {
    /// Adds one.
    pub fn inc(&self) {
        self.0.inc();
    }

    /// Returns the number.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.get()
    }
}

impl EncodeMetric for PlainCounter {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        encoder.encode_gauge(&i64::try_from(self.0.get()).unwrap_or(i64::MAX))
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Counter
    }
}

impl TypedMetric for PlainCounter {
    const TYPE: MetricType = MetricType::Counter;
}

/// Writes metrics whose values are looked up when the page is asked for.
#[derive(Debug)]
pub struct Page<'a>(DescriptorEncoder<'a>);

impl<'a> Page<'a> {
    /// Writes with `encoder`.
    #[must_use]
    pub const fn new(encoder: DescriptorEncoder<'a>) -> Self {
        Self(encoder)
    }

    /// Writes a number that goes up and down.
    ///
    /// # Errors
    /// When there is no room.
    pub fn gauge(&mut self, name: &str, help: &str, value: impl Into<f64>) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value.into())
    }

    /// Writes a number that only grows.
    ///
    /// # Errors
    /// When there is no room.
    pub fn counter(&mut self, name: &str, help: &str, value: impl Into<f64>) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Counter)?.encode_gauge(&value.into())
    }

    /// Writes numbers that go up and down, one for each set of labels.
    ///
    /// # Errors
    /// When there is no room.
    pub fn gauges<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = ([(&'static str, String); N], f64)>,
    ) -> fmt::Result {
        self.rows(name, help, MetricType::Gauge, rows)
    }

    /// Writes numbers that only grow, one for each set of labels.
    ///
    /// # Errors
    /// When there is no room.
    pub fn counters<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = ([(&'static str, String); N], f64)>,
    ) -> fmt::Result {
        self.rows(name, help, MetricType::Counter, rows)
    }

    fn rows<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        kind: MetricType,
        rows: impl IntoIterator<Item = ([(&'static str, String); N], f64)>,
    ) -> fmt::Result {
        let mut encoder = self.0.encode_descriptor(name, help, None, kind)?;
        rows.into_iter().try_for_each(|(labels, value)| encoder.encode_family(&labels)?.encode_gauge(&value))
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::collector::Collector;

    use super::*;

    #[derive(Debug)]
    struct Looked;

    impl Collector for Looked {
        fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
            let mut page = Page::new(encoder);
            page.gauge("a_gauge", "G.", 0.5)?;
            page.counter("a_counter", "C.", 3.0)?;
            page.counters("rows_total", "R.", [([("of", "x\"y".to_owned())], 1.0), ([("of", "z".to_owned())], 2.0)])
        }
    }

    #[test]
    fn counters_keep_their_names_and_labels_are_escaped() {
        let mut registry = Registry::default();
        let counter = PlainCounter::default();
        counter.inc();
        registry.register("goes_on", "Go's", counter);
        registry.register_collector(Box::new(Looked));
        let wanted = "# HELP goes_on Go's.\n# TYPE goes_on counter\ngoes_on 1\n\
                      # HELP a_gauge G.\n# TYPE a_gauge gauge\na_gauge 0.5\n\
                      # HELP a_counter C.\n# TYPE a_counter counter\na_counter 3.0\n\
                      # HELP rows_total R.\n# TYPE rows_total counter\n\
                      rows_total{of=\"x\\\"y\"} 1.0\nrows_total{of=\"z\"} 2.0\n# EOF\n";
        assert_eq!(page(&registry), wanted);
    }
}
