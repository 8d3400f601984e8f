//! What every bus must do, as a suite that each bus runs against itself.
//!
//! `conformance(make)` runs every case on a fresh bus for [`flow`]. Cases know only [`Bus`] and [`Member`]:
//! nothing here may depend on offsets without gaps (a log may keep markers between records), on how
//! partitions are shared out, or on how long anything takes.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "test support: a broken promise ends the test"
)]

mod cases;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use crate::batch::{Batch, BatchBuilder, Meta, NewRecord};
use crate::bus::{Assignment, Bus, Event, Member, Outcome, Want};
use crate::flow::{Flow, Form, Kind, Retention, ServiceSpec, State, TopicSpec};
use crate::unit::{Output, Progress, Unit};

/// Partitions of every topic of [`flow`].
pub const PARTITIONS: u16 = 4;
const POLL: Duration = Duration::from_millis(50);
/// So many polls without what was waited for mean that it never comes: about a minute.
const POLLS_MAX: usize = 1_200;
const BYTES: usize = 1 << 20;

/// One promise, tested on a fresh bus.
pub type Case = (&'static str, fn(&dyn Bus));

/// All cases.
pub const CASES: &[Case] = &[
    ("a unit commits whole", cases::a_unit_commits_whole),
    ("records keep their order and are read from anywhere", cases::records_keep_their_order),
    ("outcomes come in the order of submission", cases::outcomes_come_in_order),
    ("a rewind gives again what is not committed", cases::a_rewind_gives_again),
    ("a member that is dropped loses nothing", cases::a_dropped_member_loses_nothing),
    ("work under a stale epoch is refused, and what follows it", cases::stale_work_is_refused),
    ("work that was done twice counts once", cases::work_done_twice_counts_once),
    ("own state is as of the last committed unit", cases::own_state_is_committed),
    ("backed state is the last record of the key", cases::backed_state_is_the_last_record),
    ("a tombstone is the last word on its key", cases::a_tombstone_is_the_last_word),
    ("two members share and hand over", cases::two_members_share_and_hand_over),
    ("durable follows end and never leads", cases::durable_follows_end),
    ("backlog counts what is not done", cases::backlog_counts),
    ("an append from outside is durable when it returns", cases::an_append_is_durable),
    ("waiting ends when something is appended", cases::waiting_ends),
    ("a topic that is not there is an error", cases::an_unknown_topic_is_an_error),
];

/// A promise that the runtime uses where a bus keeps it: a bus that does not gives dead letters that come back
/// late to the service itself to judge.
pub const ROWS_OF_EVERY_SERVICE: Case =
    ("a service whose state is an output has rows of its own", cases::rows_of_every_service);

/// Runs all cases, each on a bus of its own. Panics with the name of the case that failed.
pub fn conformance(make: impl Fn(&Flow) -> Arc<dyn Bus>) {
    for (name, case) in CASES {
        let bus = make(&flow());
        eprintln!("conformance: {name}");
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| case(&*bus))) {
            eprintln!("conformance: not so: {name}");
            resume_unwind(panic);
        }
    }
}

/// The wiring that the cases use: `feed` -> `in` -> `work` -> `out`, and `in` -> `keep` -> `last` (compacted,
/// backing the state of `keep`).
///
/// # Panics
/// Never: the table is a constant.
#[must_use]
pub fn flow() -> Flow {
    let topic = |name: &str, retention| TopicSpec {
        name: name.to_owned(),
        key: "text".to_owned(),
        partitions: PARTITIONS,
        retention,
    };
    let service = |name: &str, kind, reads: &[&str], writes: &[&str], state| ServiceSpec {
        name: name.to_owned(),
        kind,
        reads: reads.iter().map(|r| ((*r).to_owned(), Form::Keyed)).collect(),
        writes: writes.iter().map(|w| (*w).to_owned()).collect(),
        state,
        does: String::new(),
    };
    let topics = vec![
        topic("in", Retention::Days(7)),
        topic("out", Retention::Days(7)),
        topic("last", Retention::Compacted { tombstone_days: 7 }),
    ];
    let services = vec![
        service("feed", Kind::Source, &[], &["in"], State::Own),
        service("work", Kind::Transform, &["in"], &["out"], State::Own),
        service("keep", Kind::Transform, &["in"], &["last"], State::BackedBy("last".to_owned())),
    ];
    Flow::new(topics, services).expect("the table agrees with itself")
}

