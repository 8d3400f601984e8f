//! What an operator asks of a log: each is a function from a request to a JSON value, so that it is the same
//! whether the log is opened here or asked through the socket of the process that holds it.

mod check;
mod dead_letters;
mod doctor;
mod explain;
mod lag;
mod records;
mod replay;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use dataflow::{Board, Flow};
use ingest::Confirmations;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::log::Log;

pub(crate) use dead_letters::MARKS;
pub(crate) use explain::explain;

/// What can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub(crate) enum Request {
    /// What is not done yet, for each service and partition, and what is wrong.
    Lag,
    /// Dead letters, the newest first.
    DeadLetters {
        /// Only of this service.
        service: Option<String>,
        /// At most so many.
        limit: usize,
    },
    /// One dead letter whole.
    ShowDeadLetter {
        /// As listed: `service/partition/offset`.
        id: String,
    },
    /// Sends dead letters back to the service that refused them.
    Redrive {
        /// As listed; all that are not redriven yet when empty.
        ids: Vec<String>,
        /// Only of this service.
        service: Option<String>,
    },
    /// Where a listing comes from and why it says what it says.
    Explain {
        /// The key.
        key: String,
    },
    /// Recomputes and compares.
    Check,
    /// Records of a topic as they are.
    Records {
        /// The topic.
        topic: String,
        /// The partition.
        partition: u16,
        /// The first offset.
        from: u64,
        /// Only of this key.
        key: Option<String>,
    },
    /// Looks for what is wrong.
    Doctor {
        /// Seconds between two looks.
        wait_s: u64,
    },
    /// Sends the archive of raw rows through today's mapping.
    Replay {
        /// Only this feed.
        feed: Option<String>,
    },
    /// Says that held deletes are right.
    Confirm {
        /// The feed.
        feed: String,
        /// What to confirm.
        snapshot: String,
    },
}

/// What the tools work on.
#[derive(Clone)]
pub(crate) struct Tools {
    /// The log.
    pub(crate) bus: Arc<dyn Log>,
    /// The wiring.
    pub(crate) flow: Arc<Flow>,
    /// The data folder.
    pub(crate) dir: PathBuf,
    /// Conditions of the running services; empty when nothing runs.
    pub(crate) board: Board,
    /// Held deletes of the running feeds.
    pub(crate) confirmations: Confirmations,
}

impl Tools {
    /// Answers a request.
    ///
    /// # Errors
    /// One text for the person who asked.
    pub(crate) fn answer(&self, request: &Request) -> Result<Value> {
        match request {
            Request::Lag => lag::lag(self),
            Request::DeadLetters { service, limit } => {
                dead_letters::list(self, service.as_deref(), *limit)
            }
            Request::ShowDeadLetter { id } => dead_letters::show(self, id),
            Request::Redrive { ids, service } => {
                dead_letters::redrive(self, ids, service.as_deref())
            }
            Request::Explain { key } => explain(&*self.bus, &self.flow, key),
            Request::Check => check::check(self),
            Request::Records { topic, partition, from, key } => {
                records::page(self, topic, *partition, *from, key.as_deref())
            }
            Request::Doctor { wait_s } => doctor::doctor(self, Duration::from_secs(*wait_s)),
            Request::Replay { feed } => replay::replay(self, feed.as_deref()),
            Request::Confirm { feed, snapshot } => {
                let held =
                    self.confirmations.confirm(feed, snapshot).map_err(anyhow::Error::msg)?;
                Ok(
                    serde_json::json!({"confirmed": snapshot, "deletes": held.deletes, "of": held.of}),
                )
            }
        }
    }

    /// What is wrong now: `(place, what, with what to do)`.
    #[must_use]
    pub(crate) fn conditions(&self) -> Vec<(String, String)> {
        let of_feed = |feed: &str| format!("{} {feed}", crate::flow::INGEST);
        let log = self.bus.conditions().into_iter().map(|text| ("log".to_owned(), text));
        let held = self.confirmations.held().into_iter();
        let held = held.map(|h| (of_feed(&h.feed), h.to_string()));
        let notices = self.confirmations.notices().into_iter();
        let notices = notices.map(|(feed, text)| (of_feed(&feed), text));
        self.board.conditions().into_iter().chain(log).chain(held).chain(notices).collect()
    }

    /// Whether a request changes the log, so that it has to be opened for work.
    #[must_use]
    pub(crate) fn writes(request: &Request) -> bool {
        matches!(request, Request::Redrive { .. } | Request::Replay { .. })
    }
}

/// A value of a message, as JSON where it is JSON.
fn json_or_text(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(bytes).into_owned()))
}

/// Milliseconds since 1970 as a timestamp.
fn time_text(ms: i64) -> String {
    messages::time::Moment::from_ms(ms).map_or_else(|| ms.to_string(), |m| m.to_string())
}
