//! The programs without any peer running: beside recordings of Go's programs.
mod faults;
mod follow;
#[path = "../common/ports.rs"]
mod ports;
mod recording;
mod service;
mod source;
mod stage;
