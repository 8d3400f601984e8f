//! Events as they go over the wire. Each is made once, whoever wants it, and shared by all who do.

use axum::body::Bytes;
use serde_json::{Map, Value, json};

use crate::answer::Model;
use crate::changes::catch_up::Gap;
use crate::changes::hub::Standing;
use crate::changes::round::{Entry, Frame, Round};
use crate::changes::watch::Sight;
use crate::position;
use crate::reader::Document;

/// Who makes events: what may be shown, and how positions are written.
#[derive(Clone)]
pub(crate) struct Maker {
    pub(crate) model: Model,
    pub(crate) epoch: u64,
    pub(crate) instance: u32,
}

/// One event with its id.
pub(crate) fn frame(name: &'static str, id: &str, data: &str) -> Frame {
    let mut text = String::with_capacity(id.len() + name.len() + data.len() + 24);
    for (field, value) in [("id: ", id), ("\nevent: ", name), ("\ndata: ", data)] {
        text.push_str(field);
        text.push_str(value);
    }
    let start = text.len() - data.len();
    text.push_str("\n\n");
    Frame { name, bytes: Bytes::from(text), data: start }
}

/// The event that says from where on a stream tells everything; after a gap, the client fetches the rest.
pub(crate) fn opening(name: &'static str, standing: &Standing, gap: Option<Gap>) -> Frame {
    let mut data = json!({"position": &*standing.text});
    if let (Some(Gap(reason)), Some(data)) = (gap, data.as_object_mut()) {
        data.insert("reason".to_owned(), Value::from(reason));
    }
    frame(name, &standing.text, &data.to_string())
}

impl Frame {
    /// The JSON text in it.
    pub(crate) fn json(&self) -> &[u8] {
        self.bytes.get(self.data..self.bytes.len().saturating_sub(2)).unwrap_or_default()
    }
}

impl Maker {
    /// The position behind an entry.
    pub(crate) fn position(&self, round: &Round, at: usize) -> String {
        position::text(self.epoch, self.instance, round.position_after(at))
    }

    /// The position behind an entry, for a client of which it is not known what it could see at `seen`: it must not
    /// claim that it is, so it is that of no process; and it must not go back where the client was further.
    pub(crate) fn inexact_position(&self, round: &Round, at: usize, seen: &[u64]) -> String {
        let next = round.position_after(at).zip(seen).map(|(next, seen)| next.max(*seen));
        position::text(self.epoch, 0, next)
    }

    /// As [`Maker::frame`], for a client of which it is not known what it could see before: it has a copy.
    pub(crate) fn inexact(
        &self,
        round: &Round,
        (at, sight): (usize, Sight),
        seen: &[u64],
    ) -> Option<Frame> {
        let shared = self.frame(round, at, sight)?;
        let data = String::from_utf8_lossy(shared.json());
        Some(frame(shared.name, &self.inexact_position(round, at, seen), &data))
    }

    /// The event that an entry is to someone who sees it so.
    pub(crate) fn frame(&self, round: &Round, at: usize, sight: Sight) -> Option<Frame> {
        let entry = round.entries.get(at)?;
        let made = match sight {
            Sight::Seen => entry.frames.change.get_or_init(|| {
                let data = self.change(entry)?;
                Some(frame("change", &self.position(round, at), &data))
            }),
            Sight::Lost => &None,
            Sight::Unsure => return None,
            Sight::Told => entry.frames.result.get_or_init(|| {
                let data = result(entry)?;
                Some(frame("result", &self.position(round, at), &data))
            }),
        };
        let gone = || {
            let made = entry.frames.gone.get_or_init(|| {
                let data = gone(entry)?;
                Some(frame("gone", &self.position(round, at), &data))
            });
            made.clone()
        };
        // What may not be shown after all is gone.
        made.clone().or_else(|| if sight == Sight::Told { None } else { gone() })
    }

    fn change(&self, entry: &Entry) -> Option<String> {
        let record = entry.record()?;
        let value: Value = serde_json::from_slice(record.value?).ok()?;
        let version = value.get("version").cloned()?;
        let doc = Document { value, changed_ms: record.meta.time_ms };
        let card = self.model.summary(entry.key(), &doc)?;
        let mut data = Map::new();
        let last = card.get("LastChange").cloned();
        data.insert("listing".to_owned(), card);
        data.insert("version".to_owned(), version);
        if let Some(last) = last {
            data.insert("lastChange".to_owned(), last);
        }
        Some(Value::Object(data).to_string())
    }
}

fn gone(entry: &Entry) -> Option<String> {
    let version = crate::record::parse(entry.record()?.value?).map(|facts| facts.version)?;
    let reason = entry.listing()?.gone().name();
    Some(json!({"listingKey": entry.key(), "version": version, "reason": reason}).to_string())
}

/// What a device is told of its command.
const RESULT: [&str; 6] = ["commandId", "outcome", "code", "reason", "field", "version"];

fn result(entry: &Entry) -> Option<String> {
    let value: Value = serde_json::from_slice(entry.record()?.value?).ok()?;
    let mut data = Map::new();
    for name in RESULT {
        if let Some(value) = value.get(name) {
            data.insert(name.to_owned(), value.clone());
        }
    }
    data.insert("listingKey".to_owned(), entry.key().into());
    Some(Value::Object(data).to_string())
}
