//! A subscriber that measures: what it saw, when, and in what order.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Result, bail};

use super::now;
use super::targets::PRICE;
use super::wire::{Connection, Event, Events};

/// What one subscriber saw.
#[derive(Debug, Default)]
pub(crate) struct Saw {
    /// Keys of the listings that it watches, of those that are commanded.
    pub(crate) watches: Vec<String>,
    /// Numbers of commands, with the time they were first seen: a later change of the same listing by its feed
    /// shows the commanded price once more.
    pub(crate) commands: HashMap<u64, Instant>,
    /// The newest version of each listing.
    pub(crate) versions: HashMap<String, u64>,
    /// Listings that it was told are gone: what happens to them then is not for it to see.
    pub(crate) gone: HashSet<String>,
    /// Versions that came twice or in the wrong order.
    pub(crate) disordered: u64,
    /// Where it is.
    pub(crate) position: Option<String>,
}

/// Opens a stream, and waits until the server says how it begins.
///
/// # Errors
/// When it is refused.
pub(crate) async fn open(
    address: SocketAddr,
    path: &str,
    last: Option<&str>,
) -> Result<(Events, Event)> {
    let mut events = Connection::open(address).await?.watch(path, last).await?;
    match events.next().await? {
        Some(first) if matches!(first.name.as_str(), "live" | "resumed" | "gap") => {
            Ok((events, first))
        }
        other => bail!("a stream begins with {other:?}"),
    }
}

impl Saw {
    /// Takes one event. The few facts are looked for in the text: ten thousand subscribers share a machine with
    /// the server, and reading JSON for each would measure the reader.
    pub(crate) fn take(&mut self, event: &Event) {
        if event.id.is_some() {
            self.position.clone_from(&event.id);
        }
        let name = match event.name.as_str() {
            "change" => "\"ListingKey\":\"",
            "gone" => "\"listingKey\":\"",
            _ => return,
        };
        let at = now();
        let Some(key) = between(&event.data, name, "\"") else { return };
        let version = between(&event.data, ",\"version\":", "}")
            .or_else(|| between(&event.data, ",\"version\":", ","))
            .and_then(|text| text.split([',', '}']).next())
            .and_then(|text| text.parse().ok())
            .unwrap_or(0);
        if event.name == "gone" {
            self.gone.insert(key.to_owned());
        } else {
            self.gone.remove(key);
        }
        match self.versions.get_mut(key) {
            Some(known) if *known >= version => self.disordered += 1,
            Some(known) => *known = version,
            None => drop(self.versions.insert(key.to_owned(), version)),
        }
        let price = between(&event.data, "\"ListPrice\":", ",").and_then(|text| text.parse().ok());
        if let Some(number) = price.and_then(|price: u64| price.checked_sub(PRICE)) {
            self.commands.entry(number).or_insert(at);
        }
    }
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    text.split_once(before)?.1.split_once(after).map(|(inner, _)| inner)
}

/// Follows a stream until it ends, or until `stop` says so; what it saw is in `saw`.
///
/// # Errors
/// When the stream breaks.
pub(crate) async fn follow(
    mut events: Events,
    saw: &mut Saw,
    stop: &mut tokio::sync::watch::Receiver<bool>,
) -> Result<()> {
    loop {
        tokio::select! {
            event = events.next() => match event? {
                Some(event) => saw.take(&event),
                None => return Ok(()),
            },
            _ = stop.changed() => return Ok(()),
        }
    }
}

/// Counts streams that have begun.
#[derive(Debug, Clone, Default)]
pub(crate) struct Begun(Arc<AtomicUsize>);

impl Begun {
    /// One more.
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }

    /// How many.
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }
}
