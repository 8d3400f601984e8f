//! What is in the way at the start: each a refusal that says what to do.

use bus_kafka::topics::{self, WantedTopic};
use bus_kafka::{KafkaBus, KafkaConfig, Mechanism, Sasl};
use dataflow::bus::BusError;
use dataflow::conformance::flow;

use crate::support::{Place, ca_file, sasl_brokers, tls_brokers};

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

type Change = fn(&mut KafkaConfig);

/// As the user who may, with the listener for TLS and what it takes to trust it, but for `change`.
fn over_tls(mechanism: Mechanism, change: Change) -> Place {
    let mut place = Place::bare(&flow());
    as_user(&mut place, "conveyance", "secret", mechanism);
    place.config.brokers = tls_brokers().to_owned();
    place.config.security.tls = true;
    place.config.security.ca_file = Some(ca_file().to_owned());
    change(&mut place.config);
    place
}

#[test]
fn a_user_who_may_is_let_in_over_tls() {
    for mechanism in [Mechanism::Plain, Mechanism::ScramSha256] {
        let place = over_tls(mechanism, |_| {});
        KafkaBus::make_topics(&place.config, &place.flow).unwrap();
        place.bus();
    }
}

#[test]
fn a_certificate_is_not_trusted() {
    let ca = ca_file().display().to_string();
    let cases: [(Change, &[&str]); 4] = [
        (|c| c.security.ca_file = None, &["TLS", "name a file", "`ca_file` in [tls]", "--ca-file"]),
        (
            // The certificate is for the number only.
            |c| c.brokers = c.brokers.replace("127.0.0.1", "localhost"),
            &["TLS", &ca, "`ca_file` in [tls]", "for this address"],
        ),
        (
            |c| c.security.ca_file = Some("no/such/ca.pem".into()),
            &["no/such/ca.pem", "`ca_file` in [tls]", "is there and PEM"],
        ),
        (
            |c| {
                c.security.ca_file = Some(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml").into())
            },
            &["Cargo.toml (`ca_file` in [tls]", "is there and PEM"],
        ),
    ];
    for (change, parts) in cases {
        let error = refusal(&over_tls(Mechanism::Plain, change));
        assert!(matches!(error, BusError::Fatal(_)), "waiting does not help: {error:?}");
        says(&error, parts);
    }
}

#[test]
fn a_password_is_wrong_over_tls() {
    let wrong = |c: &mut KafkaConfig| c.security.sasl.as_mut().unwrap().password = "wrong".into();
    for mechanism in [Mechanism::Plain, Mechanism::ScramSha256] {
        let error = refusal(&over_tls(mechanism, wrong));
        assert!(matches!(error, BusError::Fatal(_)), "waiting does not help: {error:?}");
        says(&error, &["do not accept `conveyance`", "check name, password"]);
    }
}

#[test]
fn a_listener_speaks_another_protocol() {
    let cases: [(Change, &str); 2] = [
        (|c| c.security.tls = false, "the listener for SASL_PLAINTEXT"),
        (|c| c.brokers = sasl_brokers().to_owned(), "the listener for SASL_SSL"),
    ];
    for (change, listener) in cases {
        let error = refusal(&over_tls(Mechanism::Plain, change));
        // A broker that goes down while it is asked looks the same.
        assert!(matches!(error, BusError::Busy(_)), "waiting may help: {error:?}");
        says(&error, &["check", listener, "[tls]", "[sasl]", "--security"]);
    }
}