/// A key with its value; `None` is a tombstone.
pub type Pair<'a> = (&'a str, Option<&'a str>);

/// A record as the cases compare it: offset, key, value.
pub type Seen = (u64, String, Option<String>);

/// One block of plain records.
#[must_use]
pub fn output(topic: &str, partition: u16, pairs: &[Pair<'_>]) -> Output {
    let mut builder = BatchBuilder::default();
    for (key, value) in pairs {
        builder.push(NewRecord {
            key: key.as_bytes(),
            value: value.map(str::as_bytes),
            meta: Meta {
                id: 1,
                trace: 2,
                kind: "k",
                source: "s",
                time_ms: 3,
                schema: 1,
                origin: 0,
            },
            headers: &[("h", b"x")],
        });
    }
    Output { topic: topic.into(), partition, count: builder.count(), block: builder.finish() }
}

/// A unit of these outputs and nothing else.
#[must_use]
pub fn unit(outputs: Vec<Output>) -> Unit {
    Unit { outputs, ..Unit::default() }
}

/// What is in batches, from an offset on.
pub fn seen(batches: &[Arc<Batch>], from: u64) -> Vec<Seen> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let records = batches.iter().flat_map(|b| b.records_from(from));
    records.map(|r| (r.offset, text(r.key), r.value.map(text))).collect()
}

/// Reads a topic partition to its end, at most `bytes_max` at a time, from `from` on.
pub fn read_all(bus: &dyn Bus, topic: &str, partition: u16, want: Want, from: u64) -> Vec<Seen> {
    let mut all = Vec::new();
    let mut next = from;
    loop {
        let batches = bus.read(topic, partition, next, want).unwrap();
        let Some(last) = batches.last() else { return all };
        all.extend(seen(&batches, next));
        assert!(last.next_offset() > next, "a read goes on");
        next = last.next_offset();
    }
}

/// Waits until it is so: a log may take a moment to show what is committed.
pub fn eventually(bus: &dyn Bus, what: &str, so: impl Fn() -> bool) {
    let mut mark = 0;
    for _ in 0..POLLS_MAX {
        if so() {
            return;
        }
        mark = bus.wait(mark, POLL);
    }
    panic!("{what} did not come");
}

/// Everything in a topic partition, once there are so many records.
pub fn read_until(
    bus: &dyn Bus,
    topic: &str,
    partition: u16,
    want: Want,
    count: usize,
) -> Vec<Seen> {
    let read = || read_all(bus, topic, partition, want, 0);
    eventually(bus, "a record", || read().len() >= count);
    read()
}

/// Everything visible.
const ALL: Want = Want { bytes_max: BYTES, durable: false };

/// A member with what it was told, driven by a case.
pub struct Seat {
    /// The member.
    pub member: Box<dyn Member>,
    /// Assignments that were restored and not released.
    pub owned: BTreeMap<u16, Assignment>,
    /// Revoked and not released yet.
    pub revoked: Vec<Assignment>,
    /// Records by topic and partition, once each.
    pub records: BTreeMap<(String, u16), Vec<Seen>>,
    /// Outcomes in the order they came.
    pub outcomes: Vec<(u64, Outcome)>,
    next_unit: u64,
}

impl Seat {
    /// Joins the group of a service of [`flow`].
    pub fn join(bus: &dyn Bus, service: &str) -> Self {
        Self {
            member: bus.join(flow().service(service).unwrap()).unwrap(),
            owned: BTreeMap::new(),
            revoked: Vec::new(),
            records: BTreeMap::new(),
            outcomes: Vec::new(),
            next_unit: 0,
        }
    }

