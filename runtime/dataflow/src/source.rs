//! The loop of Sources: one lane for each feed, stepped in turn, paced by what the stages behind have not done.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::board::Board;
use crate::bus::{Backlog, Bus, BusError, Event, Member, Outcome};
use crate::clock::Clock;
use crate::contract::{Source, SourceOut, SourceStore, Status, StoreEntry};
use crate::failure::Failure;
use crate::flow::{Flow, Kind};
use crate::overlay::Overlay;
use crate::unit::UnitBuilder;

/// Sources wait while the oldest undone record behind them is older than this, so that a backlog waits
/// outside the log and people do not queue behind bulk.
pub const PACE_MS: i64 = 150;
/// While someone watches, they wait too while the stages behind have so many records before them. What changes old
/// listings takes some times what a load takes, so that time alone lets in what is a second's work then; without
/// watchers a load is a quarter faster.
pub const LAG_MAX_WATCHED: u64 = 2_000;
/// Bytes after which a step is full; few while someone watches, or too much is on its way when it is known that there
/// is enough.
const STEP_BYTES: usize = 1 << 20;
const STEP_BYTES_WATCHED: usize = 64 << 10;
/// A held lane is tried again after this time: the file may have been mended.
pub const HELD_RETRY_MS: i64 = 30_000;

/// Makes a lane's source anew: at the start, and after anything that was not committed.
pub type MakeSource = Box<dyn Fn() -> Box<dyn Source> + Send>;

/// One feed.
struct Lane {
    name: String,
    make: MakeSource,
    source: Option<Box<dyn Source>>,
    wake_ms: i64,
    state: LaneState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LaneState {
    Open,
    Held,
    /// It has nothing more to read.
    Done,
    /// Told that the run has ended; not known to be committed.
    Ending,
    Ended,
    /// Another instance reads it.
    Elsewhere,
}

impl LaneState {
    fn reads(self) -> bool {
        matches!(self, Self::Open | Self::Held)
    }
}

/// Runs all lanes of one Source service.
pub struct SourceRunner {
    service: String,
    behind: Vec<String>,
    bus: Arc<dyn Bus>,
    clock: Arc<dyn Clock>,
    board: Board,
    core: Core,
    unit: UnitBuilder,
    lanes: Vec<Lane>,
    turn: usize,
    watched: Box<dyn Fn() -> bool + Send>,
}

/// The member with what is in flight on it; apart, because a source reads its store in mid step.
struct Core {
    member: Box<dyn Member>,
    overlay: Overlay,
    in_flight: VecDeque<u64>,
    next_unit: u64,
    failed: Option<BusError>,
    aborted: bool,
    /// A feed went to another instance, or may have.
    moved: bool,
}

impl Core {
    fn is_full(&self) -> bool {
        self.in_flight.len() >= self.member.in_flight_max()
    }

