//! Other programs' bytes: serde and prost shapes and codecs, no behaviour.
pub mod msgpack;

pub mod glance;
pub mod gorpc;
pub mod json;
pub mod kubo;
pub mod metric;
pub mod pin;
pub mod rest;
pub mod webhook;

#[cfg(test)]
mod fuzz;
