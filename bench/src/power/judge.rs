//! Judges a data folder as a power cut left it, against the run that was recorded.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use anyhow::Result;
use bus_sqlite::SqliteBus;
use dataflow::bus::Bus;
use dataflow::flow::Kind;
use dataflow::{Flow, View};
use gateway::{Display, ListingView};
use messages::current::Current;
use messages::event::Fold;
use messages::topics::{LISTING_CURRENT, LISTING_EVENTS};

use crate::kill::history::{History, Part, options};

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum About {
    /// It cannot be opened or read.
    Unreadable,
    /// It holds what was never written there, or has a hole.
    Log,
    /// Something is gone that had been synced.
    Lost,
    /// Outputs, state and progress did not stay together.
    Torn,
    /// The view shows, or had shown, what the log does not have.
    ViewAhead,
}

/// What is wrong with a cut.
#[derive(Debug, Clone)]
pub(crate) struct Finding {
    pub(crate) about: About,
    pub(crate) text: String,
}

/// By topic and partition: one past the last.
pub(crate) type Ends = BTreeMap<(String, u16), u64>;

/// What a cut is judged by.
pub(crate) struct Measure<'a> {
    pub(crate) flow: &'a Flow,
    /// The recorded run at its end.
    pub(crate) whole: &'a History,
    /// What is known to have been on the disk before.
    pub(crate) synced: Ends,
}

/// How far a view says that it is; empty when it is new.
///
/// # Errors
/// What the view says.
pub(crate) fn view_position(file: &Path) -> Result<Ends> {
    let mut view = ListingView::open(file, Display::default())?;
    let position = view.position().map_err(|e| anyhow::anyhow!("{e}"))?;
    Ok(position.next.into_iter().map(|(topic, p, next)| ((topic.to_string(), p), next)).collect())
}

impl Measure<'_> {
    /// Judges a folder. `claimed` is how far the view had come, and could have shown, when the power went.
    pub(crate) fn judge(&self, folder: &Path, claimed: &Ends) -> (Vec<Finding>, Ends) {
        let mut findings = Vec::new();
        let mut add = |about, text: String| findings.push(Finding { about, text });
        let bus = match SqliteBus::open(folder, self.flow, options()) {
            Ok(bus) => bus,
            Err(error) => {
                add(About::Unreadable, error.to_string());
                return (findings, Ends::new());
            }
        };
        let history = match History::read(&*bus, self.flow) {
            Ok(history) => history,
            Err(error) => {
                add(About::Unreadable, format!("{error:#}"));
                return (findings, Ends::new());
            }
        };
        let ends: Ends = history.parts.iter().map(|(id, p)| (id.clone(), p.range.end)).collect();
        behind(&self.synced, &ends).for_each(|text| add(About::Lost, text));
        self.prefix(&history).for_each(|text| add(About::Log, text));
        self.torn(&*bus, &history).into_iter().for_each(|text| add(About::Torn, text));
        folds(&history).into_iter().for_each(|text| add(About::Torn, text));
        behind(claimed, &ends).for_each(|text| add(About::ViewAhead, text));
        match view(&folder.join("views.db"), &history) {
            Ok(ahead) => ahead.into_iter().for_each(|text| add(About::ViewAhead, text)),
            Err(error) => add(About::Unreadable, format!("views.db: {error:#}")),
        }
        drop(bus);
        (findings, ends)
    }

    /// Every partition must begin as it did in the whole run, byte for byte, and have no hole.
    fn prefix<'s>(&'s self, history: &'s History) -> impl Iterator<Item = String> + 's {
        history.parts.iter().filter_map(|(id, part)| {
            let nothing = Part::default();
            let whole = self.whole.parts.get(id).unwrap_or(&nothing);
            let name = format!("{}/{}", id.0, id.1);
            if part.compacted {
                let past = part.entries.iter().find(|e| e.offset >= part.range.end);
                return past.map(|e| format!("{name}: offset {} is past its end", e.offset));
            }
            let whole_of = part.range.end == part.entries.len() as u64;
            let differs = part
                .entries
                .iter()
                .enumerate()
                .find(|(at, e)| e.offset != *at as u64 || whole.entries.get(*at) != Some(e));
            match differs {
                Some((at, _)) => Some(format!("{name}: record {at} is not what was written there")),
                None if !whole_of => Some(format!("{name}: its end is {:?}", part.range)),
                None => None,
            }
        })
    }

    /// What a service has made must be exactly what it makes of what it says it has read.
    fn torn(&self, bus: &dyn Bus, history: &History) -> Vec<String> {
        let mut torn = Vec::new();
        let backlog = match bus.backlog() {
            Ok(backlog) => backlog,
            Err(error) => return vec![error.to_string()],
        };
        for place in &backlog {
            let id = (place.topic.clone(), place.partition);
            let end = history.parts.get(&id).map_or(0, |p| p.range.end);
            if place.next > end {
                torn.push(format!(
                    "{} is at {} of {id:?}, which ends at {end}",
                    place.service, place.next
                ));
            }
            let service = self.flow.services.iter().find(|s| s.name == place.service);
            let Some(service) = service.filter(|s| s.kind == Kind::Transform) else { continue };
            if place.topic.ends_with(".redrive") {
                continue;
            }
            for topic in &service.writes {
                let out = (topic.clone(), place.partition);
                let Some(whole) = self.whole.parts.get(&out).filter(|p| !p.compacted) else {
                    continue;
                };
                let made = whole.entries.iter().filter(|e| e.origin < place.next).count();
                let found = history.parts.get(&out).map_or(0, |p| p.entries.len());
                if made != found {
                    torn.push(format!(
                        "{} is at {}, which makes {made} in {out:?}: there are {found}",
                        place.service, place.next
                    ));
                }
            }
        }
        torn
    }
}

