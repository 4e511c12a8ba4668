//! HTTP front ends over the cluster handle.
pub mod http;

mod access;
mod auth;
mod cors;
mod error;
mod measure;
mod router;
mod stream;
mod token;

pub mod metrics;
pub mod rest;

pub use access::{AccessLog, OpenError};
pub use auth::Credentials;
pub use cors::Cors;
