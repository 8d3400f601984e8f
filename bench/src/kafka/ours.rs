//! The works as services of Conveyance, run as any service is: a `Worker` on the Kafka bus.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use bus_kafka::{KafkaBus, KafkaConfig};
use dataflow::bus::BusError;
use dataflow::flow::{Form, Kind, Retention, ServiceSpec, State, TopicSpec};
use dataflow::worker::{Worker, WorkerParts};
use dataflow::{Board, Emit, Failure, Flow, Input, Out, Reject, SystemClock, Transform};

use super::commits::Recorder;
use super::peers::Role;
use super::topics::PARTITIONS;
use super::works::{self, Work};

/// Schema of the values.
const SCHEMA: u16 = 1;
/// How long a worker waits when there is nothing to do.
const WAIT: Duration = Duration::from_millis(50);

/// Makes what the bus needs besides the input and the output.
pub(super) fn prepare(role: &Role) -> Result<()> {
    Ok(KafkaBus::make_topics(&config(role), &flow(role)?)?)
}

fn config(role: &Role) -> KafkaConfig {
    KafkaConfig::new(&role.brokers, &role.state)
}

/// Works until the process is killed, with so many instances of the service.
pub(super) fn work(role: &Role, threads: u32) -> Result<()> {
    let flow = flow(role)?;
    let board = Board::default();
    let bus = KafkaBus::connect(config(role), &flow, Arc::new(SystemClock), board.clone())?;
    let work = || -> Result<(), BusError> {
        let (work, output) = (role.work, role.output.clone());
        let make = move || -> Box<dyn Transform> {
            Box::new(Bench { work, output: output.clone(), buffer: Vec::new() })
        };
        let parts = WorkerParts {
            flow: &flow,
            service: &role.group,
            make: Box::new(make),
            clock: Arc::new(SystemClock),
            board: board.clone(),
        };
        let mut worker = Worker::join(&*bus, parts)?;
        loop {
            worker.step(WAIT)?;
        }
    };
    let recorder = Recorder::open(&role.state)?;
    // Each joins on its own thread: a group answers no newcomer while one of its members is not heard.
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let ended = recorder.follow(&bus, &role.group);
            eprintln!("commits are not recorded any more: {ended:?}");
            std::process::exit(1);
        });
        for _ in 0..threads {
            scope.spawn(|| {
                let ended = work();
                eprintln!("a worker ended: {ended:?}");
                // The others would go on, and be measured alone.
                std::process::exit(1);
            });
        }
    });
    Ok(())
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
