//! What operators watch: meters that the parts of a peer move, the page that shows them, and the levels of the log.
mod levels;
mod meters;
mod page;

pub use levels::{LevelError, Levels, LogLevels, facility};
pub use meters::{HttpMeters, IpfsMeters, Meters, PinsetMeters};
pub use page::{CONTENT_TYPE, Page, PlainCounter, page};
