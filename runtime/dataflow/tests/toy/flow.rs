//! The flow under test: a source, a stateless stage that refuses and panics, two stateful stages, a view.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dataflow::bus::Bus;
use dataflow::contract::{Delivery, ViewPosition};
use dataflow::effect::{Effect, Finished, Sent};
use dataflow::flow::{Form, Kind, Retention, State};
use dataflow::history::{Said, Verdict, compare, judge};
use dataflow::memory::MemoryBus;
use dataflow::testflow::{FaultPlan, Seen, TestFlow, seen};
use dataflow::*;

const PARTITIONS: u16 = 3;
const LANES: [&str; 2] = ["north", "south"];
const KEYS: u64 = 7;
const EACH: u64 = 45;
const DISTURBED_STEPS: u64 = 300;

fn flow() -> Flow {
    let topic = |name: &str, retention| TopicSpec {
        name: name.into(),
        key: "key".into(),
        partitions: PARTITIONS,
        retention,
    };
    let service = |name: &str, kind, reads: &[&str], writes: &[&str], state| ServiceSpec {
        name: name.into(),
        kind,
        reads: reads.iter().map(|t| ((*t).into(), Form::Keyed)).collect(),
        writes: writes.iter().map(|t| (*t).into()).collect(),
        state,
        does: String::new(),
    };
    let days = Retention::Days(7);
    Flow::new(
        vec![
            topic("in", days),
            topic("mid", days),
            topic("total", Retention::Compacted { tombstone_days: 7 }),
            topic("said", days),
            topic("summed", days),
            topic("fetched", days),
        ],
        vec![
            service("read", Kind::Source, &[], &["in"], State::Own),
            service("pass", Kind::Transform, &["in"], &["mid"], State::None),
            service(
                "count",
                Kind::Transform,
                &["mid"],
                &["total", "said"],
                State::BackedBy("total".into()),
            ),
            service("sum", Kind::Transform, &["mid"], &["summed"], State::Own),
            service("fetch", Kind::Effect, &["mid"], &["fetched"], State::Own),
            service("show", Kind::View, &["said"], &[], State::None),
        ],
    )
    .expect("a good table")
}

/// Reads `EACH` rows for each key of its lane, a few at a time.
struct Rows {
    lane: &'static str,
    next: Option<u64>,
}

impl Source for Rows {
    fn step(&mut self, out: &mut SourceOut<'_>) -> Result<Status, Failure> {
        let next = match self.next {
            Some(next) => next,
            None => out
                .get(b"next")?
                .and_then(|v| String::from_utf8_lossy(&v).parse().ok())
                .unwrap_or(0),
        };
        // How much is read at a time depends on the moment, as in life: only the order for each key is promised.
        let end = (next + 2 + out.now_ms().unsigned_abs() % 7).min(EACH * KEYS);
        for n in next..end {
            let (key, seq) = (format!("{}-{}", self.lane, n % KEYS), n / KEYS);
            out.emit(
                "in",
                Emit {
                    key: key.as_bytes(),
                    value: Some(seq.to_string().as_bytes()),
                    kind: "row",
                    version: seq,
                    schema: 1,
                },
            );
            out.tally("read", 1);
        }
        out.put(b"next", Some(end.to_string().as_bytes()));
        self.next = Some(end);
        Ok(if end == EACH * KEYS { Status::Done } else { Status::Busy })
    }
}

fn ends_dead(seq: u64) -> bool {
    seq % 17 == 3 || seq % 29 == 11
}

struct Pass;

impl Transform for Pass {
    fn handle(&mut self, input: &Input<'_>, out: &mut Out<'_>) -> Result<(), Failure> {
        let seq = number(input.record.value.unwrap_or_default());
        out.emit(
            "mid",
            Emit {
                key: input.record.key,
                value: input.record.value,
                kind: "row",
                version: seq,
                schema: 1,
            },
        );
        assert!(seq % 29 != 11, "a planted panic");
        if seq % 17 == 3 {
            return Err(Reject::new("planted", "a planted refusal").into());
        }
        Ok(())
    }
}

