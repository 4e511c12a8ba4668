//! Routes and parameters that Go's REST API has not.
pub(super) mod bulk;
pub(super) mod drain;
pub(super) mod events;
pub(super) mod log;
pub(super) mod openapi;
pub(super) mod paging;
pub(super) mod probes;
pub(super) mod rebalance;
pub(super) mod wait;
