//! The same services as processes of their own on real Kafka: what comes out is what the embedded bus gives.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::Value;
use simulator::{Driver, Settings};

use crate::{assert_well, conveyance, get, json, load, real_inputs, repository};

/// Looks at something that has to become so; each look is a process that asks the brokers.
const LOOKS_MAX: u32 = 600;
/// Between two looks; what is looked at answers at once while it is not ready.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);
static NEXT: AtomicU32 = AtomicU32::new(0);

/// Where the broker is: the one that the environment names, or one that is started for this run.
#[allow(clippy::disallowed_methods, reason = "the set-up of the tests names the broker here")]
fn brokers() -> &'static str {
    static BROKERS: OnceLock<String> = OnceLock::new();
    BROKERS.get_or_init(|| {
        std::env::var("CONVEYANCE_TEST_KAFKA").unwrap_or_else(|_| {
            let output =
                Command::new(repository().join("deploy/kafka/broker")).arg("start").output();
            let output = output.expect("the script runs");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        })
    })
}

/// A flow of its own on the broker, with a folder for state.
struct Cluster {
    prefix: String,
    folder: tempfile::TempDir,
}

impl Cluster {
    fn new() -> Self {
        let number = NEXT.fetch_add(1, Ordering::SeqCst);
        let prefix = format!("p{}-{number}.", std::process::id());
        Self { prefix, folder: tempfile::tempdir().expect("a folder") }
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// Arguments, and behind them which Kafka.
    fn on(&self, arguments: &[&str]) -> Vec<std::ffi::OsString> {
        let mut all: Vec<std::ffi::OsString> = arguments.iter().map(Into::into).collect();
        all.extend(["--brokers", brokers(), "--prefix", &self.prefix, "--state"].map(Into::into));
        all.push(self.state().into());
        all
    }

    fn command(&self, arguments: &[&str]) -> std::process::Output {
        let all = self.on(arguments);
        let all: Vec<&dyn AsRef<std::ffi::OsStr>> = all.iter().map(|a| a as _).collect();
        conveyance(&all)
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.command(arguments);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| {
            panic!("{arguments:?} {e}: {}", String::from_utf8_lossy(&output.stderr))
        })
    }

    /// Starts a service and waits until it is ready.
    fn start(&self, arguments: &[&str]) -> Instance {
        let mut command = Command::new(env!("CARGO_BIN_EXE_conveyance"));
        command.arg("run").args(self.on(arguments)).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let mut out = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        out.read_line(&mut line).expect("a line");
        let health = line.trim().rsplit("http://").next().unwrap_or_default().to_owned();
        assert!(line.contains("/metrics at http://"), "{arguments:?} said {line:?}");
        let instance = Instance { child, out, health };
        until(&format!("{arguments:?} is ready"), || get(&instance.health, "/readyz").0 == 200);
        instance
    }
}

/// One running process.
struct Instance {
    child: Child,
    out: BufReader<std::process::ChildStdout>,
    health: String,
}

impl Instance {
    /// Tells it to stop, as a supervisor does; what it said until its end.
    fn terminate(mut self) -> (bool, String) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().is_ok_and(|s| s.success()));
        let status = self.child.wait().expect("it ends");
        let mut said = String::new();
        while self.out.read_line(&mut said).is_ok_and(|n| n > 0) {}
        (status.success(), said)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn until(what: &str, mut so: impl FnMut() -> bool) {
    let look = |_| {
        let found = so();
        if !found {
            std::thread::park_timeout(BETWEEN_LOOKS);
        }
        found
    };
    assert!((0..LOOKS_MAX).any(look), "after {LOOKS_MAX} looks it is not so that {what}");
}

/// What a topic says of each key, in order: everything but times, traces and positions.
type Story = BTreeMap<String, Vec<String>>;

