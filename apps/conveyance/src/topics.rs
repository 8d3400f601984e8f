//! `topics plan|apply`: the topics of the flow table on Kafka.

use std::process::ExitCode;

use anyhow::{Result, bail};
use bus_kafka::plan::{self, Step};
use serde_json::{Value, json};

use crate::cli::Topics;
use crate::print;

/// Exit code of `plan` when there is something to do, or something in the way.
const DIFFERENT: u8 = 2;

/// Says what would be done, or does it.
///
/// # Errors
/// What is in the way, with what to do.
pub(crate) fn run(command: &Topics) -> Result<ExitCode> {
    let (Topics::Plan(on) | Topics::Apply(on)) = command;
    let config = on.kafka.config()?;
    let steps = plan::plan(&config, &crate::flow::table())?;
    let value = told(&steps);
    if on.json {
        print::line(&value)
    } else {
        print::topics(&value)
    }
    let in_the_way = steps.iter().any(|s| matches!(s, Step::Refuse { works: false, .. }));
    if let Topics::Plan(_) = command {
        let code = if steps.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(DIFFERENT) };
        return Ok(code);
    }
    if in_the_way {
        bail!("nothing was done: see what is refused above");
    }
    plan::apply(&config, &steps)?;
    if !on.json && !steps.is_empty() {
        print::say("done");
    }
    Ok(ExitCode::SUCCESS)
}

fn told(steps: &[Step]) -> Value {
    let steps: Vec<Value> = steps
        .iter()
        .map(|step| match step {
            Step::Make(topic) => {
                let settings: serde_json::Map<_, _> =
                    topic.settings.iter().map(|(n, v)| ((*n).to_owned(), json!(v))).collect();
                json!({"do": "make", "topic": topic.name, "partitions": topic.partitions, "copies": topic.replication, "settings": settings})
            }
            Step::Set { topic, settings, .. } => {
                let settings: Vec<_> = settings
                    .iter()
                    .map(|s| json!({"name": s.name, "from": s.from, "to": s.to}))
                    .collect();
                json!({"do": "set", "topic": topic, "settings": settings})
            }
            Step::Refuse { topic, why, works } => {
                json!({"do": "refuse", "topic": topic, "why": why, "works": works})
            }
        })
        .collect();
    json!({"steps": steps})
}