fn number(value: &[u8]) -> u64 {
    std::str::from_utf8(value).ok().and_then(|t| t.parse().ok()).expect("tests write numbers")
}

/// How many, and a digest that depends on order.
fn fold(state: Option<&[u8]>, seq: u64) -> String {
    let (mut n, mut digest) = (0, 0u64);
    if let Some(text) = state.map(String::from_utf8_lossy) {
        let (a, b) = text.split_once(' ').expect("two numbers");
        (n, digest) = (a.parse().expect("n"), b.parse().expect("digest"));
    }
    n += 1;
    digest = digest.wrapping_mul(1_000_003).wrapping_add(seq);
    format!("{n} {digest}")
}

/// State in its own output topic; two outputs for each input.
struct Count;

impl Transform for Count {
    fn handle(&mut self, input: &Input<'_>, out: &mut Out<'_>) -> Result<(), Failure> {
        let (key, seq) = (input.record.key, number(input.record.value.unwrap_or_default()));
        let state = fold(out.state()?.as_deref(), seq);
        for part in 0..2 {
            let value = format!("{seq} {part} {state}");
            out.emit(
                "said",
                Emit {
                    key,
                    value: Some(value.as_bytes()),
                    kind: "said",
                    version: seq * 2 + part,
                    schema: 1,
                },
            );
        }
        out.put_state(Emit {
            key,
            value: Some(state.as_bytes()),
            kind: "total",
            version: seq,
            schema: 1,
        });
        out.tally("counted", 1);
        Ok(())
    }
}

/// State in a table of its own.
struct Sum;

impl Transform for Sum {
    fn handle(&mut self, input: &Input<'_>, out: &mut Out<'_>) -> Result<(), Failure> {
        let (key, seq) = (input.record.key, number(input.record.value.unwrap_or_default()));
        let state = fold(out.state()?.as_deref(), seq);
        out.emit(
            "summed",
            Emit { key, value: Some(state.as_bytes()), kind: "sum", version: seq, schema: 1 },
        );
        out.put_state(Emit { key, value: Some(state.as_bytes()), kind: "", version: 0, schema: 1 });
        Ok(())
    }
}

/// The world outside: slow, failing now and then, and closed to one key for a long time.
struct Fetch {
    jobs: Vec<(u64, String, u64)>,
    rng: dataflow::memory::Rng,
    closed_until: Arc<Mutex<u64>>,
}

impl Effect for Fetch {
    fn begin(&mut self, ticket: u64, input: RecordRef<'_>) {
        let key = String::from_utf8_lossy(input.key).into_owned();
        self.jobs.push((ticket, key, number(input.value.unwrap_or_default())));
    }

    fn finished(&mut self, _wait: Duration) -> Vec<Finished> {
        let mut closed = self.closed_until.lock().expect("one thread");
        let mut finished = Vec::new();
        let (rng, jobs) = (&mut self.rng, std::mem::take(&mut self.jobs));
        for (ticket, key, seq) in jobs {
            if rng.chance(50) {
                self.jobs.push((ticket, key, seq));
            } else if (key == "north-0" && *closed > 0) || rng.chance(15) {
                *closed = closed.saturating_sub(1);
                let failure = Failure::Retry {
                    after: Duration::from_millis(rng.below(4000)),
                    reason: "planted".into(),
                };
                finished.push((ticket, Err(failure)));
            } else {
                let sent = Sent {
                    topic: "fetched".into(),
                    key: key.clone().into_bytes(),
                    value: Some(seq.to_string().into_bytes()),
                    kind: "fetched".into(),
                    version: seq,
                };
                finished.push((ticket, Ok(vec![sent])));
            }
        }
        finished
    }

    fn forget(&mut self, ticket: u64) {
        self.jobs.retain(|(t, _, _)| *t != ticket);
    }
}

/// Rows of the view as a file would keep them: every transaction, so that a power cut can take the last ones.
type Rows2 = BTreeMap<Vec<u8>, Vec<String>>;
type Disk = Arc<Mutex<Vec<(ViewPosition, Rows2)>>>;

struct Show(Disk);

