//! The lab and the benchmarks.
#![forbid(unsafe_code)]
fn main() {}
