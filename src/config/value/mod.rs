//! Values as texts spell them.
mod address;
mod duration;
mod secret;
mod size;
mod text;
mod webhook;

pub use address::{AddressError, Endpoint, PeerIdError, parse_multiaddr, parse_peer_id};
pub use duration::{DurationError, GoDuration};
pub use secret::{Credentials, Secret, SecretError};
pub use size::{SizeError, parse_size};
pub use text::{parse_bool, parse_int};
pub use webhook::{Webhook, WebhookError};
