//! The programs without any IPFS daemon: beside recordings of Go's programs, and peers that run on their own.
#[path = "../common/mod.rs"]
mod common;
mod daemon;

mod bulk;
mod doctor;
mod epoch;
mod faults;
mod follow;
mod golden;
mod log;
mod manager;
mod recording;
mod reload;
mod service;
mod source;
mod stage;
mod traces;
mod tunnel;
mod watch;
