//! Topics planned, made and set; and what the brokers know of who works on what.

use bus_kafka::inspect;
use bus_kafka::plan::{self, Step};
use bus_kafka::topics::{self, WantedTopic};
use dataflow::bus::{Bus, BusError, Want};
use dataflow::conformance::{feed, flow, read_until};
use dataflow::flow::Retention;

use crate::support::Place;

fn apply(place: &Place) {
    let steps = plan::plan(&place.config, &place.flow).unwrap();
    plan::apply(&place.config, &steps).unwrap();
}

#[test]
fn what_is_missing_is_made_and_then_nothing_is_left_to_do() {
    let place = Place::bare(&flow());
    let steps = plan::plan(&place.config, &place.flow).unwrap();
    assert_eq!(steps.len(), topics::wanted(&place.flow, &place.config).len());
    assert!(steps.iter().all(|s| matches!(s, Step::Make(_))), "{steps:?}");
    plan::apply(&place.config, &steps).unwrap();
    assert_eq!(plan::plan(&place.config, &place.flow).unwrap(), []);
    drop(place.bus());
}

#[test]
fn a_changed_retention_is_set_and_what_others_set_stays() {
    let mut place = Place::bare(&flow());
    apply(&place);
    let name = place.flow.topics[0].name.clone();
    let full = place.config.topic(&name);
    // Somebody set another thing on the topic.
    let theirs = ("max.compaction.lag.ms".to_owned(), "2000000".to_owned());
    let mut all = vec![theirs.clone()];
    let wanted = topics::wanted(&place.flow, &place.config);
    let settings = &wanted.iter().find(|t| t.name == full).unwrap().settings;
    all.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    let (topic, settings) = (full.clone(), Vec::new());
    plan::apply(&place.config, &[Step::Set { topic, settings, all }]).unwrap();

    place.flow.topics[0].retention = Retention::Days(3);
    let steps = plan::plan(&place.config, &place.flow).unwrap();
    let [Step::Set { topic, settings, all }] = steps.as_slice() else { panic!("{steps:?}") };
    assert_eq!(*topic, full);
    let retention = settings.iter().find(|s| s.name == "retention.ms").unwrap();
    assert_eq!(retention.to, (3 * 24 * 60 * 60 * 1000).to_string());
    assert!(all.contains(&theirs), "{all:?}");
    plan::apply(&place.config, &steps).unwrap();
    assert_eq!(plan::plan(&place.config, &place.flow).unwrap(), []);
}

#[test]
fn batches_are_as_large_as_every_topic_takes() {
    let place = Place::new(&flow());
    let wanted = place.config.batch_bytes_max;
    assert_eq!(place.bus().config().batch_bytes_max, wanted);

    // A cluster of before, or of someone who wants it so.
    let (topic, settings) = (place.config.topic("in"), Vec::new());
    let all = vec![("max.message.bytes".to_owned(), "1048588".to_owned())];
    plan::apply(&place.config, &[Step::Set { topic, settings, all }]).unwrap();
    let bus = place.bus();
    assert_eq!(bus.config().batch_bytes_max, 1_048_588);
    // Each is its own key, too: 3 MB.
    let values: Vec<_> = (0..5).map(|n| noise(n, 300_000)).collect();
    feed(&*bus, 1, &values.iter().map(String::as_str).collect::<Vec<_>>());
    let all = Want { bytes_max: 8 << 20, durable: true };
    assert_eq!(read_until(&*bus, "in", 1, all, 5).len(), 5);

    let steps = plan::plan(&place.config, &place.flow).unwrap();
    let [Step::Set { settings, .. }] = steps.as_slice() else { panic!("{steps:?}") };
    let larger = settings.iter().find(|s| s.name == "max.message.bytes").unwrap();
    assert_eq!((&*larger.from, &*larger.to), ("1048588", &*wanted.to_string()));
    plan::apply(&place.config, &steps).unwrap();
    let bus = place.bus();
    assert_eq!(bus.config().batch_bytes_max, wanted);
    feed(&*bus, 1, &values.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(read_until(&*bus, "in", 1, all, 10).len(), 10);
}

/// Text that does not compress.
fn noise(seed: u64, len: usize) -> String {
    let mut state = seed;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'!' + ((state >> 33) % 90) as u8)
    };
    (0..len).map(|_| next()).collect()
}

#[test]
fn a_changed_partition_count_is_refused() {
    let place = Place::bare(&flow());
    let mut wanted = topics::wanted(&place.flow, &place.config);
    let change = |t: &mut WantedTopic| t.partitions += u16::from(t.name.ends_with(".in"));
    wanted.iter_mut().for_each(change);
    topics::make(&place.config, &wanted).unwrap();
    let steps = plan::plan(&place.config, &place.flow).unwrap();
    let [Step::Refuse { topic, why, works: false }] = steps.as_slice() else { panic!("{steps:?}") };
    assert!(topic.ends_with(".in") && why.contains("order"), "{topic}: {why}");
    plan::apply(&place.config, &steps).unwrap();
    assert_eq!(plan::plan(&place.config, &place.flow).unwrap(), steps, "it is left as it is");
}

#[test]
fn who_owns_what_is_told() {
    let place = Place::new(&flow());
    let bus = place.bus();
    let of = |service: &str| {
        let all = inspect::instances(&place.config, &place.flow).unwrap();
        all.into_iter().find(|i| i.service == service).unwrap()
    };
    assert_eq!(of("work").members, []);
    let mut member = bus.join(place.flow.service("work").unwrap()).unwrap();
    let owns_all = (0..200).any(|_| {
        drop(member.poll(std::time::Duration::from_millis(50), 0).unwrap());
        of("work").members.iter().any(|(_, owned)| *owned == [0, 1, 2, 3])
    });
    assert!(owns_all, "{:?}", of("work"));
    assert_eq!(of("work").partitions, 4);
    // A partition that was just made may not have its leader yet.
    let open =
        (0..200).find_map(|_| match inspect::open_transactions(&place.config, &place.flow) {
            Err(BusError::Busy(_)) => {
                drop(member.poll(std::time::Duration::from_millis(50), 0).unwrap());
                None
            }
            told => Some(told.unwrap()),
        });
    assert_eq!(open, Some(Vec::new()));
}