fn story(lines: &[u8], last_only: bool) -> Story {
    let mut story = Story::new();
    for line in String::from_utf8_lossy(lines).lines() {
        let record: Value = serde_json::from_str(line).expect("JSON");
        let part = |name: &str| record[name].to_string();
        let said = ["partition", "ce_type", "ce_source", "ce_id", "schema", "headers", "value"];
        let said = said.map(part).join(" ");
        let key = story.entry(record["key"].as_str().expect("a key").to_owned()).or_default();
        if last_only {
            key.clear();
        }
        key.push(said);
    }
    story
}

/// Loads `feeds` on the embedded bus, and through services of their own on Kafka; compares everything.
fn comes_out_the_same(feeds: &Path, input: &Path) -> u64 {
    let cluster = Cluster::new();
    let embedded = cluster.folder.path().join("embedded");
    let (summary, errors) = load(feeds, input, &embedded);
    let listings = summary["listings"].as_u64().unwrap_or_else(|| panic!("{errors}"));

    assert!(cluster.command(&["topics", "apply"]).status.success());
    let (feeds, input) = (feeds.display().to_string(), input.display().to_string());
    let read = ["--feeds", &feeds, "--input", &input];
    let mut running = Vec::new();
    for slot in ["0", "1"] {
        running.push(cluster.start(&[&["normalize", "--slot", slot], &read[..]].concat()));
        running.push(cluster.start(&["track", "--slot", slot]));
    }
    let page = ["gateway", "--listen", "127.0.0.1:0"];
    running.push(cluster.start(&[&page[..], &read[..]].concat()));
    until("every partition of both services has an owner, and every instance a partition", || {
        let found = cluster.json(&["doctor", "--json", "--wait", "1"])["findings"].clone();
        found.as_array().expect("findings").iter().all(|f| f["place"] == "ingest")
    });

    let ingest = cluster.command(&[&["run", "ingest", "--once"], &read[..]].concat());
    assert!(ingest.status.success(), "{}", String::from_utf8_lossy(&ingest.stderr));
    until("nothing is left to do", || {
        let lag = cluster.json(&["lag", "--json"]);
        lag["partitions"].as_array().expect("partitions").iter().all(|p| p["records"] == 0)
    });
    let mut check = Value::Null;
    until("the view of the gateway has everything", || {
        check = cluster.json(&["check", "--json"]);
        check["ok"] == true && check["views"] == true
    });
    assert_eq!(check["listings"], listings, "{check}");
    assert_well(&embedded, listings);

    for topic in ["listing.changes", "listing.current", "listing.events", "media.wanted"] {
        let last_only = topic == "listing.current";
        let kafka = cluster.command(&["records", topic]).stdout;
        let sqlite = conveyance(&[&"records", &topic, &"--data", &embedded]).stdout;
        let (kafka, sqlite) = (story(&kafka, last_only), story(&sqlite, last_only));
        assert_eq!(kafka.len(), sqlite.len(), "{topic}");
        for (key, expect) in &sqlite {
            assert_eq!(kafka.get(key), Some(expect), "{topic} {key}");
        }
    }
    for instance in running {
        let (ended_well, said) = instance.terminate();
        assert!(ended_well && said.contains("stopped"), "{said}");
    }
    listings
}

#[test]
fn a_market_comes_out_of_kafka_as_of_the_embedded_bus() {
    const START_MS: i64 = 1_767_225_600_000; // 2026-01-01
    let folder = tempfile::tempdir().expect("a folder");
    let files = folder.path().join("files");
    std::fs::create_dir_all(&files).expect("a folder");
    let settings = Settings { rate_per_second: 50.0, ..Settings::new(11, 1_500) };
    let mut driver = Driver::open(&files, &settings, START_MS).expect("a market");
    for step in 1..=10 {
        driver.step(START_MS + step * 1_000).expect("a step of the market");
    }
    let pack = repository().join("packs/simulated-mls.toml");
    let feeds = folder.path().join("feeds.toml");
    let text = format!(
        "[[feed]]\nname = \"market\"\npack = \"{}\"\nfiles = [\"*.jsonl\"]\nmode = \"partial\"\nas_of = \"2026-01-01\"\n",
        pack.display()
    );
    std::fs::write(&feeds, text).expect("a file");
    assert!(comes_out_the_same(&feeds, &files) >= 1_500);
}

