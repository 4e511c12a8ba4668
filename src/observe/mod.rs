//! What operators watch: meters that the parts of a peer move, and the page that shows them.
mod meters;
mod page;

pub use meters::{HttpMeters, IpfsMeters, Meters, PinsetMeters};
pub use page::{CONTENT_TYPE, Page, PlainCounter, page};
