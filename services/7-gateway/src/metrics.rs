//! `/metrics`: the state of the flow in Prometheus' text form. Work remaining comes first: that is what to alert on.

use std::fmt::Write;
use std::time::Duration;

use dataflow::Durations;

use crate::flow_state::FlowState;

/// What Prometheus is told the text is.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Bounds of the buckets of a histogram, in milliseconds.
const BOUNDS_MS: [u64; 14] =
    [2, 5, 10, 20, 40, 60, 100, 150, 250, 500, 1_000, 5_000, 30_000, 300_000];

/// Numbers that only the server knows, beside those of the flow.
#[derive(Debug, Clone, Default)]
pub(crate) struct Served {
    /// Requests being answered.
    pub(crate) requests: usize,
    /// Those who watch changes, where changes are served.
    pub(crate) subscribers: Option<usize>,
}

/// All figures of a process.
#[must_use]
pub(crate) fn text(state: &FlowState, served: Option<&Served>) -> String {
    let mut page = Page::default();
    undone(&mut page, state);
    topics(&mut page, state);
    trouble(&mut page, state);
    commits(&mut page, state);
    freshness(&mut page, state);
    if let Some(served) = served {
        page.head("conveyance_http_requests", "gauge", "Requests being answered.");
        page.line("conveyance_http_requests", &[], served.requests as f64);
        let name = "conveyance_sse_streams";
        page.head(name, "gauge", "Clients that watch changes.");
        page.line(name, &[], served.subscribers.unwrap_or(0) as f64);
    }
    process(&mut page, state);
    page.0
}