impl View for Show {
    fn position(&mut self) -> Result<ViewPosition, Failure> {
        Ok(self.0.lock().expect("one thread").last().map(|(p, _)| p.clone()).unwrap_or_default())
    }

    fn reset(&mut self, epoch: u64) -> Result<(), Failure> {
        *self.0.lock().expect("one thread") =
            vec![(ViewPosition { epoch, time_ms: i64::MAX, next: Vec::new() }, Rows2::new())];
        Ok(())
    }

    fn apply(&mut self, deliveries: &[Delivery], now_ms: i64) -> Result<(), Failure> {
        let mut disk = self.0.lock().expect("one thread");
        let (mut position, mut rows) = disk.last().cloned().expect("reset came first");
        for delivery in deliveries {
            for record in delivery.records() {
                rows.entry(record.key.to_vec())
                    .or_default()
                    .push(String::from_utf8_lossy(record.value.unwrap_or_default()).into_owned());
            }
            position
                .next
                .retain(|(t, p, _)| (t.as_str(), *p) != (&delivery.topic, delivery.partition));
            position.next.push((
                delivery.topic.to_string(),
                delivery.partition,
                delivery.next_offset(),
            ));
        }
        position.time_ms = now_ms;
        disk.push((position, rows));
        Ok(())
    }
}

/// An Effect on a world that closes one key for its first few tries.
fn fetch(seed: u64) -> dataflow::testflow::EffectFactory {
    let closed_until = Arc::new(Mutex::new(6));
    Arc::new(move || {
        Box::new(Fetch {
            jobs: Vec::new(),
            rng: dataflow::memory::Rng::new(seed),
            closed_until: Arc::clone(&closed_until),
        })
    })
}

/// Runs the flow under a plan; `Err` says what the checker found.
pub(crate) fn run(
    seed: u64,
    plan: FaultPlan,
    seam: impl Fn(MemoryBus) -> Arc<dyn Bus>,
) -> Result<(), String> {
    let disk = Disk::default();
    let (view_disk, cut_disk) = (Arc::clone(&disk), Arc::clone(&disk));
    let lanes = LANES
        .iter()
        .map(|lane| {
            (
                (*lane).to_owned(),
                Arc::new(|| Box::new(Rows { lane, next: None }) as Box<dyn Source>) as _,
            )
        })
        .collect();
    let mut test = TestFlow::through(&flow(), seed, plan, seam)
        .sources("read", lanes)
        .transform("pass", 2, Arc::new(|| Box::new(Pass)))
        .transform("count", 2, Arc::new(|| Box::new(Count)))
        .transform("sum", 1, Arc::new(|| Box::new(Sum)))
        .effect("fetch", 2, fetch(seed))
        .view("show", Arc::new(move || Box::new(Show(Arc::clone(&view_disk)))))
        .on_power_cut(move |random| {
            let mut disk = cut_disk.lock().expect("one thread");
            let keep = disk.len().saturating_sub(usize::try_from(random % 3).expect("small"));
            disk.truncate(keep);
        });
    quiet_planted_panics();
    let rest = test.run(DISTURBED_STEPS);
    rest?;
    let verdict = verdict(&test.bus, &disk);
    if verdict.is_clean() { Ok(()) } else { Err(format!("{verdict:?}")) }
}

/// Planted panics are part of the plan; every other one is still printed.
fn quiet_planted_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if info.payload_as_str() != Some("a planted panic") {
                usual(info);
            }
        }));
    });
}

