//! `GET /openapi.json`: the routes as an `OpenAPI` 3.1 document, its schemas made from the types that are sent.
mod build;
mod operation;
mod parameters;
mod table;

pub use build::openapi;
pub(in crate::api::rest) use build::show;

#[cfg(test)]
mod tests;
