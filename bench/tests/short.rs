//! A short run of each fault campaign against the real program; the long ones are started by hand.

use std::path::Path;
use std::process::Command;

/// The program stands beside this one; a build of this package alone does not make it.
fn bench(arguments: &[&str]) {
    let bench = Path::new(env!("CARGO_BIN_EXE_bench"));
    if !bench.with_file_name("conveyance").exists() {
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "-p", "conveyance"]);
        if bench.parent().is_some_and(|p| p.ends_with("release")) {
            build.arg("--release");
        }
        assert!(build.status().expect("cargo runs: it runs this test").success());
    }
    let output = Command::new(bench).args(arguments).output().expect("it was built");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn killed_loads_end_as_if_nothing_had_been() {
    bench(&["kill", "--times", "10", "--listings", "1500", "--json"]);
}

#[test]
fn power_cuts_lose_nothing_that_was_synced() {
    bench(&["power", "--cuts", "60", "--listings", "600", "--json"]);
}
