//! The works as services of Conveyance, run as any service is: a `Worker` on the Kafka bus.

use anyhow::{Result, bail};
use dataflow::flow::{Form, Kind, Retention, ServiceSpec, State, TopicSpec};
use dataflow::{Emit, Failure, Flow, Input, Out, Reject, Transform};

use super::peers::Role;
use super::topics::PARTITIONS;
use super::works::{self, Work};

/// Schema of the values.
const SCHEMA: u16 = 1;

/// Works until the process is killed.
pub(super) fn work(role: &Role) -> Result<()> {
    let _flow = flow(role)?;
    bail!("not yet")
}

fn flow(role: &Role) -> Result<Flow> {
    let topic = |name: &str| TopicSpec {
        name: name.to_owned(),
        key: "ListingKey".to_owned(),
        partitions: PARTITIONS,
        retention: Retention::Days(7),
    };
    let service = ServiceSpec {
        name: role.group.clone(),
        kind: Kind::Transform,
        reads: vec![(role.input.clone(), Form::Keyed)],
        writes: vec![role.output.clone()],
        state: if role.work == Work::State { State::Own } else { State::None },
        does: String::new(),
    };
    Flow::new(vec![topic(&role.input), topic(&role.output)], vec![service])
        .map_err(|error| anyhow::anyhow!("{error}"))
}

/// One of the works.
struct Bench {
    work: Work,
    output: String,
    buffer: Vec<u8>,
}

impl Transform for Bench {
    fn handle(&mut self, input: &Input<'_>, out: &mut Out<'_>) -> Result<(), Failure> {
        let bad = |error: anyhow::Error| Reject::new("bad_listing", error.to_string());
        let record = input.record;
        let value = record.value.ok_or_else(|| Reject::new("bad_listing", "no value"))?;
        let emit = |value| Emit {
            key: record.key,
            value: Some(value),
            kind: record.meta.kind,
            version: record.offset,
            schema: SCHEMA,
        };
        match self.work {
            Work::Copy => out.emit(&self.output, emit(value)),
            Work::Transform => {
                works::transform(value, &mut self.buffer).map_err(bad)?;
                out.emit(&self.output, emit(&self.buffer));
            }
            Work::State => {
                let after = works::last(value).map_err(bad)?;
                let before = out.state()?;
                if let Some(event) = works::change(before.as_deref(), &after) {
                    out.emit(&self.output, emit(&event));
                    out.put_state(emit(&after));
                }
            }
        }
        Ok(())
    }
}
