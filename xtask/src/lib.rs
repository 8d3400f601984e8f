//! Tidy checks, run as tests: what the architecture says about itself is true.
//!
//! - dependencies between crates point one way;
//! - every path that a document names exists;
//! - every crate takes the workspace's lints.
