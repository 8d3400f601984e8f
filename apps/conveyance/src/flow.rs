//! The flow table: the wiring of Conveyance, as data. `conveyance flow` prints it; AsyncAPI comes from it.

use dataflow::Flow;
use dataflow::flow::{Form, Kind, Retention, ServiceSpec, State, TopicSpec};
use messages::topics::{
    COMMAND_RESULTS, LISTING_CHANGES, LISTING_CURRENT, LISTING_EVENTS, LISTING_PARTITIONS,
    LISTING_RAW, MEDIA_WANTED,
};

/// Name of the source service.
pub(crate) const INGEST: &str = "ingest";
/// Name of the mapping service.
pub(crate) const NORMALIZE: &str = "normalize";
/// Name of the tracking service.
pub(crate) const TRACK: &str = "track";
/// Name of the serving service.
pub(crate) const GATEWAY: &str = "gateway";

/// Days that deletions are kept in compacted topics; a view that is older is rebuilt.
const TOMBSTONE_DAYS: u32 = 7;

/// The table.
#[must_use]
pub(crate) fn table() -> Flow {
    Flow::new(topics(), services()).expect("the table does not contradict itself: a test says so")
}

fn topics() -> Vec<TopicSpec> {
    let listing = |name: &str, retention| TopicSpec {
        name: name.to_owned(),
        key: "ListingKey".to_owned(),
        partitions: LISTING_PARTITIONS,
        retention,
    };
    vec![
        listing(LISTING_RAW, Retention::LastOfEachKey { days: 30 }),
        listing(LISTING_CHANGES, Retention::Days(7)),
        listing(LISTING_CURRENT, Retention::Compacted { tombstone_days: TOMBSTONE_DAYS }),
        listing(LISTING_EVENTS, Retention::LastOfEachKey { days: 365 }),
        listing(MEDIA_WANTED, Retention::Days(30)),
        listing(COMMAND_RESULTS, Retention::Days(7)),
    ]
}

fn services() -> Vec<ServiceSpec> {
    vec![
        ServiceSpec {
            name: INGEST.to_owned(),
            kind: Kind::Source,
            reads: vec![],
            writes: vec![LISTING_RAW.to_owned()],
            state: State::Own,
            does: "reads feeds, resumes where it stopped, finds deletes".to_owned(),
        },
        ServiceSpec {
            name: NORMALIZE.to_owned(),
            kind: Kind::Transform,
            reads: vec![(LISTING_RAW.to_owned(), Form::Keyed)],
            writes: vec![LISTING_CHANGES.to_owned()],
            state: State::None,
            does: "maps columns to RESO fields, standardises the address, finds the place"
                .to_owned(),
        },
        ServiceSpec {
            name: TRACK.to_owned(),
            kind: Kind::Transform,
            reads: vec![(LISTING_CHANGES.to_owned(), Form::Keyed)],
            writes: [LISTING_CURRENT, LISTING_EVENTS, MEDIA_WANTED, COMMAND_RESULTS]
                .map(str::to_owned)
                .to_vec(),
            state: State::BackedBy(LISTING_CURRENT.to_owned()),
            does: "drops stale and unchanged, applies commands, says what changed".to_owned(),
        },
        ServiceSpec {
            name: GATEWAY.to_owned(),
            kind: Kind::View,
            reads: vec![
                (LISTING_CURRENT.to_owned(), Form::Keyed),
                (LISTING_EVENTS.to_owned(), Form::Keyed),
                (COMMAND_RESULTS.to_owned(), Form::Keyed),
            ],
            writes: vec![LISTING_CHANGES.to_owned()],
            state: State::None,
            does: "keeps the read models, serves them and their changes, takes commands".to_owned(),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_whole() {
        let flow = table();
        assert_eq!(flow.services.len(), 4);
        assert!(flow.topic("normalize.dead-letters").is_some());
        assert!(flow.topic("track.redrive").is_some());
    }
}
