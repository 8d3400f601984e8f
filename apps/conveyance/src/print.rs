//! What people read on a terminal. The only place of this program that prints to standard output.

use std::io::Write;

use dataflow::Flow;
use dataflow::flow::{Kind, Retention, State};
use serde_json::{Value, json};

/// Prints a line. Who closes the pipe (`| head`) has read enough: that is no failure.
macro_rules! out {
    ($($text:tt)*) => { drop(writeln!(std::io::stdout(), $($text)*)) };
}

/// One JSON object on one line.
pub(crate) fn line(value: &Value) {
    out!("{value}");
}

/// JSON for people.
pub(crate) fn value(value: &Value) {
    out!("{value:#}");
}

/// One line of text.
pub(crate) fn say(text: &str) {
    out!("{text}");
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn number(value: &Value, name: &str) -> i64 {
    value.get(name).and_then(Value::as_i64).unwrap_or_default()
}

fn rows<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

/// The flow table.
pub(crate) fn flow(flow: &Flow, as_json: bool) {
    if as_json {
        return line(&flow_json(flow));
    }
    out!("{:<11} {:<32} {:<62} STATE", "SERVICE", "READS", "WRITES");
    for s in &flow.services {
        let reads: Vec<_> =
            s.reads.iter().map(|(t, _)| t.as_str()).filter(|t| !t.ends_with(".redrive")).collect();
        out!(
            "{:<11} {:<32} {:<62} {}",
            s.name,
            or_dash(&reads.join(", ")),
            or_dash(&s.writes.join(", ")),
            state_text(&s.state)
        );
    }
    out!("\n{:<24} {:>10}  {:<22} KEPT", "TOPIC", "PARTITIONS", "KEY");
    for t in &flow.topics {
        out!("{:<24} {:>10}  {:<22} {}", t.name, t.partitions, t.key, retention_text(t.retention));
    }
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

/// The kind of a service.
pub(crate) fn kind_text(kind: Kind) -> &'static str {
    match kind {
        Kind::Source => "source",
        Kind::Transform => "transform",
        Kind::Effect => "effect",
        Kind::View => "view",
    }
}

/// Where a service keeps what it remembers.
pub(crate) fn state_text(state: &State) -> String {
    match state {
        State::None => "-".to_owned(),
        State::Own => "own".to_owned(),
        State::BackedBy(topic) => format!("in {topic}"),
    }
}

/// What stays in a topic how long.
pub(crate) fn retention_text(retention: Retention) -> String {
    match retention {
        Retention::Days(days) => format!("{days} days"),
        Retention::LastOfEachKey { days } => {
            format!("the last of each key for ever, older ones {days} days")
        }
        Retention::Compacted { tombstone_days } => {
            format!("the last of each key (deletions {tombstone_days} days)")
        }
    }
}

fn flow_json(flow: &Flow) -> Value {
    let services = flow.services.iter().map(|s| {
        let reads: Vec<_> = s.reads.iter().map(|(t, _)| t).collect();
        json!({"name": s.name, "kind": kind_text(s.kind), "reads": reads, "writes": s.writes, "state": state_text(&s.state), "does": s.does})
    });
    let topics = flow.topics.iter().map(|t| json!({"name": t.name, "key": t.key, "partitions": t.partitions, "compacted": t.compacted(), "kept": retention_text(t.retention)}));
    json!({"services": services.collect::<Vec<_>>(), "topics": topics.collect::<Vec<_>>()})
}

/// The AsyncAPI document of the flow.
#[must_use]
pub(crate) fn asyncapi(flow: &Flow) -> Value {
    let users = |topic: &str| {
        let writes: Vec<&str> = flow
            .services
            .iter()
            .filter(|s| s.writes.iter().any(|w| w == topic))
            .map(|s| s.name.as_str())
            .collect();
        let reads: Vec<&str> = flow
            .services
            .iter()
            .filter(|s| s.reads.iter().any(|(r, _)| r == topic))
            .map(|s| s.name.as_str())
            .collect();
        (writes, reads)
    };
    let used: Vec<_> = flow.topics.iter().map(|t| (t, users(&t.name))).collect();
    let topics: Vec<_> = used
        .iter()
        .map(|(t, (writes, reads))| messages::Topic {
            name: &t.name,
            key: &t.key,
            partitions: t.partitions,
            compacted: t.compacted(),
            written_by: writes,
            read_by: reads,
        })
        .collect();
    messages::asyncapi(env!("CARGO_PKG_VERSION"), &topics)
}

/// `lag`: only partitions with something undone, then what is wrong.
pub(crate) fn lag(value: &Value) {
    let undone: Vec<_> = rows(value, "partitions").filter(|p| number(p, "records") > 0).collect();
    if undone.is_empty() {
        out!("nothing is waiting: every service has done all that it was given");
    } else {
        out!(
            "{:<11} {:<24} {:>9} {:>10} {:>10}",
            "SERVICE",
            "TOPIC",
            "PARTITION",
            "RECORDS",
            "OLDEST"
        );
    }
    for p in undone {
        let age = format!("{} s", number(p, "oldest_seconds"));
        out!(
            "{:<11} {:<24} {:>9} {:>10} {age:>10}",
            text(p, "service"),
            text(p, "topic"),
            number(p, "partition"),
            number(p, "records")
        );
    }
    for c in rows(value, "conditions") {
        out!("! {}: {}", text(c, "place"), text(c, "condition"));
    }
}

/// `topics plan`.
pub(crate) fn topics(value: &Value) {
    let steps: Vec<_> = rows(value, "steps").collect();
    if steps.is_empty() {
        out!("every topic is as the flow table says");
    }
    for step in steps {
        let topic = text(step, "topic");
        match text(step, "do") {
            "make" => {
                let settings = step.get("settings").and_then(Value::as_object);
                let settings: Vec<_> = settings
                    .into_iter()
                    .flatten()
                    .map(|(name, v)| format!("{name}={}", v.as_str().unwrap_or_default()))
                    .collect();
                let (partitions, copies) = (number(step, "partitions"), number(step, "copies"));
                out!(
                    "+ {topic}: {partitions} partitions, {copies} copies, {}",
                    settings.join(", ")
                );
            }
            "set" => {
                for s in rows(step, "settings") {
                    out!(
                        "~ {topic}: {} {} -> {}",
                        text(s, "name"),
                        or_dash(text(s, "from")),
                        text(s, "to")
                    );
                }
            }
            _ => out!("! {topic}: {}", text(step, "why")),
        }
    }
}

/// `doctor`.
pub(crate) fn doctor(value: &Value) {
    let mut findings = rows(value, "findings").peekable();
    if findings.peek().is_none() {
        out!("nothing is wrong: everyone works, every partition moves, no transaction is stuck");
    }
    for f in findings {
        out!("! {}: {}\n    {}", text(f, "place"), text(f, "found"), text(f, "advice"));
    }
}

/// `dead-letters list`.
pub(crate) fn dead_letters(value: &Value) {
    let total = number(value, "total");
    out!("{total} dead letters");
    for (reason, count) in value.get("by_reason").and_then(Value::as_object).into_iter().flatten() {
        out!("  {count:>8}  {reason}");
    }
    for letter in rows(value, "dead_letters") {
        let place = match (text(letter, "file"), text(letter, "line")) {
            ("", _) => String::new(),
            (file, line) => format!(" {file}:{line}"),
        };
        let again = if letter.get("redriven").and_then(Value::as_bool) == Some(true) {
            " (redriven)"
        } else {
            ""
        };
        out!(
            "{}  {}{place}{again}\n    {}: {}",
            text(letter, "id"),
            text(letter, "key"),
            text(letter, "code"),
            text(letter, "message")
        );
    }
}

/// `explain`.
pub(crate) fn explain(value: &Value) {
    out!("{}", text(value, "ListingKey"));
    for step in rows(value, "steps") {
        out!(
            "\n{}  {}/{} offset {}  {}",
            text(step, "stage"),
            text(step, "topic"),
            number(step, "partition"),
            number(step, "offset"),
            text(step, "time")
        );
        if let Some(value) = step.get("value") {
            out!("{value:#}");
        }
        for note in rows(step, "notes").filter_map(Value::as_str) {
            out!("  note: {note}");
        }
    }
}

/// `check`.
pub(crate) fn check(value: &Value) {
    let (listings, events, differences) =
        (number(value, "listings"), number(value, "events"), number(value, "differences"));
    if differences == 0 {
        let views = match value.get("views").and_then(Value::as_bool) {
            Some(false) => {
                "there are no views here to compare: ask where a gateway runs, with its --state"
            }
            _ => "the views hold the same",
        };
        out!("well: {listings} listings; {events} events fold to exactly them, and {views}");
        return;
    }
    out!("{differences} differences over {listings} listings and {events} events; the first:");
    for text in rows(value, "first_differences").filter_map(Value::as_str) {
        out!("  {text}");
    }
    out!(
        "Stop conveyance, delete views.db in the data folder and start again: views are rebuilt from the log."
    );
}

/// The summary of a load.
pub(crate) fn load(value: &Value) {
    out!(
        "{:<18} {:>10} {:>10} {:>10} {:>10} {:>12}",
        "FEED",
        "READ",
        "SENT",
        "UNCHANGED",
        "DELETED",
        "DEAD LETTERS"
    );
    for (name, feed) in value.get("feeds").and_then(Value::as_object).into_iter().flatten() {
        out!(
            "{name:<18} {:>10} {:>10} {:>10} {:>10} {:>12}",
            number(feed, "read"),
            number(feed, "sent"),
            number(feed, "unchanged"),
            number(feed, "deleted"),
            number(feed, "dead_letters")
        );
    }
    let events = value.get("events").and_then(Value::as_object).into_iter().flatten();
    let events: Vec<String> = events.map(|(name, n)| format!("{n} {name}")).collect();
    out!(
        "{} listings; events: {}",
        number(value, "listings"),
        if events.is_empty() { "none".to_owned() } else { events.join(", ") }
    );
    out!("{:.1} seconds", value.get("seconds").and_then(Value::as_f64).unwrap_or_default());
}