/// Where `ends` do not reach what they must.
fn behind(must: &Ends, ends: &Ends) -> impl Iterator<Item = String> {
    must.iter().filter_map(|(id, at)| {
        let end = ends.get(id).copied().unwrap_or(0);
        (end < *at).then(|| format!("{}/{} must reach {at}, and ends at {end}", id.0, id.1))
    })
}

/// Events folded must be the current version.
fn folds(history: &History) -> Vec<String> {
    let mut wrong = Vec::new();
    for ((topic, partition), part) in &history.parts {
        if topic != LISTING_CURRENT {
            continue;
        }
        let mut folds: HashMap<&[u8], Fold> = HashMap::new();
        let events = history.parts.get(&(LISTING_EVENTS.to_owned(), *partition));
        for event in events.iter().flat_map(|p| &p.entries) {
            let fold = folds.entry(&event.key).or_default();
            if let Err(error) = fold.add(event.value.as_deref().unwrap_or_default()) {
                wrong.push(format!("event {}: {error}", String::from_utf8_lossy(&event.key)));
            }
        }
        for entry in &part.entries {
            let fold = folds.remove(entry.key.as_slice()).unwrap_or_default();
            let same = Current::parse(entry.value.as_deref().unwrap_or_default()).is_ok_and(|c| {
                fold.version() == c.version && fold.listing().as_deref() == c.listing
            });
            if !same {
                wrong.push(format!("current {}", String::from_utf8_lossy(&entry.key)));
            }
        }
        let left = folds.keys().map(|k| format!("events only {}", String::from_utf8_lossy(k)));
        wrong.extend(left);
    }
    wrong
}

/// Where the view is ahead of the log, by its position and by each of its rows.
fn view(file: &Path, history: &History) -> Result<Vec<String>> {
    if !file.exists() {
        return Ok(Vec::new());
    }
    let position = view_position(file)?;
    let ends = history.parts.iter().map(|(id, p)| (id.clone(), p.range.end)).collect();
    let mut ahead: Vec<String> = behind(&position, &ends).collect();
    let current = history.parts.iter().filter(|((topic, _), _)| topic == LISTING_CURRENT);
    let mut latest = HashMap::new();
    for (id, part) in current {
        let seen = position.get(id).copied().unwrap_or(0);
        latest.extend(part.entries.iter().map(|e| (e.key.as_slice(), (e, e.offset < seen))));
    }
    gateway::each_document(file, |key, document| match latest.get(key.as_bytes()) {
        Some((_, false)) => {}
        Some((entry, true)) if entry.value.as_deref() == Some(document) => {}
        _ => ahead.push(format!("the view's row of {key} is not in the log")),
    })?;
    Ok(ahead)
}
