//! `POST /commands` -> listing.changes.
//!
//! A command is checked at the door for what no listing would take, made durable, and only then answered. Whether
//! it counts is decided by `track`, in one order with what the feeds say; the device is told through `/changes`.

use std::sync::Arc;
use std::time::Duration;

use dataflow::batch::{BatchBuilder, Meta, NewRecord};
use dataflow::bus::{Bus, BusError, Position};
use dataflow::flow::partition_of;
use dataflow::unit::{Output, Unit};
use dataflow::{Clock, Flow};
use messages::change::set::read_set;
use messages::change::{Action, BY_MAX, Command, added_key, device_of, is_command_id};
use messages::json::write_str;
use messages::topics::{KIND_COMMAND, LISTING_CHANGES, SCHEMA};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use xxhash_rust::xxh3::xxh3_128;

use crate::changes::request::DEVICE;
use crate::query::Refusal;

/// Longest body, in bytes.
pub(crate) const BODY_MAX: usize = 64 << 10;
/// Longest time that a client may take to send it.
pub(crate) const BODY_TIME: Duration = Duration::from_secs(10);
/// Commands that are made durable at a time; more wait, and then are refused.
const AT_A_TIME: usize = 64;
/// Longest time that a command waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest key of a listing.
const KEY_MAX: usize = 512;
/// `ce_source` of every command. Devices are too many to be named there: a batch has a table of its sources.
const SOURCE: &str = "gateway";

/// A command as a client sends it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Body<'a> {
    command_id: String,
    listing_key: Option<String>,
    action: String,
    based_on: Option<u64>,
    #[serde(borrow)]
    set: Option<&'a RawValue>,
}

/// A command that may be sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Checked {
    id: String,
    key: String,
    pub(crate) value: Vec<u8>,
}

/// Sends commands; clones share the limit.
#[derive(Clone)]
pub struct Commands {
    bus: Arc<dyn Bus>,
    clock: Arc<dyn Clock>,
    service: Arc<str>,
    partitions: u16,
    turns: Arc<Semaphore>,
}

impl Commands {
    /// Commands of that service (the gateway's name in the flow table), to the bus.
    ///
    /// # Errors
    /// [`BusError`] when the flow table has no `listing.changes`.
    pub fn new(
        bus: Arc<dyn Bus>,
        flow: &Flow,
        service: &str,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, BusError> {
        let topic = flow.topic(LISTING_CHANGES).ok_or_else(|| {
            BusError::Fatal(format!("the flow table has no topic `{LISTING_CHANGES}`: add it"))
        })?;
        let turns = Arc::new(Semaphore::new(AT_A_TIME));
        Ok(Self { bus, clock, service: service.into(), partitions: topic.partitions, turns })
    }

    /// Sends one; the answer of `202`.
    pub(crate) async fn send(&self, command: Checked) -> Result<Value, Refusal> {
        let turn = Arc::clone(&self.turns).acquire_owned();
        let Ok(Ok(turn)) = tokio::time::timeout(PATIENCE, turn).await else {
            return Err(busy("too many commands are waiting"));
        };
        let sender = self.clone();
        let sent = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let unit = sender.unit(&command);
            sender.bus.append(&sender.service, unit).map(|positions| (command, positions))
        });
        match sent.await {
            Ok(Ok((command, positions))) => answer(&command, &positions),
            Ok(Err(BusError::Busy(why))) => Err(busy(&why)),
            Ok(Err(error)) => Err(Refusal::new(503, "log_down", error.to_string())),
            Err(_) => Err(Refusal::new(
                500,
                "internal",
                "the command failed, which is a bug: please report it",
            )),
        }
    }

    fn unit(&self, command: &Checked) -> Unit {
        let parts =
            [&*self.service, LISTING_CHANGES, KIND_COMMAND, SOURCE, &command.key, &command.id];
        let id = xxh3_128(parts.join("\0").as_bytes());
        let mut builder = BatchBuilder::default();
        builder.push(NewRecord {
            key: command.key.as_bytes(),
            value: Some(&command.value),
            meta: Meta {
                id,
                trace: id,
                kind: KIND_COMMAND,
                source: SOURCE,
                time_ms: self.clock.now_ms(),
                schema: SCHEMA,
                origin: 0,
            },
            headers: &[],
        });
        let partition = partition_of(command.key.as_bytes(), self.partitions);
        let output = Output {
            topic: LISTING_CHANGES.into(),
            partition,
            count: builder.count(),
            block: builder.finish(),
        };
        Unit { outputs: vec![output], ..Unit::default() }
    }
}

