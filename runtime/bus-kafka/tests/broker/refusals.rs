//! What is in the way at the start: each a refusal that says what to do.

use bus_kafka::topics::{self, WantedTopic};
use bus_kafka::{KafkaBus, Mechanism, Sasl};
use dataflow::bus::BusError;
use dataflow::conformance::flow;

use crate::support::{Place, sasl_brokers};

fn refusal(place: &Place) -> BusError {
    place.try_bus().err().expect("a refusal")
}

fn says(error: &BusError, parts: &[&str]) {
    let text = error.to_string();
    assert!(parts.iter().all(|part| text.contains(part)), "{parts:?} in: {text}");
}

#[test]
fn no_broker() {
    let mut place = Place::bare(&flow());
    place.config.brokers = "127.0.0.1:1".to_owned();
    place.config.request_timeout_ms = 1_000;
    let error = refusal(&place);
    assert!(matches!(error, BusError::Busy(_)), "waiting may help: {error:?}");
    says(&error, &["no broker answers at 127.0.0.1:1", "check"]);
}

#[test]
fn a_topic_is_missing() {
    let place = Place::bare(&flow());
    let mut wanted = topics::wanted(&place.flow, &place.config);
    wanted.retain(|t| !t.name.ends_with("last"));
    topics::make(&place.config, &wanted).unwrap();
    says(&refusal(&place), &["topics are missing: ", "last", "conveyance topics apply"]);
}

#[test]
fn a_topic_has_the_wrong_number_of_partitions() {
    let place = Place::bare(&flow());
    let mut wanted = topics::wanted(&place.flow, &place.config);
    let change = |t: &mut WantedTopic| t.partitions += u16::from(t.name.ends_with(".in"));
    wanted.iter_mut().for_each(change);
    topics::make(&place.config, &wanted).unwrap();
    says(&refusal(&place), &["in` has 5 partitions", "says 4", "order of keys"]);
}

fn as_user(place: &mut Place, user: &str, password: &str, mechanism: Mechanism) {
    place.config.brokers = sasl_brokers().to_owned();
    place.config.request_timeout_ms = 5_000;
    place.config.security.sasl =
        Some(Sasl { mechanism, user: user.to_owned(), password: password.to_owned() });
}

#[test]
fn a_password_is_wrong() {
    for mechanism in [Mechanism::Plain, Mechanism::ScramSha256] {
        let mut place = Place::bare(&flow());
        as_user(&mut place, "conveyance", "wrong", mechanism);
        let error = refusal(&place);
        assert!(matches!(error, BusError::Fatal(_)), "waiting does not help: {error:?}");
        says(&error, &["do not accept `conveyance`", "check name, password"]);
    }
}

#[test]
fn a_user_may_not() {
    let mut place = Place::new(&flow());
    as_user(&mut place, "stranger", "secret", Mechanism::Plain);
    // Topics that a user may not see are not there for it.
    says(&refusal(&place), &["topics are missing", "or let this user see them"]);
}

#[test]
fn a_user_who_may_is_let_in() {
    for mechanism in [Mechanism::Plain, Mechanism::ScramSha256] {
        let mut place = Place::bare(&flow());
        as_user(&mut place, "conveyance", "secret", mechanism);
        KafkaBus::make_topics(&place.config, &place.flow).unwrap();
        place.bus();
    }
}