#[test]
fn real_inputs_come_out_of_kafka_as_of_the_embedded_bus() {
    let Some(input) = real_inputs() else { return };
    let feeds = repository().join("examples/real-data.toml");
    assert_eq!(comes_out_the_same(&feeds, &input), 21_436 + 8_825 + 12_608);
}

#[test]
fn topics_are_planned_made_and_then_as_they_should_be() {
    let cluster = Cluster::new();
    let early = cluster.command(&["run", "track"]);
    let said = String::from_utf8_lossy(&early.stderr).into_owned();
    assert!(!early.status.success() && said.contains("conveyance topics apply"), "{said}");

    let planned = cluster.command(&["topics", "plan", "--json"]);
    assert_eq!(planned.status.code(), Some(2));
    let plan: Value = serde_json::from_slice(&planned.stdout).expect("JSON");
    let steps = plan["steps"].as_array().expect("steps");
    assert!(steps.len() > 10 && steps.iter().all(|s| s["do"] == "make"), "{plan}");
    let applied = cluster.command(&["topics", "apply"]);
    assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
    let again = cluster.command(&["topics", "plan"]);
    let said = String::from_utf8_lossy(&again.stdout).into_owned();
    assert!(again.status.success() && said.contains("as the flow table says"), "{said}");

    until("the doctor misses the services, and nothing else", || {
        let doctor = cluster.command(&["doctor", "--json", "--wait", "1"]);
        let value: Value = serde_json::from_slice(&doctor.stdout).unwrap_or_default();
        let found = value["findings"].as_array().cloned().unwrap_or_default();
        let found: Vec<_> = found.iter().map(|f| f["found"].as_str().unwrap_or_default()).collect();
        doctor.status.code() == Some(2) && found == ["no instance runs"; 3]
    });
}

#[test]
fn a_cluster_that_is_not_named_well_is_refused() {
    for (arguments, words) in [
        (&["run", "track"][..], "--brokers HOST:PORT"),
        (&["run", "normalize", "--brokers", "127.0.0.1:1"], "--feeds feeds.toml"),
        (&["topics", "plan", "--kafka", "/nowhere.toml"], "check the path"),
        (&["topics", "plan", "--brokers", "h:1", "--security", "TLS"], "is not known"),
        (
            &["run", "gateway", "--brokers", "h:1", "--listen", "0.0.0.0:0"],
            "without tokens only this machine",
        ),
    ] {
        let all: Vec<&dyn AsRef<std::ffi::OsStr>> = arguments.iter().map(|a| a as _).collect();
        let output = conveyance(&all);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(words), "{arguments:?}: {said}");
    }
    let report = json(&[&"doctor", &"--wait", &"1", &"--json", &"--data", &embedded_folder()]);
    assert_eq!(report["ok"], true, "{report}");
}

/// A data folder on which a small load has ended: the doctor has nothing to say about it.
fn embedded_folder() -> PathBuf {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| tempfile::tempdir().expect("a folder"));
    let files = folder.path().join("files");
    std::fs::create_dir_all(&files).expect("a folder");
    let settings = Settings::new(3, 50);
    drop(Driver::open(&files, &settings, 1_767_225_600_000).expect("a market"));
    let feeds = folder.path().join("feeds.toml");
    let pack = repository().join("packs/simulated-mls.toml");
    let text = format!(
        "[[feed]]\nname = \"m\"\npack = \"{}\"\nfiles = [\"*.jsonl\"]\nmode = \"partial\"\nas_of = \"2026-01-01\"\n",
        pack.display()
    );
    std::fs::write(&feeds, text).expect("a file");
    let data = folder.path().join("data");
    let (summary, errors) = load(&feeds, &files, &data);
    assert_eq!(summary["listings"], 50, "{errors}");
    data
}