fn busy(why: &str) -> Refusal {
    Refusal::new(
        503,
        "busy",
        format!("the command was not taken: {why}; send it again with the same id"),
    )
}

fn answer(command: &Checked, positions: &[Position]) -> Result<Value, Refusal> {
    let position = positions.first().ok_or_else(|| busy("the log did not say where it is"))?;
    Ok(json!({
        "commandId": command.id,
        "listingKey": command.key,
        "position": {"topic": &*position.topic, "partition": position.partition, "offset": position.offset},
    }))
}

/// Reads a body, and refuses what no listing would take. `by` is who sent it.
pub(crate) fn check(body: &[u8], by: &str) -> Result<Checked, Refusal> {
    let body: Body<'_> = serde_json::from_slice(body)
        .map_err(|e| Refusal::bad("bad_command", format!("the body is not a command: {e}")))?;
    let id = &body.command_id;
    if !is_command_id(id) || !DEVICE.contains(&device_of(id).len()) {
        let message = "commandId must be DEVICE.NUMBER, 64 letters, digits, -, _ and . at most, with a random DEVICE of at least 16 that the device keeps";
        return Err(Refusal::bad("bad_command_id", message).about("commandId"));
    }
    let action = Action::ALL.into_iter().find(|action| action.name() == body.action);
    let action = action.ok_or_else(|| {
        Refusal::bad("bad_action", "action must be edit, withdraw or add").about("action")
    })?;
    let key = key_of(action, &body)?;
    let based_on = based_on(action, &body)?;
    let set = body.set.map_or("{}", RawValue::get);
    check_set(action, set)?;
    let mut by_text = Vec::new();
    write_str(&mut by_text, by);
    let by = String::from_utf8(by_text)
        .ok()
        .filter(|text| text.len() <= BY_MAX)
        .unwrap_or_else(|| "\"\"".to_owned());
    let value = Command { id, by: &by, based_on, set, action }.write();
    Ok(Checked { id: body.command_id, key, value })
}

fn key_of(action: Action, body: &Body<'_>) -> Result<String, Refusal> {
    let added = added_key(&body.command_id);
    match (action, &body.listing_key) {
        (Action::Add, None) => Ok(added),
        (Action::Add, Some(key)) if *key == added => Ok(added),
        (Action::Add, Some(_)) => {
            let message = format!("the key of an added listing is {added}: leave listingKey out");
            Err(Refusal::bad("bad_listing_key", message).about("listingKey"))
        }
        (Action::Edit | Action::Withdraw, Some(key))
            if key.len() <= KEY_MAX
                && key
                    .split_once(':')
                    .is_some_and(|(feed, rest)| !feed.is_empty() && !rest.is_empty())
                && !key.chars().any(char::is_control) =>
        {
            Ok(key.clone())
        }
        (Action::Edit | Action::Withdraw, _) => {
            let message = "listingKey must be FEED:KEY, as /listings gives it";
            Err(Refusal::bad("bad_listing_key", message).about("listingKey"))
        }
    }
}

fn based_on(action: Action, body: &Body<'_>) -> Result<u64, Refusal> {
    match (action, body.based_on) {
        (Action::Add, None | Some(0)) => Ok(0),
        (Action::Edit | Action::Withdraw, Some(version)) if version > 0 => Ok(version),
        _ => {
            let message = "basedOn must be the Version of the listing that was on the screen, and 0 or absent for one that is added";
            Err(Refusal::bad("bad_version", message).about("basedOn"))
        }
    }
}