fn verdict(bus: &MemoryBus, disk: &Disk) -> Verdict {
    let inputs: Vec<_> = LANES
        .iter()
        .flat_map(|l| (0..KEYS).flat_map(move |k| (0..EACH).map(move |s| (format!("{l}-{k}"), s))))
        .collect();
    let (mut said, mut dead) = (Vec::new(), Vec::new());
    let mut shown_expected: BTreeMap<Vec<u8>, Vec<String>> = BTreeMap::new();
    bus.each_record("said", |_, r| {
        let text = String::from_utf8_lossy(r.value.unwrap_or_default()).into_owned();
        let mut words = text.split(' ');
        let mut word = || words.next().and_then(|w| w.parse::<u64>().ok()).expect("numbers");
        let (seq, part) = (word(), u32::try_from(word()).expect("small"));
        said.push(Said { key: String::from_utf8_lossy(r.key).into_owned(), seq, part, parts: 2 });
        shown_expected.entry(r.key.to_vec()).or_default().push(text);
    });
    bus.each_record("pass.dead-letters", |_, r| {
        dead.push((
            String::from_utf8_lossy(r.key).into_owned(),
            number(r.value.unwrap_or_default()),
        ))
    });
    let mut verdict = judge(&inputs, &said, &dead);
    let wrong_end = inputs.iter().filter(|(k, s)| ends_dead(*s) != dead.contains(&(k.clone(), *s)));
    verdict.differing.extend(wrong_end.map(|(k, s)| format!("{k}#{s} ended in the wrong way")));

    let mut fetched = Vec::new();
    bus.each_record("fetched", |_, r| {
        fetched.push(Said {
            key: String::from_utf8_lossy(r.key).into_owned(),
            seq: number(r.value.unwrap_or_default()),
            part: 0,
            parts: 1,
        });
    });
    verdict.extend(judge(&inputs, &fetched, &dead));

    let mut totals: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    for (key, seq) in inputs.iter().filter(|(_, s)| !ends_dead(*s)) {
        let next = fold(totals.get(key.as_bytes()).map(Vec::as_slice), *seq);
        totals.insert(key.as_bytes().to_vec(), next.into_bytes());
    }
    let mut backed = BTreeMap::new();
    bus.each_record("total", |_, r| {
        drop(backed.insert(r.key.to_vec(), r.value.unwrap_or_default().to_vec()))
    });
    verdict.extend(compare("backed state", &totals, &backed));
    verdict.extend(compare("own state", &totals, &bus.state_of("sum")));
    let shown =
        disk.lock().expect("one thread").last().map(|(_, rows)| rows.clone()).unwrap_or_default();
    verdict.extend(compare("view", &shown_expected, &shown));
    let alive = inputs.iter().filter(|(_, s)| !ends_dead(*s)).count();
    for (service, name, expected) in [
        ("read", "read", inputs.len()),
        ("count", "counted", alive),
        ("pass", "dead_letters:north", dead.iter().filter(|(k, _)| k.starts_with('n')).count()),
    ] {
        let found = bus
            .tallies(service)
            .expect("memory")
            .into_iter()
            .find(|(n, _)| n == name)
            .map_or(0, |(_, n)| n);
        if usize::try_from(found) != Ok(expected) {
            verdict
                .differing
                .push(format!("tally {service}/{name}: expected {expected}, found {found}"));
        }
    }
    verdict.differing.extend(against_undisturbed(bus));
    verdict
}

/// Values and headers equal those of an undisturbed run; time, trace and position do not count.
fn against_undisturbed(bus: &MemoryBus) -> Vec<String> {
    static CLEAN: std::sync::OnceLock<Vec<BTreeMap<String, Vec<Seen>>>> =
        std::sync::OnceLock::new();
    let topics = ["in", "mid", "total", "said", "summed", "pass.dead-letters"];
    let clean = CLEAN.get_or_init(|| {
        let lanes = LANES
            .iter()
            .map(|lane| {
                (
                    (*lane).to_owned(),
                    Arc::new(|| Box::new(Rows { lane, next: None }) as Box<dyn Source>) as _,
                )
            })
            .collect();
        let mut test = TestFlow::new(&flow(), 0, FaultPlan::default())
            .sources("read", lanes)
            .transform("pass", 1, Arc::new(|| Box::new(Pass)))
            .transform("count", 1, Arc::new(|| Box::new(Count)))
            .transform("sum", 1, Arc::new(|| Box::new(Sum)));
        test.run(0).expect("comes to rest");
        topics.iter().map(|t| seen(&test.bus, t)).collect()
    });
    let differs = topics.iter().zip(clean).filter(|(topic, clean)| seen(bus, topic) != **clean);
    differs.map(|(topic, _)| format!("{topic} differs from an undisturbed run")).collect()
}
