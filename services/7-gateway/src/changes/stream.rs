//! One stream of events: from its notes while it keeps up, from the ring where it was too slow.
//!
//! It is polled only while its client takes what was sent, so a stuck client costs its notes and nothing else.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Bytes;
use hyper::body::{Body, Frame as BodyFrame};
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep};

use crate::changes::catch_up::{Gap, Plan, latest};
use crate::changes::frames::{frame, opening};
use crate::changes::hub::{Hub, Seat};
use crate::changes::inbox::{Found, Note, Place};
use crate::changes::round::Round;
use crate::changes::watch::Sight;

/// A quiet stream tells its position this often.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Notes taken, and so events made ready, at a time.
const NOTES: usize = 32;
/// Entries of the ring looked through at a time.
const ENTRIES: usize = 2_048;

/// The body of one stream.
pub(crate) struct Stream {
    hub: Arc<Hub>,
    seat: Seat,
    ready: VecDeque<Bytes>,
    phase: Phase,
    heartbeat: Pin<Box<Sleep>>,
}

enum Phase {
    /// Tells what the log said of the time before the ring, from an entry on.
    Old {
        round: Arc<Round>,
        told: Vec<(usize, Sight)>,
        at: usize,
        then: Catching,
        _permit: OwnedSemaphorePermit,
    },
    Catching(Catching),
    /// It cannot be said what the client has missed: it is to look again.
    Gap(Gap),
    Live,
    Over,
}

#[derive(Clone)]
struct Catching {
    next: Place,
    /// The last round to look through: what comes after it is noted.
    until: u64,
    seen: Option<Arc<[u64]>>,
    exact: bool,
}

impl Stream {
    /// A stream that begins now.
    pub(crate) fn live(hub: Arc<Hub>, seat: Seat, first: String) -> Self {
        Self::new(hub, seat, first, Phase::Live)
    }

    /// A stream that goes on; `until` is the last round before its seat was taken.
    pub(crate) fn resumed(
        hub: Arc<Hub>,
        seat: Seat,
        (first, plan): (String, Plan),
        until: u64,
    ) -> Self {
        let then = Catching {
            next: Hub::place(plan.first),
            until,
            seen: Some(plan.seen),
            exact: plan.exact,
        };
        let phase = match plan.old {
            None => Phase::Catching(then),
            Some((round, permit)) => {
                let watch = &seat.subscriber.watch;
                let rounds = [round];
                match latest(&hub, &rounds, (0, 0), (watch, None, false)) {
                    Ok(told) => {
                        let told = told.into_iter().map(|(_, at, sight)| (at, sight)).collect();
                        let [round] = rounds;
                        Phase::Old { round, told, at: 0, then, _permit: permit }
                    }
                    Err(gap) => Phase::Gap(gap),
                }
            }
        };
        Self::new(hub, seat, first, phase)
    }

    fn new(hub: Arc<Hub>, seat: Seat, first: String, phase: Phase) -> Self {
        let heartbeat = Box::pin(tokio::time::sleep(HEARTBEAT));
        Self { hub, seat, ready: VecDeque::from([Bytes::from(first)]), phase, heartbeat }
    }

    /// `seen` is where the client was, when it is not known what it could see there.
    fn tell(&mut self, round: &Round, (at, sight): (usize, Sight), seen: Option<&[u64]>) {
        let maker = &self.hub.maker;
        let made = match seen {
            None => maker.frame(round, at, sight),
            Some(seen) => maker.inexact(round, (at, sight), seen),
        };
        self.ready.extend(made.map(|frame| frame.bytes));
    }

    /// Makes the next events ready. Returns whether to look again at once.
    fn work(&mut self, cx: &mut Context<'_>) -> bool {
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Over => false,
            Phase::Old { round, told, at, then, _permit } => {
                let some: Vec<_> = told.iter().skip(at).take(NOTES).copied().collect();
                for (at, sight) in &some {
                    self.tell(&round, (*at, *sight), then.seen.as_deref());
                }
                let at = at + some.len();
                self.phase = if at < told.len() {
                    Phase::Old { round, told, at, then, _permit }
                } else {
                    Phase::Catching(then)
                };
                true
            }
            Phase::Catching(catching) => {
                self.catch_up(catching);
                true
            }
            Phase::Gap(gap) => {
                // What comes after is noted already, and told next: versions join it with what is fetched.
                self.ready.push_back(opening("gap", &self.hub.standing(), Some(gap)).bytes);
                self.phase = Phase::Live;
                true
            }
            Phase::Live => {
                self.phase = Phase::Live;
                self.follow(cx)
            }
        }
    }

    /// Looks through some rounds of the ring. Without the first of them the stream ends: its client comes back
    /// with the last id it has, and is told what to do.
    fn catch_up(&mut self, catching: Catching) {
        let Catching { next, until, seen, exact } = catching;
        if next.0 > until {
            self.phase = Phase::Live;
            return;
        }
        let Some(rounds) = self.hub.rounds(next.0, until, ENTRIES) else { return };
        let Some(last) = rounds.last().map(|round| round.number) else { return };
        let watch = &self.seat.subscriber.watch;
        match latest(&self.hub, &rounds, next, (watch, seen.as_deref(), exact)) {
            Ok(found) => {
                for (place, at, sight) in found {
                    if let Some(round) = rounds.get(place) {
                        let elsewhere = seen.as_deref().filter(|_| !exact);
                        self.tell(round, (at, sight), elsewhere);
                    }
                }
                let next = Hub::place(last + 1);
                self.phase = Phase::Catching(Catching { next, until, seen, exact });
            }
            Err(gap) => self.phase = Phase::Gap(gap),
        }
    }

    fn follow(&mut self, cx: &mut Context<'_>) -> bool {
        // The position is taken first: what it covers has been noted by then.
        let due = self.heartbeat.as_mut().poll(cx).is_ready();
        if self.hub.is_closing() {
            self.phase = Phase::Over;
            return false;
        }
        let standing = self.hub.standing();
        match self.seat.subscriber.take(NOTES, cx.waker()) {
            Found::Notes(notes) => self.tell_notes(&notes),
            Found::Missed(place) => {
                let until = self.hub.start_over(&self.seat.subscriber);
                self.phase =
                    Phase::Catching(Catching { next: place, until, seen: None, exact: true });
            }
            Found::Nothing if !due => return false,
            Found::Nothing | Found::Due => {
                let data = json!({"position": &*standing.text, "behind_ms": self.hub.behind_ms()});
                self.ready.push_back(frame("position", &standing.text, &data.to_string()).bytes);
                self.heartbeat.as_mut().reset(Instant::now() + HEARTBEAT);
            }
        }
        true
    }

    fn tell_notes(&mut self, notes: &[Note]) {
        let Some(rounds) = self.hub.rounds_of(notes) else {
            self.phase = Phase::Over;
            return;
        };
        for (note, round) in notes.iter().zip(&rounds) {
            self.tell(round, (note.at as usize, note.sight), None);
        }
    }
}

impl Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<BodyFrame<Bytes>, Infallible>>> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                if self.ready.is_empty() {
                    self.ready.shrink_to(0);
                }
                return Poll::Ready(Some(Ok(BodyFrame::data(bytes))));
            }
            if matches!(self.phase, Phase::Over) {
                return Poll::Ready(None);
            }
            let was_live = matches!(self.phase, Phase::Live);
            if !self.work(cx) && !matches!(self.phase, Phase::Over) {
                return Poll::Pending;
            }
            if !was_live && self.ready.is_empty() && !matches!(self.phase, Phase::Over) {
                // A long look through the ring lets others have their turn.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
    }
}
