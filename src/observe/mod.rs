//! What operators watch: meters that the parts of a peer move, the page that shows them, the levels of the log, traces.
mod levels;
mod meters;
mod page;

mod traces;

pub use levels::{LevelError, Levels, LogLevels, facility};
pub use meters::{CallMeters, HttpMeters, IpfsMeters, Meters, PinsetMeters};
pub use page::{CONTENT_TYPE, Page, PlainCounter, page};
pub use traces::{EndpointError, Origins, TRACE, Traces, TracesArgs, TracesError, adopt, endpoint, rename};
