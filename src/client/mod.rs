//! The REST API from the other side: what ctl, follow and tests call.
mod bulk;
mod calls;
mod connector;
mod documents;
mod error;
mod events;
mod host;
mod part;
mod request;
mod wait;

pub use calls::Documents;
pub use error::{Error, NewError};
pub use part::Part;
pub use request::{Client, ClientArgs};
pub use wait::{Wait, WaitError};

#[cfg(test)]
mod tests;