    /// Joins and waits for all partitions.
    pub fn join_alone(bus: &dyn Bus, service: &str) -> Self {
        let mut seat = Self::join(bus, service);
        seat.until("all partitions", |s| s.owned.len() == usize::from(PARTITIONS));
        seat
    }

    /// One poll.
    pub fn poll(&mut self) {
        for event in self.member.poll(POLL, BYTES).unwrap() {
            self.on(event);
        }
    }

    fn on(&mut self, event: Event) {
        match event {
            Event::Assigned(a) => self.member.restore(a).unwrap(),
            Event::Restored(a) => drop(self.owned.insert(a.partition, a)),
            Event::Revoked(a) => self.revoked.push(a),
            Event::Lost(a) => drop(self.owned.remove(&a.partition)),
            Event::Outcome { unit, outcome } => self.outcomes.push((unit, outcome)),
            Event::Records { assignment, topic, batch, from } => {
                assert_eq!(
                    self.owned.get(&assignment.partition),
                    Some(&assignment),
                    "records come under an assignment that was restored"
                );
                let known =
                    self.records.entry((topic.to_string(), assignment.partition)).or_default();
                let next = known.last().map_or(from, |(offset, ..)| from.max(offset + 1));
                known.extend(seen(&[batch], next));
            }
        }
    }

    /// Polls until `done`.
    pub fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        for _ in 0..POLLS_MAX {
            if done(self) {
                return;
            }
            self.poll();
        }
        panic!("{what} did not come");
    }

    /// Waits for that many records of `in`, over all partitions.
    pub fn until_records(&mut self, count: usize) {
        self.until("records", |s| s.records.values().map(Vec::len).sum::<usize>() >= count);
    }

    /// The values received of a partition of `in`.
    pub fn values(&self, partition: u16) -> Vec<String> {
        let records = self.records.get(&("in".to_owned(), partition));
        records.into_iter().flatten().filter_map(|(_, _, value)| value.clone()).collect()
    }

    /// Progress up to and with the record at that place of what was received.
    pub fn progress(&self, partition: u16, count: usize) -> Progress {
        let records = &self.records[&("in".to_owned(), partition)];
        Progress {
            topic: "in".into(),
            partition,
            epoch: self.owned[&partition].epoch,
            next: records[count - 1].0 + 1,
        }
    }

    /// Hands a unit in; its number.
    pub fn submit(&mut self, mut unit: Unit) -> u64 {
        self.next_unit += 1;
        unit.id = self.next_unit;
        self.member.submit(unit).unwrap();
        self.next_unit
    }

    /// Hands a unit in and waits for its outcome.
    pub fn outcome(&mut self, unit: Unit) -> Outcome {
        let id = self.submit(unit);
        self.until("an outcome", |s| s.outcomes.iter().any(|(unit, _)| *unit == id));
        self.outcomes.iter().find(|(unit, _)| *unit == id).unwrap().1
    }

    /// Hands a unit in, which must commit.
    pub fn commit(&mut self, unit: Unit) {
        assert_eq!(self.outcome(unit), Outcome::Committed);
    }

    /// Goes back to what is committed.
    pub fn rewind(&mut self) {
        self.records.clear();
        self.member.rewind().unwrap();
    }

    /// The committed state of a key.
    pub fn state(&mut self, partition: u16, key: &str) -> Option<String> {
        let value = self.member.state(partition, key.as_bytes()).unwrap();
        value.map(|v| String::from_utf8_lossy(&v).into_owned())
    }
}

/// Appends values to a partition of `in`, with keys of their own.
pub fn feed(bus: &dyn Bus, partition: u16, values: &[&str]) {
    let pairs: Vec<_> = values.iter().map(|v| (*v, Some(*v))).collect();
    Seat::join(bus, "feed").commit(unit(vec![output("in", partition, &pairs)]));
}
