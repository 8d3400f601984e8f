//! State, feeds and records at their limits.

use dataflow::bus::Want;
use dataflow::bus::{Bus, BusError};
use dataflow::conformance::{PARTITIONS, Seat, feed, flow, output, read_until, unit};
use dataflow::unit::{StateWrite, Unit};
use dataflow::worker::{Worker, WorkerParts};
use dataflow::{Board, Durations, Emit, Failure, Input, Out, SystemClock, Transform};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::sync::Arc;
use std::time::Duration;

use crate::support::Place;

const ALL: Want = Want { bytes_max: 1 << 20, durable: true };

fn keep(seat: &mut Seat, values: &[&str]) {
    for value in values {
        seat.commit(unit(vec![output("last", 1, &[("k", Some(*value)), (value, Some("x"))])]));
    }
}

#[test]
fn a_lost_copy_is_restored_and_a_kept_one_goes_on() {
    let mut place = Place::new(&flow());
    let bus = place.bus();
    let mut seat = Seat::join_alone(&*bus, "keep");
    keep(&mut seat, &["1", "2", "3"]);
    seat.commit(unit(vec![output("last", 1, &[("2", None)])]));
    drop(seat);
    let times = bus.commit_times().all();
    assert_eq!(times.get("keep").map(Durations::count), Some(4), "{times:?}");
    for lost in [false, true] {
        if lost {
            place.config.state_dir = place.config.state_dir.join("elsewhere");
        }
        let bus = place.bus();
        let mut seat = Seat::join_alone(&*bus, "keep");
        assert_eq!(seat.state(1, "k").as_deref(), Some("3"), "lost: {lost}");
        assert_eq!(seat.state(1, "1").as_deref(), Some("x"));
        assert_eq!(seat.state(1, "2"), None, "a tombstone is restored too");
    }
}

#[test]
fn a_feed_is_read_by_one_instance() {
    let place = Place::new(&flow());
    let bus = place.bus();
    let lanes: Vec<String> = (0..20).map(|n| format!("feed {n}")).collect();
    let mut one = Seat::join(&*bus, "feed");
    assert!(lanes.iter().all(|lane| one.member.owns_lane(lane)));
    let row = |lane: &str, value: &str| StateWrite {
        partition: 0,
        key: format!("{lane}\0place").into_bytes(),
        value: Some(value.as_bytes().into()),
    };
    for lane in &lanes {
        one.commit(Unit { state: vec![row(lane, "1")], ..Unit::default() });
    }
    let (done, is_done) = std::sync::mpsc::sync_channel(1);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let two = Seat::join(&*bus, "feed");
            done.send(two).unwrap();
        });
        let mut two = loop {
            one.poll();
            if let Ok(two) = is_done.try_recv() {
                break two;
            }
        };
        let shared = |one: &Seat, two: &Seat| {
            lanes.iter().all(|l| one.member.owns_lane(l) != two.member.owns_lane(l))
                && lanes.iter().any(|l| two.member.owns_lane(l))
        };
        for _ in 0..1_200 {
            if shared(&one, &two) {
                break;
            }
            one.poll();
            two.poll();
        }
        assert!(shared(&one, &two), "every feed has one reader");
        let moved = lanes.iter().find(|l| two.member.owns_lane(l)).unwrap();
        assert_eq!(two.state(0, &format!("{moved}\0place")).as_deref(), Some("1"));
        let stale = Unit { state: vec![row(moved, "2")], ..Unit::default() };
        assert_eq!(one.outcome(stale), dataflow::bus::Outcome::Aborted, "it is not its any more");
        two.commit(Unit { state: vec![row(moved, "3")], ..Unit::default() });
    });
}

struct Blow(usize);

impl Transform for Blow {
    fn handle(&mut self, input: &Input<'_>, out: &mut Out<'_>) -> Result<(), Failure> {
        let long = input.record.value == Some(&b"long"[..]);
        let value = vec![b'x'; if long { self.0 } else { 1 }];
        let key = input.record.key;
        out.emit("out", Emit { key, value: Some(&value), kind: "k", version: 1, schema: 1 });
        Ok(())
    }
}

#[test]
fn a_record_too_large_is_a_dead_letter_and_holds_nothing_up() {
    let place = Place::new(&flow());
    let bus = place.bus();
    feed(&*bus, 1, &["1", "long", "2"]);
    let largest = place.config.record_bytes_max;
    let parts = WorkerParts {
        flow: &place.flow,
        service: "work",
        make: Box::new(move || Box::new(Blow(largest + 1))),
        clock: Arc::new(SystemClock),
        board: Board::default(),
    };
    let mut worker = Worker::join(&*bus, parts).unwrap();
    let outputs = |bus: &dyn Bus| -> usize {
        let read = |p| bus.read("out", p, 0, ALL).unwrap();
        (0..PARTITIONS).flat_map(read).map(|b| b.len()).sum()
    };
    for _ in 0..1_200 {
        worker.step(Duration::from_millis(50)).unwrap();
        if outputs(&*bus) == 2 {
            break;
        }
    }
    assert_eq!(outputs(&*bus), 2);
    let dead = read_until(&*bus, "work.dead-letters", 1, ALL, 1);
    assert_eq!(dead[0].2.as_deref(), Some("long"));
    let batches = bus.read("work.dead-letters", 1, 0, ALL).unwrap();
    assert_eq!(batches[0].get(0).unwrap().header("cv_code"), Some(&b"too_large"[..]));
}

#[test]
fn what_retention_took_is_said_and_the_rest_goes_on() {
    let place = Place::new(&flow());
    let bus = place.bus();
    feed(&*bus, 2, &["1", "2", "3", "4"]);
    let mut seat = Seat::join_alone(&*bus, "work");
    seat.until_records(4);
    seat.commit(Unit { progress: vec![seat.progress(2, 1)], ..Unit::default() });
    drop((seat, bus));
    let admin: AdminClient<DefaultClientContext> = place.config.client().create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&place.config.topic("in"), 2, Offset::Offset(3)).unwrap();
    crate::support::block_on(admin.delete_records(&list, &AdminOptions::new())).unwrap();
    let bus = place.bus();
    let mut seat = Seat::join_alone(&*bus, "work");
    seat.until_records(1);
    assert_eq!(seat.values(2), ["4"]);
    let told = place.board.conditions();
    let told = told.iter().find(|(_, text)| text.contains("removed by the retention"));
    assert!(told.is_some_and(|(_, text)| text.contains("records 1 to 2")), "{told:?}");
}

#[test]
fn a_slot_is_held_once() {
    let mut place = Place::new(&flow());
    place.config.slot = Some(1);
    let bus = place.bus();
    let _first = Seat::join(&*bus, "work");
    let second = bus.join(place.flow.service("work").unwrap());
    let Err(BusError::Fatal(text)) = second.map(|_| ()) else { panic!("a slot was given twice") };
    assert!(text.contains("slot 1 of `work` is held"), "{text}");
}
