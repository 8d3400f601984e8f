//! One binary: every service, every command.
fn main() {}
