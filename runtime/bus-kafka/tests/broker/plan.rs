//! Topics planned, made and set; and what the brokers know of who works on what.

use bus_kafka::inspect;
use bus_kafka::plan::{self, Step};
use bus_kafka::topics::{self, WantedTopic};
use dataflow::bus::{Bus, BusError};
use dataflow::conformance::flow;
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
    let all = vec![("max.message.bytes".to_owned(), "2000000".to_owned())];
    let (topic, settings) = (full.clone(), Vec::new());
    plan::apply(&place.config, &[Step::Set { topic, settings, all }]).unwrap();

    place.flow.topics[0].retention = Retention::Days(3);
    let steps = plan::plan(&place.config, &place.flow).unwrap();
    let [Step::Set { topic, settings, all }] = steps.as_slice() else { panic!("{steps:?}") };
    assert_eq!(*topic, full);
    let retention = settings.iter().find(|s| s.name == "retention.ms").unwrap();
    assert_eq!(retention.to, (3 * 24 * 60 * 60 * 1000).to_string());
    assert!(all.contains(&("max.message.bytes".to_owned(), "2000000".to_owned())), "{all:?}");
    plan::apply(&place.config, &steps).unwrap();
    assert_eq!(plan::plan(&place.config, &place.flow).unwrap(), []);
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
