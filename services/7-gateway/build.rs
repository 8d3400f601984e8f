//! Finds the built page. It is embedded when `apps/web/dist` exists; otherwise an empty folder of the
//! build's own stands in for it, so that the crate builds without Node.

use std::path::PathBuf;

#[allow(clippy::disallowed_methods, reason = "build scripts are told where to write by variables")]
fn main() {
    let crate_dir = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let dist = crate_dir.join("../../apps/web/dist");
    println!("cargo:rerun-if-changed=build.rs");
    // Also where there is none: it may be built later.
    println!("cargo:rerun-if-changed={}", dist.display());
    let folder = if dist.join("index.html").is_file() {
        dist
    } else {
        let empty = PathBuf::from(std::env::var("OUT_DIR").expect("cargo sets it")).join("no-page");
        std::fs::create_dir_all(&empty).expect("the build's own folder can be written");
        empty
    };
    println!("cargo:rustc-env=CONVEYANCE_PAGE={}", folder.display());
}
