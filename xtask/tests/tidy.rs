//! The tidy checks.
#![allow(clippy::indexing_slicing, clippy::panic, reason = "what is not there fails the check")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask lies in the workspace")
        .to_path_buf()
}

/// The layer of a workspace member, by its folder.
fn layer(folder: &str) -> &'static str {
    match folder.split('/').next() {
        Some("runtime") if folder == "runtime/dataflow" => "dataflow",
        Some("runtime") if folder == "runtime/kafka-flush" => "client",
        Some("runtime") => "bus",
        Some("domain") => "domain",
        Some("services") => "service",
        Some("apps") => "app",
        Some("simulator") => "simulator",
        Some("bench") => "bench",
        Some("xtask") => "xtask",
        _ => "unknown",
    }
}

/// What each layer may use. `apps -> services -> {domain, dataflow}`, `bus -> dataflow`, and nothing else.
fn may_use(layer: &str) -> &'static [&'static str] {
    match layer {
        "dataflow" | "client" | "xtask" => &[],
        "bus" => &["dataflow", "client"],
        "domain" => &["domain"],
        "service" => &["domain", "dataflow"],
        "simulator" => &["domain"],
        "app" => &["service", "bus", "domain", "dataflow", "simulator"],
        "bench" => &["service", "bus", "domain", "dataflow", "simulator", "app"],
        _ => &[],
    }
}

/// Crates that a crate outside a few owners must not know, each with those owners.
const OWNED: [(&str, &[&str]); 4] = [
    ("rusqlite", &["bus-sqlite", "bus-kafka", "gateway"]),
    ("axum", &["gateway", "conveyance"]),
    ("tokio", &["gateway", "conveyance", "bench"]),
    ("rdkafka", &["bus-kafka", "kafka-flush", "bench"]),
];

struct Member {
    layer: &'static str,
    uses: Vec<(String, bool)>,
}

fn members() -> BTreeMap<String, Member> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version=1", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let member = |package: &serde_json::Value| {
        let manifest = PathBuf::from(package["manifest_path"].as_str().expect("path"));
        let folder = manifest
            .parent()
            .and_then(|p| p.strip_prefix(root()).ok())
            .expect("inside")
            .display()
            .to_string();
        let uses = package["dependencies"].as_array().expect("dependencies").iter();
        let uses = uses
            .map(|d| (d["name"].as_str().unwrap_or_default().to_owned(), d["kind"].is_null()))
            .collect();
        (
            package["name"].as_str().unwrap_or_default().to_owned(),
            Member { layer: layer(&folder), uses },
        )
    };
    packages.iter().map(member).collect()
}

fn layering_faults(members: &BTreeMap<String, Member>) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, member) in members {
        for (used, normal) in &member.uses {
            if let Some(other) =
                members.get(used).filter(|o| *normal && !may_use(member.layer).contains(&o.layer))
            {
                faults.push(format!(
                    "{name} ({}) must not use {used} ({})",
                    member.layer, other.layer
                ));
            }
            if let Some((_, owners)) = OWNED.iter().find(|(owned, _)| owned == used)
                && *normal
                && !owners.contains(&name.as_str())
            {
                faults.push(format!(
                    "{name} must not know {used}: it belongs to {}",
                    owners.join(", ")
                ));
            }
        }
    }
    faults
}

#[test]
fn dependencies_point_one_way() {
    assert_eq!(layering_faults(&members()), Vec::<String>::new());
}

#[test]
fn a_wrong_dependency_would_be_found() {
    let mut members = members();
    let track = members.get_mut("track").expect("a service");
    track.uses.push(("ingest".to_owned(), true));
    track.uses.push(("rusqlite".to_owned(), true));
    assert_eq!(layering_faults(&members).len(), 2);
}

/// Every `path/like/this` in back quotes that begins with a folder or file of the repository.
fn named_paths(text: &str) -> Vec<String> {
    let quoted = text.split('`').skip(1).step_by(2).flat_map(str::split_whitespace);
    let known = [
        "runtime/",
        "domain/",
        "services/",
        "apps/",
        "simulator/",
        "bench/",
        "xtask/",
        "deploy/",
        "packs/",
        "examples/",
        "fuzz/",
        "docs/",
    ];
    let paths = quoted
        .map(|p| p.trim_end_matches(['.', ',', ':', ';']))
        .filter(|p| known.iter().any(|k| p.starts_with(k)));
    paths.map(|p| p.split("::").next().unwrap_or(p).to_owned()).collect()
}

#[test]
fn paths_in_documents_exist() {
    for document in ["README.md", "ARCHITECTURE.md", "STYLE.md", "CHANGELOG.md"] {
        let text = std::fs::read_to_string(root().join(document))
            .unwrap_or_else(|e| panic!("{document}: {e}"));
        for path in named_paths(&text) {
            assert!(root().join(&path).exists(), "{document} names `{path}`, which does not exist");
        }
    }
    assert_eq!(named_paths("see `domain/nowhere/x.rs`, and `cargo run`"), ["domain/nowhere/x.rs"]);
}

#[test]
fn every_crate_takes_the_lints() {
    let workspace = std::fs::read_to_string(root().join("Cargo.toml")).expect("workspace manifest");
    let workspace: toml::Table = workspace.parse().expect("TOML");
    for member in workspace["workspace"]["members"].as_array().expect("members") {
        let path = root().join(member.as_str().expect("text")).join("Cargo.toml");
        let manifest: toml::Table =
            std::fs::read_to_string(&path).expect("manifest").parse().expect("TOML");
        let inherits = manifest.get("lints").and_then(|l| l.get("workspace")?.as_bool());
        let takes = match member.as_str() == Some("runtime/kafka-flush") {
            true => takes_all_but_unsafe(&manifest["lints"], &workspace["workspace"]["lints"]),
            false => inherits == Some(true),
        };
        assert!(takes, "{} lacks the lints of the workspace", path.display());
    }
}

/// Whether the one crate that calls C keeps every lint of the workspace except the one against `unsafe`.
fn takes_all_but_unsafe(lints: &toml::Value, workspace: &toml::Value) -> bool {
    let groups = workspace.as_table().expect("groups").iter();
    groups
        .flat_map(|(group, all)| all.as_table().expect("lints").iter().map(move |l| (group, l)))
        .all(|(group, (name, level))| {
            name == "unsafe_code" || lints[group].get(name) == Some(level)
        })
}
