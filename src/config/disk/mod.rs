//! The files of a peer's folder, the database apart.
mod write;

mod identity;
mod lock;
mod peerstore;

pub use identity::{Identity, IdentityError};
pub use lock::{Lock, LockError};
pub use peerstore::{read_peerstore, write_peerstore};
pub use write::{PRIVATE, SHARED, make_folder, write_atomically};
