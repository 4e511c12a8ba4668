//! The programs without any peer running: beside recordings of Go's programs.
mod faults;
mod follow;
mod recording;
mod service;
mod source;
mod stage;