fn check_set(action: Action, set: &str) -> Result<(), Refusal> {
    let fields = read_set(set).map_err(|unfit| {
        let field = unfit.field.unwrap_or_else(|| "set".to_owned());
        Refusal::bad("bad_value", unfit.reason).about(&field)
    })?;
    let message = match (action, fields.is_empty()) {
        (Action::Withdraw, true) | (Action::Edit | Action::Add, false) => return Ok(()),
        (Action::Withdraw, false) => "a listing is withdrawn without setting fields: leave set out",
        (Action::Edit | Action::Add, true) => "set is empty: name at least one field",
    };
    Err(Refusal::bad("bad_set", message).about("set"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use messages::change::Change;

    const ID: &str = "device-0123456789.7";

    fn with(more: &str) -> String {
        format!(r#"{{"commandId":"{ID}",{more}}}"#)
    }

    #[test]
    fn what_is_sent_is_what_track_reads() {
        let edit =
            with(r#""listingKey":"mls:1","action":"edit","basedOn":3,"set":{"ListPrice":5e5}"#);
        let checked = check(edit.as_bytes(), "an\"na").unwrap();
        assert_eq!((checked.id.as_str(), checked.key.as_str()), (ID, "mls:1"));
        let expect = Command {
            id: ID,
            by: r#""an\"na""#,
            based_on: 3,
            set: r#"{"ListPrice":5e5}"#,
            action: Action::Edit,
        };
        assert_eq!(Change::parse(&checked.value), Ok(Change::Command(expect)));
        let add = with(r#""action":"add","set":{"City":"Calgary"}"#);
        assert_eq!(check(add.as_bytes(), "").unwrap().key, format!("hand:{ID}"));
        let withdraw = with(r#""listingKey":"mls:1","action":"withdraw","basedOn":3"#);
        assert!(check(withdraw.as_bytes(), "").is_ok());
    }

    #[test]
    fn mistakes_are_refused_with_the_field() {
        let edit = |more: &str| with(&format!(r#""listingKey":"mls:1","action":"edit",{more}"#));
        for (body, code, field) in [
            (String::new(), "bad_command", None),
            ("[]".to_owned(), "bad_command", None),
            (edit(r#""basedOn":1,"set":{"ListPrice":1},"more":1"#), "bad_command", None),
            (edit(r#""basedOn":1,"basedOn":1"#), "bad_command", None),
            (edit(r#""basedOn":-1,"set":{}"#), "bad_command", None),
            (edit(r#""set":{"ListPrice":1}"#), "bad_version", Some("basedOn")),
            (edit(r#""basedOn":0,"set":{"ListPrice":1}"#), "bad_version", Some("basedOn")),
            (edit(r#""basedOn":1,"set":{}"#), "bad_set", Some("set")),
            (edit(r#""basedOn":1"#), "bad_set", Some("set")),
            (edit(r#""basedOn":1,"set":[]"#), "bad_value", Some("set")),
            (edit(r#""basedOn":1,"set":{"ListPrice":"a"}"#), "bad_value", Some("ListPrice")),
            (edit(r#""basedOn":1,"set":{"Colour":"a"}"#), "bad_value", Some("Colour")),
            (edit(r#""basedOn":1,"set":{"ListingId":"a"}"#), "bad_value", Some("ListingId")),
            (with(r#""listingKey":"mls:1","action":"burn""#), "bad_action", Some("action")),
            (
                with(r#""action":"edit","basedOn":1,"set":{"ListPrice":1}"#),
                "bad_listing_key",
                Some("listingKey"),
            ),
            (
                with(r#""listingKey":"mls","action":"withdraw","basedOn":1"#),
                "bad_listing_key",
                Some("listingKey"),
            ),
            (
                with(r#""listingKey":"x:1","action":"add","set":{"City":"a"}"#),
                "bad_listing_key",
                Some("listingKey"),
            ),
            (
                with(r#""listingKey":"mls:1","action":"withdraw","basedOn":1,"set":{"City":"a"}"#),
                "bad_set",
                Some("set"),
            ),
            (
                r#"{"commandId":"short.1","action":"add","set":{"City":"a"}}"#.to_owned(),
                "bad_command_id",
                Some("commandId"),
            ),
            (
                r#"{"commandId":"no spaces in here please.1","action":"add"}"#.to_owned(),
                "bad_command_id",
                Some("commandId"),
            ),
        ] {
            let refusal = check(body.as_bytes(), "anna").unwrap_err();
            assert_eq!(
                (refusal.code, refusal.field.as_deref()),
                (code, field),
                "{body}: {}",
                refusal.message
            );
            assert_eq!(refusal.status, 400);
        }
    }
}
