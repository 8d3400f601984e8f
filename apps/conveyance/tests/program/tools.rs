//! The other commands, also while a process holds the data folder.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::{conveyance, get, json, post, repository};

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn the_flow_is_printed_as_it_is_wired() {
    let flow = json(&[&"flow", &"--json"]);
    let names: Vec<_> = flow["services"]
        .as_array()
        .expect("services")
        .iter()
        .map(|s| s["name"].as_str().expect("a name"))
        .collect();
    assert_eq!(names, ["ingest", "normalize", "track", "gateway"]);
    let asyncapi = json(&[&"asyncapi"]);
    assert_eq!(asyncapi["asyncapi"], "3.0.0");
    assert!(asyncapi["channels"].get("listing.raw").is_some());
}

#[test]
fn every_command_has_an_example() {
    for command in [
        "up",
        "run",
        "topics",
        "records",
        "doctor",
        "load",
        "flow",
        "lag",
        "dead-letters",
        "replay",
        "explain",
        "check",
        "feeds",
        "asyncapi",
    ] {
        let help = conveyance(&[&command, &"--help"]);
        assert!(
            String::from_utf8_lossy(&help.stdout).contains("Example: conveyance"),
            "{command} --help lacks an example"
        );
    }
}

#[test]
fn the_packs_of_the_repository_are_sound() {
    for pack in ["king-county", "calgary", "staten-island", "simulated-mls"] {
        let path = repository().join(format!("packs/{pack}.toml"));
        let report = json(&[&"feeds", &"check", &path, &"--json"]);
        assert_eq!(report["ok"], true, "{report}");
    }
}

/// While `up` runs, a second one is refused, and the other commands speak to the first.
#[test]
fn commands_work_while_the_process_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let mut child = Command::new(env!("CARGO_BIN_EXE_conveyance"));
    child
        .args(["up", "--demo", "--listings", "300", "--listen", "127.0.0.1:0", "--data"])
        .arg(&data);
    let mut running = Running(
        child.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the program starts"),
    );
    let mut line = String::new();
    BufReader::new(running.0.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
    assert!(line.contains("http://127.0.0.1:"), "{line}");

    let address = line.trim().rsplit("http://").next().expect("an address").to_owned();
    assert_operated(&address);

    let second = conveyance(&[&"up", &"--demo", &"--listen", &"127.0.0.1:0", &"--data", &data]);
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(!second.status.success() && said.contains("another conveyance process"), "{said}");
    let lag = json(&[&"lag", &"--data", &data, &"--json"]);
    assert!(lag["partitions"].as_array().is_some_and(|p| !p.is_empty()), "{lag}");
    let letters = json(&[&"dead-letters", &"list", &"--data", &data, &"--json"]);
    assert_eq!(letters["total"], 0, "{letters}");
    let missing = conveyance(&[&"explain", &"demo:none", &"--data", &data]);
    assert!(String::from_utf8_lossy(&missing.stderr).contains("no listing `demo:none`"));
    let stages = stages_of_an_added_listing(&address, &[&"--data", &data, &"--json"]);
    assert_eq!(stages, ["command", "tracked"]);
}

/// What `explain` says of a listing that a user added: no row of a feed is behind it.
fn stages_of_an_added_listing(address: &str, more: &[&dyn AsRef<OsStr>]) -> Vec<String> {
    let body = r#"{"commandId":"device-0123456789.1","action":"add","set":{"City":"Calgary","StandardStatus":"Active"}}"#;
    let (status, answer) = post(address, "/commands", body);
    assert_eq!(status, 202, "{answer}");
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    let key = answer["listingKey"].as_str().expect("a key");
    let mut arguments: Vec<&dyn AsRef<OsStr>> = vec![&"explain", &key];
    arguments.extend(more);
    let explained = loop {
        let said = conveyance(&arguments);
        if said.status.success() {
            break serde_json::from_slice::<Value>(&said.stdout).expect("JSON");
        }
    };
    let steps = explained["steps"].as_array().expect("steps");
    steps.iter().filter_map(|s| s["stage"].as_str()).map(str::to_owned).collect()
}

/// The running process tells how the flow does, to the page and to Prometheus.
fn assert_operated(address: &str) {
    let state: Value = loop {
        let ready = get(address, "/readyz").0 == 200;
        let state = serde_json::from_str(&get(address, "/flow/state").1).expect("JSON");
        if ready && appended(&state, "listing.current") >= 300 {
            break state;
        }
    };
    let services: Vec<_> = state["services"].as_array().expect("services").iter().collect();
    assert!(services.iter().all(|s| s["instances"] == 1 && s["dead_letters"] == 0), "{state}");
    assert_eq!(state["history"]["topics"]["listing.raw"].as_array().map(Vec::len), Some(60));
    let edge = &state["edges"][0];
    assert_eq!((&edge["service"], &edge["direction"]), (&"ingest".into(), &"write".into()));
    let (status, metrics) = get(address, "/metrics");
    assert_eq!(status, 200);
    for name in [
        "conveyance_undone_records{service=\"gateway\"",
        "conveyance_freshness_seconds_count",
        "conveyance_commit_seconds_count ",
    ] {
        assert!(metrics.contains(name), "no {name} in {metrics}");
    }
    assert_eq!(get(address, "/livez").0, 200);
    assert_eq!(get(address, "/dead-letters").0, 200);
}

fn appended(state: &Value, topic: &str) -> u64 {
    let topics = state["topics"].as_array().expect("topics");
    topics.iter().filter(|t| t["name"] == topic).filter_map(|t| t["records"].as_u64()).sum()
}