    fn settle(&mut self, wait: Duration) -> Result<(), BusError> {
        for event in self.member.poll(wait, 0)? {
            match event {
                Event::Revoked(_) | Event::Lost(_) => self.moved = true,
                Event::Outcome { unit, outcome } if self.in_flight.front() == Some(&unit) => {
                    self.in_flight.pop_front();
                    self.ended(unit, outcome);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn ended(&mut self, unit: u64, outcome: Outcome) {
        match outcome {
            Outcome::Committed => self.overlay.committed(unit),
            Outcome::Aborted | Outcome::Unknown => self.aborted = true,
        }
    }

    /// Waits until nothing is in flight, so that ranges show all that was written.
    fn settle_all(&mut self) -> Result<(), BusError> {
        while !self.in_flight.is_empty() && !self.aborted {
            self.settle(Duration::from_millis(50))?;
        }
        Ok(())
    }

    fn note<T>(&mut self, result: Result<T, BusError>) -> Result<T, Failure> {
        result.map_err(|e| {
            let failure = Failure::stop(e.to_string());
            self.failed = Some(e);
            failure
        })
    }
}

impl SourceStore for Core {
    fn get(&mut self, key: &[u8]) -> Result<Option<Arc<[u8]>>, Failure> {
        if let Some(value) = self.overlay.get(key) {
            return Ok(value);
        }
        let read = self.member.state(0, key);
        self.note(read)
    }

    fn range(
        &mut self,
        prefix: &[u8],
        after: &[u8],
        limit: usize,
    ) -> Result<Vec<StoreEntry>, Failure> {
        let settled = self.settle_all();
        self.note(settled)?;
        let read = self.member.state_range(0, prefix, after, limit);
        self.note(read)
    }
}

/// How a round of sources went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Round {
    /// Something was read.
    Busy,
    /// Nothing to do before this many milliseconds have passed.
    Idle(u64),
    /// The stages behind have enough to do.
    Paced,
    /// No lane will ever have anything again, and everything read is committed and done by the stages behind.
    Done,
}

impl SourceRunner {
    /// Joins as the only instance of a Source service.
    ///
    /// # Errors
    /// [`BusError`] when the bus refuses or the flow has no such service.
    pub fn join(
        bus: Arc<dyn Bus>,
        flow: &Flow,
        service: &str,
        clock: Arc<dyn Clock>,
        board: Board,
    ) -> Result<Self, BusError> {
        let spec = flow
            .service(service)
            .ok_or_else(|| BusError::Fatal(format!("no service `{service}` in the flow table")))?;
        let member = bus.join(spec)?;
        let behind = flow
            .services
            .iter()
            .filter(|s| matches!(s.kind, Kind::Transform | Kind::View))
            .map(|s| s.name.clone())
            .collect();
        let core = Core {
            member,
            overlay: Overlay::default(),
            in_flight: VecDeque::new(),
            next_unit: 1,
            failed: None,
            aborted: false,
            moved: false,
        };
        let unit = UnitBuilder::new(flow, spec);
        Ok(Self {
            service: service.to_owned(),
            behind,
            bus,
            clock,
            board,
            core,
            unit,
            lanes: Vec::new(),
            turn: 0,
            watched: Box::new(|| false),
        })
    }

    /// How it knows whether someone watches what comes out at the end.
    pub fn watched_by(&mut self, watched: impl Fn() -> bool + Send + 'static) {
        self.watched = Box::new(watched);
    }

    /// Adds a feed. Its name is the `ce_source` of what it sends and the name of its part of the store.
    pub fn add_lane(&mut self, name: &str, make: MakeSource) {
        self.lanes.push(Lane {
            name: name.to_owned(),
            make,
            source: None,
            wake_ms: 0,
            state: LaneState::Open,
        });
    }

    /// One round: one step of one lane that has something to do.
    ///
    /// # Errors
    /// [`BusError`] ends the runner.
    pub fn step(&mut self, wait: Duration) -> Result<Round, BusError> {
        let full = self.core.is_full();
        self.core.settle(if full { wait } else { Duration::ZERO })?;
        if self.core.aborted {
            self.start_over()?;
        }
        if std::mem::take(&mut self.core.moved) {
            self.forget();
        }
        if self.core.is_full() {
            return Ok(Round::Busy);
        }
        let now_ms = self.clock.now_ms();
        if self.behind_have_enough(now_ms) {
            return Ok(Round::Paced);
        }
        match self.next_lane(now_ms) {
            Some(at) => {
                if self.call_lane(at, now_ms, |source, out| source.step(out).map(Some))? {
                    self.submit()?;
                }
                Ok(Round::Busy)
            }
            None => self.rest(now_ms),
        }
    }

    fn behind_have_enough(&self, now_ms: i64) -> bool {
        let lag = self.bus.lag(&self.behind);
        let late = lag.oldest_ms.is_some_and(|ms| now_ms.saturating_sub(ms) > PACE_MS);
        late || lag.records >= LAG_MAX_WATCHED && (self.watched)()
    }

    /// Lanes that are held, so that a one-shot load knows that it did not read everything.
    #[must_use]
    pub fn held(&self) -> Vec<String> {
        self.lanes.iter().filter(|l| l.state == LaneState::Held).map(|l| l.name.clone()).collect()
    }

    /// Whether each lane has ended or is held, and everything read is committed.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let over = |lane: &Lane| {
            matches!(lane.state, LaneState::Held | LaneState::Ended | LaneState::Elsewhere)
        };
        self.core.in_flight.is_empty() && self.lanes.iter().all(over)
    }

    fn next_lane(&mut self, now_ms: i64) -> Option<usize> {
        self.look_who_owns();
        let count = self.lanes.len();
        let at = (0..count).map(|n| (self.turn + n) % count).find(|at| {
            self.lanes.get(*at).is_some_and(|l| l.state.reads() && l.wake_ms <= now_ms)
        })?;
        self.turn = at + 1;
        Some(at)
    }

    /// A feed that is another instance's now is forgotten; should it come back, it begins at its checkpoint.
    fn look_who_owns(&mut self) {
        for lane in &mut self.lanes {
            if !self.core.member.owns_lane(&lane.name) {
                lane.source = None;
                lane.state = LaneState::Elsewhere;
            } else if lane.state == LaneState::Elsewhere {
                (lane.state, lane.wake_ms) = (LaneState::Open, 0);
            }
        }
    }

    fn rest(&mut self, now_ms: i64) -> Result<Round, BusError> {
        if self.lanes.iter().all(|l| l.state != LaneState::Open) {
            self.core.settle_all()?;
            if self.core.aborted {
                self.start_over()?;
                return Ok(Round::Busy);
            }
            for lane in self.lanes.iter_mut().filter(|l| l.state == LaneState::Ending) {
                lane.state = LaneState::Ended;
            }
            if self.lanes.iter().any(|l| l.state == LaneState::Done) {
                return self.end_lanes(now_ms);
            }
            let over = |l: &Lane| matches!(l.state, LaneState::Ended | LaneState::Elsewhere);
            if self.lanes.iter().all(over) {
                return Ok(Round::Done);
            }
        }
        let waiting = self.lanes.iter().filter(|l| l.state.reads());
        let wake = waiting.map(|l| l.wake_ms).min().unwrap_or(now_ms);
        Ok(Round::Idle(u64::try_from(wake - now_ms).unwrap_or(0)))
    }

    /// Tells the lanes that their run has ended, once the stages behind have done all of it: all of them in one unit,
    /// or a run that dies between two would read again what was ended first.
    fn end_lanes(&mut self, now_ms: i64) -> Result<Round, BusError> {
        let undone = |b: &Backlog| b.records > 0 && self.behind.contains(&b.service);
        if self.bus.backlog()?.iter().any(undone) {
            return Ok(Round::Paced);
        }
        for at in 0..self.lanes.len() {
            if self.lanes.get(at).is_none_or(|l| l.state != LaneState::Done) {
                continue;
            }
            if !self.call_lane(at, now_ms, |source, out| source.ended(out).map(|()| None))? {
                // Nothing of the unit counts.
                let ending = self.lanes.iter_mut().filter(|l| l.state == LaneState::Ending);
                ending.for_each(|lane| (lane.source, lane.state) = (None, LaneState::Done));
                return Ok(Round::Busy);
            }
        }
        self.submit()?;
        Ok(Round::Busy)
    }

    /// Calls a lane's source; whether what it put into the unit counts.
    fn call_lane(
        &mut self,
        at: usize,
        now_ms: i64,
        call: impl FnOnce(&mut dyn Source, &mut SourceOut<'_>) -> Result<Option<Status>, Failure>,
    ) -> Result<bool, BusError> {
        let Some(lane) = self.lanes.get_mut(at) else { return Ok(false) };
        let source = lane.source.get_or_insert_with(|| (lane.make)());
        let max = self.core.member.record_bytes_max();
        let step_bytes = if (self.watched)() { STEP_BYTES_WATCHED } else { STEP_BYTES };
        let mut out = SourceOut {
            unit: &mut self.unit,
            store: &mut self.core,
            lane: &lane.name,
            now_ms,
            step_bytes,
        };
        let result = call(&mut **source, &mut out);
        if let Some(error) = self.core.failed.take() {
            return Err(error);
        }
        let place = format!("{} {}", self.service, lane.name);
        match result.and_then(|status| Ok(self.unit.fits(max).map(|()| status)?)) {
            Ok(status) => {
                let (state, wake_ms) = match status {
                    Some(Status::Busy) => (LaneState::Open, now_ms),
                    Some(Status::Idle { wait_ms }) => {
                        (LaneState::Open, now_ms.saturating_add_unsigned(wait_ms))
                    }
                    Some(Status::Done) => (LaneState::Done, i64::MAX),
                    None => (LaneState::Ending, i64::MAX),
                };
                (lane.state, lane.wake_ms) = (state, wake_ms);
                self.board.clear(&place);
                Ok(true)
            }
            Err(failure) => {
                // What it wrote does not count, and its own memory may be ahead of what is committed.
                lane.source = None;
                self.unit.clear();
                let (held, delay_ms) = match &failure {
                    Failure::Retry { after, .. } => {
                        (false, i64::try_from(after.as_millis()).unwrap_or(i64::MAX))
                    }
                    Failure::Stop { .. } | Failure::Reject(_) => (true, HELD_RETRY_MS),
                };
                lane.state = if held { LaneState::Held } else { LaneState::Open };
                lane.wake_ms = now_ms.saturating_add(delay_ms);
                self.board.set(&place, &failure.to_string());
                Ok(false)
            }
        }
    }

    fn submit(&mut self) -> Result<(), BusError> {
        drop(self.unit.keep(0, b""));
        if self.core.aborted || self.core.moved {
            // Made from a memory that is to be forgotten.
            self.unit.clear();
        }
        if self.unit.is_empty() {
            return Ok(());
        }
        let id = self.core.next_unit;
        self.core.next_unit += 1;
        let unit = self.unit.take(id, Vec::new());
        for write in &unit.state {
            self.core.overlay.put(id, &write.key, write.value.clone());
        }
        self.core.in_flight.push_back(id);
        self.core.member.submit(unit)
    }

    /// Something was not committed: every lane reads its checkpoint back.
    fn start_over(&mut self) -> Result<(), BusError> {
        self.core.aborted = false;
        self.core.in_flight.clear();
        self.core.overlay.clear();
        self.forget();
        self.core.member.rewind()
    }

    /// Sources go on from their checkpoints: what one remembers may be of before another instance had its feed.
    fn forget(&mut self) {
        self.unit.clear();
        for lane in &mut self.lanes {
            lane.source = None;
            if matches!(lane.state, LaneState::Done | LaneState::Ending) {
                (lane.state, lane.wake_ms) = (LaneState::Open, 0);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
