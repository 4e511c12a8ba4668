//! Which request a piece of later work comes from: IPFS is asked for a pin long after the request for it was answered.
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Origins that are remembered; of more, the oldest are forgotten, and their work is not traced.
const ORIGINS_MAX: usize = 1_024;

/// Traced requests by what they asked for.
#[derive(Clone, Debug, Default)]
pub struct Origins(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    by_key: BTreeMap<Vec<u8>, (u64, Context)>,
    by_age: BTreeMap<u64, Vec<u8>>,
    number: u64,
}

impl Origins {
    /// Remembers the request that is being worked on, if it is traced, as the origin of later work on `key`.
    pub fn note(&self, key: impl FnOnce() -> Vec<u8>) {
        let span = Span::current();
        if span.is_disabled() {
            return;
        }
        let context = span.context();
        if context.span().span_context().is_sampled() {
            self.put(key(), context);
        }
    }

    fn put(&self, key: Vec<u8>, context: Context) {
        let mut inner = self.lock();
        inner.number += 1;
        let number = inner.number;
        if let Some((old, _)) = inner.by_key.insert(key.clone(), (number, context)) {
            inner.by_age.remove(&old);
        }
        inner.by_age.insert(number, key);
        if inner.by_age.len() > ORIGINS_MAX
            && let Some((_, oldest)) = inner.by_age.pop_first()
        {
            inner.by_key.remove(&oldest);
        }
    }

    /// Returns the origin of work on `key`, once.
    #[must_use]
    pub fn take(&self, key: impl FnOnce() -> Vec<u8>) -> Option<Context> {
        let mut inner = self.lock();
        if inner.by_key.is_empty() {
            return None;
        }
        let (number, context) = inner.by_key.remove(&key())?;
        inner.by_age.remove(&number);
        Some(context)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_told_once_and_the_oldest_are_forgotten() {
        let origins = Origins::default();
        let key = |n: usize| n.to_be_bytes().to_vec();
        for n in 0..ORIGINS_MAX + 2 {
            origins.put(key(n), Context::new());
            origins.put(key(n), Context::new());
        }
        let kept = |origins: &Origins| {
            let inner = origins.lock();
            (inner.by_key.len(), inner.by_age.len())
        };
        assert_eq!(kept(&origins), (ORIGINS_MAX, ORIGINS_MAX));
        assert!(origins.take(|| key(0)).is_none() && origins.take(|| key(1)).is_none());
        assert!(origins.take(|| key(2)).is_some() && origins.take(|| key(2)).is_none());
        assert_eq!(kept(&origins), (ORIGINS_MAX - 1, ORIGINS_MAX - 1));
    }

    #[test]
    fn what_is_not_traced_is_not_remembered() {
        let origins = Origins::default();
        origins.note(|| unreachable!("nobody traces"));
        assert!(origins.lock().by_key.is_empty());
    }
}
