//! What flows at this moment, as `/flow/state` says it and `/metrics` counts it. The program, which has the log,
//! fills these plain values in about once a second; asking for them costs the log nothing.

use std::collections::BTreeMap;

use dataflow::Durations;
use serde::Serialize;

/// Services, topics and the edges between them, with how they do.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct FlowState {
    /// When this was looked at, in milliseconds since 1970.
    pub time_ms: i64,
    /// Services, in the order of the flow.
    pub services: Vec<ServiceState>,
    /// Topics.
    pub topics: Vec<TopicState>,
    /// What reads and writes what.
    pub edges: Vec<EdgeState>,
    /// What is wrong now, each with what to do.
    pub conditions: Vec<String>,
    /// How old a record is when it reaches the view.
    pub freshness: Freshness,
    /// The last minute.
    pub history: History,
    /// What is not done, for each service and partition; for `/metrics`.
    #[serde(skip)]
    pub undone: Vec<Undone>,
    /// How long commits took, by service, or of all together under no name; for `/metrics`.
    #[serde(skip)]
    pub commits: BTreeMap<String, Durations>,
    /// This process; for `/metrics`.
    #[serde(skip)]
    pub process: Process,
}

/// One service.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ServiceState {
    /// Name.
    pub name: String,
    /// `source`, `transform`, `effect` or `view`.
    pub kind: &'static str,
    /// What it does, in one line.
    pub does: String,
    /// Topics it reads.
    pub reads: Vec<String>,
    /// Topics it writes.
    pub writes: Vec<String>,
    /// Where it keeps what it remembers.
    pub state: String,
    /// Running instances, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instances: Option<u32>,
    /// Dead letters that were not sent back yet.
    pub dead_letters: u64,
    /// The same by reason code.
    pub dead_letter_reasons: BTreeMap<String, u64>,
    /// What holds it, each with what to do.
    pub held: Vec<String>,
}

/// One topic.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct TopicState {
    /// Name.
    pub name: String,
    /// What its key is, in words.
    pub key: String,
    /// Number of partitions.
    pub partitions: u16,
    /// What stays how long, in words.
    pub retention: String,
    /// Records appended a second, over the last seconds.
    pub rate_per_s: f64,
    /// Offsets between the first and the last record that are there.
    pub records: u64,
    /// Records appended since the topic was made; for `/metrics`.
    #[serde(skip)]
    pub appended: u64,
}

/// A service's way to or from a topic.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct EdgeState {
    /// The service.
    pub service: String,
    /// The topic.
    pub topic: String,
    /// Which way records go.
    pub direction: Direction,
    /// Records that the service has not done; only for what it reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag: Option<u64>,
    /// Age of the oldest of them in milliseconds.
    pub oldest_ms: Option<i64>,
    /// Records a second, over the last seconds.
    pub rate_per_s: f64,
}

/// Which way records go on an edge.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From the topic to the service.
    #[default]
    Read,
    /// From the service to the topic.
    Write,
}

/// From the moment a record was read at its source to the moment it could be seen, over the last minute.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Freshness {
    /// Half of the records were seen within this time.
    pub p50_ms: Option<u64>,
    /// 99 of 100 records were seen within this time.
    pub p99_ms: Option<u64>,
    /// Records that were measured.
    pub samples: u64,
    /// All that were measured since the process started; for `/metrics`.
    #[serde(skip)]
    pub total: Durations,
}

/// Records appended in each second, oldest first, by topic.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct History {
    /// Length of the lists.
    pub seconds: usize,
    /// The lists.
    pub topics: BTreeMap<String, Vec<u64>>,
}

/// What one service has not done in one partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Undone {
    /// The service.
    pub service: String,
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: u16,
    /// Offset that it will read next.
    pub next: u64,
    /// Records not done.
    pub records: u64,
    /// Age of the oldest of them in milliseconds; 0 when there is none.
    pub oldest_ms: i64,
}

/// What the process uses.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Process {
    /// Version of the program.
    pub version: &'static str,
    /// CPU time, in seconds.
    pub cpu_seconds: f64,
    /// Resident memory, in bytes.
    pub resident_bytes: u64,
    /// Open file descriptors.
    pub open_fds: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_page_is_told_what_it_draws_and_no_more() {
        let state = FlowState {
            time_ms: 5,
            edges: vec![
                EdgeState {
                    service: "track".into(),
                    topic: "a".into(),
                    lag: Some(2),
                    oldest_ms: Some(30),
                    ..EdgeState::default()
                },
                EdgeState { direction: Direction::Write, rate_per_s: 1.5, ..EdgeState::default() },
            ],
            undone: vec![Undone::default()],
            ..FlowState::default()
        };
        assert_eq!(
            serde_json::to_value(&state).unwrap(),
            json!({
                "time_ms": 5, "services": [], "topics": [], "conditions": [],
                "edges": [
                    {"service": "track", "topic": "a", "direction": "read", "lag": 2, "oldest_ms": 30, "rate_per_s": 0.0},
                    {"service": "", "topic": "", "direction": "write", "oldest_ms": null, "rate_per_s": 1.5},
                ],
                "freshness": {"p50_ms": null, "p99_ms": null, "samples": 0},
                "history": {"seconds": 0, "topics": {}},
            })
        );
    }
}
