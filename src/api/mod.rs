//! HTTP front ends over the cluster handle.
pub mod http;

mod auth;
mod error;
mod router;
mod stream;

pub mod rest;

pub use auth::Credentials;