#[derive(Default)]
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let written = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
        written.expect("a string takes everything");
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.0.push_str(name);
        for (n, (label, value)) in labels.iter().enumerate() {
            let before = if n == 0 { '{' } else { ',' };
            write!(self.0, "{before}{label}=\"{}\"", escaped(value))
                .expect("a string takes everything");
        }
        let end = if labels.is_empty() { "" } else { "}" };
        writeln!(self.0, "{end} {value}").expect("a string takes everything");
    }

    fn histogram(&mut self, name: &str, labels: &[(&str, &str)], durations: &Durations) {
        let bucket = format!("{name}_bucket");
        let bounds = BOUNDS_MS.map(|ms| {
            let bound = Duration::from_millis(ms);
            (bound.as_secs_f64().to_string(), durations.up_to(bound))
        });
        let all = ("+Inf".to_owned(), durations.count());
        for (bound, count) in bounds.into_iter().chain([all]) {
            let labels = [labels, &[("le", &*bound)]].concat();
            self.line(&bucket, &labels, count as f64);
        }
        self.line(&format!("{name}_sum"), labels, durations.sum().as_secs_f64());
        self.line(&format!("{name}_count"), labels, durations.count() as f64);
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn undone(page: &mut Page, state: &FlowState) {
    let each = |page: &mut Page, name: &str, figure: fn(&crate::flow_state::Undone) -> f64| {
        for one in &state.undone {
            let partition = one.partition.to_string();
            let labels =
                [("service", &*one.service), ("topic", &*one.topic), ("partition", &*partition)];
            page.line(name, &labels, figure(one));
        }
    };
    let name = "conveyance_undone_records";
    page.head(name, "gauge", "Records that a service has not done yet.");
    each(page, name, |one| one.records as f64);
    let name = "conveyance_undone_oldest_seconds";
    page.head(name, "gauge", "Age of the oldest record that a service has not done yet.");
    each(page, name, |one| one.oldest_ms as f64 / 1000.0);
    let name = "conveyance_done_offset";
    page.head(name, "gauge", "Offset that a service will read next.");
    each(page, name, |one| one.next as f64);
}

fn topics(page: &mut Page, state: &FlowState) {
    let name = "conveyance_topic_appended_total";
    page.head(name, "counter", "Records appended to a topic since it was made.");
    for topic in &state.topics {
        page.line(name, &[("topic", &topic.name)], topic.appended as f64);
    }
    let name = "conveyance_topic_records";
    page.head(name, "gauge", "Offsets between the first and the last record of a topic.");
    for topic in &state.topics {
        page.line(name, &[("topic", &topic.name)], topic.records as f64);
    }
}

fn trouble(page: &mut Page, state: &FlowState) {
    let name = "conveyance_dead_letters";
    page.head(name, "gauge", "Dead letters that were not sent back yet, by reason.");
    for service in &state.services {
        for (reason, count) in &service.dead_letter_reasons {
            page.line(name, &[("service", &service.name), ("reason", reason)], *count as f64);
        }
    }
    let name = "conveyance_conditions";
    page.head(name, "gauge", "Things that are wrong now: `conveyance lag` says what to do.");
    page.line(name, &[], state.conditions.len() as f64);
    let name = "conveyance_service_instances";
    page.head(name, "gauge", "Running instances of a service.");
    for service in &state.services {
        if let Some(instances) = service.instances {
            page.line(name, &[("service", &service.name)], f64::from(instances));
        }
    }
}

fn commits(page: &mut Page, state: &FlowState) {
    let name = "conveyance_commit_seconds";
    let help = "How long commits took, from when nothing more was taken into one to the answer; embedded, of all services together and without the sync.";
    page.head(name, "histogram", help);
    for (service, durations) in &state.commits {
        let label: &[_] = if service.is_empty() { &[] } else { &[("service", &**service)] };
        page.histogram(name, label, durations);
    }
}

fn freshness(page: &mut Page, state: &FlowState) {
    let name = "conveyance_freshness_seconds";
    page.head(name, "histogram", "From a record's reading at its source to its being visible.");
    page.histogram(name, &[], &state.freshness.total);
    let behind = state.undone.iter().filter(|u| is_view(state, &u.service)).map(|u| u.oldest_ms);
    let name = "conveyance_view_behind_seconds";
    page.head(name, "gauge", "Age of the oldest record that the view does not show yet.");
    page.line(name, &[], behind.max().unwrap_or(0) as f64 / 1000.0);
}

fn is_view(state: &FlowState, service: &str) -> bool {
    state.services.iter().any(|s| s.name == service && s.kind == "view")
}

fn process(page: &mut Page, state: &FlowState) {
    let process = &state.process;
    page.head("conveyance_build_info", "gauge", "The version that runs.");
    page.line("conveyance_build_info", &[("version", process.version)], 1.0);
    page.head("process_cpu_seconds_total", "counter", "CPU time of the process.");
    page.line("process_cpu_seconds_total", &[], process.cpu_seconds);
    page.head("process_resident_memory_bytes", "gauge", "Resident memory of the process.");
    page.line("process_resident_memory_bytes", &[], process.resident_bytes as f64);
    page.head("process_open_fds", "gauge", "Open file descriptors of the process.");
    page.line("process_open_fds", &[], process.open_fds as f64);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::flow_state::{Freshness, Process, ServiceState, TopicState, Undone};

    fn durations(all_ms: &[u64]) -> Durations {
        let mut durations = Durations::default();
        all_ms.iter().for_each(|ms| durations.add(Duration::from_millis(*ms)));
        durations
    }

    fn state() -> FlowState {
        FlowState {
            services: vec![
                ServiceState {
                    name: "track".into(),
                    kind: "transform",
                    instances: Some(2),
                    dead_letter_reasons: BTreeMap::from([("no \"key\"".to_owned(), 3)]),
                    ..ServiceState::default()
                },
                ServiceState { name: "gateway".into(), kind: "view", ..ServiceState::default() },
            ],
            topics: vec![TopicState {
                name: "a".into(),
                appended: 12,
                records: 5,
                ..TopicState::default()
            }],
            undone: ["track", "gateway"]
                .iter()
                .zip([1500, 2250])
                .map(|(service, oldest_ms)| Undone {
                    service: (*service).to_owned(),
                    topic: "a".into(),
                    partition: 1,
                    next: 7,
                    records: 2,
                    oldest_ms,
                })
                .collect(),
            conditions: vec!["x".into()],
            commits: BTreeMap::from([("track".to_owned(), durations(&[4, 12]))]),
            freshness: Freshness {
                total: durations(&[10, 240, 250, 1_000]),
                ..Freshness::default()
            },
            process: Process {
                version: "1.2.3",
                cpu_seconds: 0.5,
                resident_bytes: 4096,
                open_fds: 9,
            },
            ..FlowState::default()
        }
    }

    #[test]
    fn figures_stand_under_their_names() {
        let text = text(&state(), Some(&Served { requests: 3, subscribers: Some(7) }));
        for line in [
            r#"conveyance_undone_records{service="track",topic="a",partition="1"} 2"#,
            r#"conveyance_undone_oldest_seconds{service="track",topic="a",partition="1"} 1.5"#,
            r#"conveyance_done_offset{service="gateway",topic="a",partition="1"} 7"#,
            r#"conveyance_topic_appended_total{topic="a"} 12"#,
            r#"conveyance_topic_records{topic="a"} 5"#,
            r#"conveyance_dead_letters{service="track",reason="no \"key\""} 3"#,
            "conveyance_conditions 1",
            r#"conveyance_service_instances{service="track"} 2"#,
            r#"conveyance_freshness_seconds_bucket{le="0.01"} 1"#,
            r#"conveyance_freshness_seconds_bucket{le="0.25"} 3"#,
            r#"conveyance_freshness_seconds_bucket{le="+Inf"} 4"#,
            "conveyance_freshness_seconds_sum 1.5",
            r#"conveyance_commit_seconds_bucket{service="track",le="0.005"} 1"#,
            r#"conveyance_commit_seconds_bucket{service="track",le="+Inf"} 2"#,
            r#"conveyance_commit_seconds_sum{service="track"} 0.016"#,
            r#"conveyance_commit_seconds_count{service="track"} 2"#,
            "conveyance_freshness_seconds_count 4",
            "conveyance_view_behind_seconds 2.25",
            "conveyance_http_requests 3",
            "conveyance_sse_streams 7",
            r#"conveyance_build_info{version="1.2.3"} 1"#,
            "process_resident_memory_bytes 4096",
        ] {
            assert!(text.lines().any(|l| l == line), "no line {line} in\n{text}");
        }
    }

    #[test]
    fn a_view_that_shows_nothing_yet_is_behind() {
        let mut state = state();
        state.freshness = Freshness::default();
        state.commits = BTreeMap::from([(String::new(), durations(&[4]))]);
        let text = text(&state, None);
        for line in [
            "conveyance_view_behind_seconds 2.25",
            "conveyance_freshness_seconds_count 0",
            "conveyance_commit_seconds_count 1",
        ] {
            assert!(text.lines().any(|l| l == line), "no line {line} in\n{text}");
        }
    }

    /// What the text form asks for: one head for each name, before its lines, and lines that can be read.
    #[test]
    fn the_text_is_well_formed() {
        let text = text(&state(), Some(&Served::default()));
        let mut known: Vec<&str> = Vec::new();
        for line in text.lines() {
            if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, _) = kind.split_once(' ').unwrap();
                assert!(!known.contains(&name), "two heads for {name}");
                known.push(name);
            } else if !line.starts_with("# HELP ") {
                let (name, value) = line.rsplit_once(' ').unwrap();
                let name = name.split('{').next().unwrap();
                let family = known.last().unwrap();
                assert!(name.starts_with(family), "{name} stands under {family}");
                assert!(value.parse::<f64>().is_ok(), "{line}");
            }
        }
        assert!(text.ends_with('\n'));
    }
}
