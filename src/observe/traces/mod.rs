//! Spans of requests, sent to an `OpenTelemetry` collector: only where the configuration asks for it, and never in anybody's way.
mod collector;
mod late;
mod origins;
mod parents;

pub use collector::{EndpointError, endpoint};
pub use late::{Traces, TracesArgs, TracesError};
pub use origins::Origins;
pub use parents::{adopt, rename};

/// The target of all spans that are traced: the log has no lines of it, and what is not traced costs nothing.
pub const TRACE: &str = "trace";
