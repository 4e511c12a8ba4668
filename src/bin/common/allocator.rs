//! The allocator of peers, which run for months: what a join or an import took is given back to the system within seconds.
use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;
