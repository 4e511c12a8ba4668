//! What a peer runs with: `service.json`, the environment, `identity.json`.
mod value;

mod file;
mod typed;

mod check;
mod disk;

mod fetch;
mod load;

pub use check::*;
pub use disk::*;
pub use fetch::{FetchError, fetch, shown};
pub use file::{Environment, FILE_MAX, File, FileError, rewrite};
pub use load::{LoadError, load, load_config, load_file};
pub use typed::*;
pub use value::*;
