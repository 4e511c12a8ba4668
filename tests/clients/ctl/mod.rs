//! Go's `ipfs-cluster-ctl` and ours: the same words at the same time to the same peers of ours.
mod access;
mod one;
mod pair;
mod streams;
mod two;
mod wire;
