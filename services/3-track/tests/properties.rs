//! What holds for every history, and proof that each check notices a rule that is broken.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    reason = "a test that fails must panic"
)]

#[path = "support/history.rs"]
mod history;

use history::{Rule, Run, command, delete, observe};
use messages::change::Change;
use messages::current::{Commands, Current};
use messages::event;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use track::{CommandOutcome, Decision, Outcome, Trouble, apply};

/// What a feed says at one place.
#[derive(Debug, Clone)]
enum Word {
    Listing(String),
    Absent,
}

/// One thing that is said.
#[derive(Debug, Clone)]
enum Said {
    /// Place in the feed, mapping revision, what.
    Feed(u32, u32, Word),
    /// Number of the command, how many versions behind it is, what to set (nothing: withdraw).
    User(u32, u64, Option<String>),
}

impl Said {
    /// The message; places with `timed` carry a time of the source, in the same order.
    fn message(&self, timed: bool, version: u64) -> Vec<u8> {
        match self {
            Self::Feed(place, revision, Word::Listing(listing)) => observe(
                place / 3,
                u64::from(*place),
                timed.then_some(place / 2),
                *revision,
                listing,
            ),
            Self::Feed(place, _, Word::Absent) => delete(place / 3, u64::from(*place)),
            Self::User(n, behind, Some(set)) => {
                command(&format!("c{n}"), version.saturating_sub(*behind), "edit", set)
            }
            Self::User(n, behind, None) => {
                command(&format!("c{n}"), version.saturating_sub(*behind), "withdraw", "{}")
            }
        }
    }
}

fn listing() -> impl Strategy<Value = String> {
    let city = prop::option::of(prop::sample::select(vec!["\"a\"", "\"b\"", "null"]));
    let count = prop::option::of(0u32..3);
    let price = prop::option::of(0u32..4);
    let status = prop::option::of(prop::sample::select(vec!["Active", "Pending", "Withdrawn"]));
    let value = prop::option::of(0u32..3);
    (city, price, count, status, value).prop_map(|(city, price, count, status, value)| {
        let fields = [
            city.map(|c| format!("\"City\":{c}")),
            price.map(|p| format!("\"ListPrice\":{p}")),
            count.map(|c| format!("\"PhotosCount\":{c}")),
            status.map(|s| format!("\"StandardStatus\":\"{s}\"")),
            value.map(|v| format!("\"TaxAssessedValue\":{v}")),
        ];
        format!("{{{}}}", fields.into_iter().flatten().collect::<Vec<_>>().join(","))
    })
}

fn word() -> impl Strategy<Value = Word> {
    prop_oneof![4 => listing().prop_map(Word::Listing), 1 => Just(Word::Absent)]
}

fn user() -> impl Strategy<Value = Said> {
    let set = prop_oneof![
        Just(None),
        (0u32..4).prop_map(|p| Some(format!("{{\"ListPrice\":{p}}}"))),
        Just(Some("{\"City\":null}".to_owned())),
        Just(Some("{\"City\":\"c\",\"PublicRemarks\":\"x\"}".to_owned())),
        Just(Some("{\"PhotosCount\":1}".to_owned())),
    ];
    (0u32..60, 0u64..3, set).prop_map(|(n, behind, set)| Said::User(n, behind, set))
}

/// Anything, in any order, with contradictions.
fn anything() -> impl Strategy<Value = Vec<Said>> {
    let feed =
        (0u32..8, 1u32..3, word()).prop_map(|(place, revision, w)| Said::Feed(place, revision, w));
    prop::collection::vec(prop_oneof![3 => feed, 1 => user()], 0..30)
}

/// A feed that says one thing at each place and revision: the words, and an order (with repeats) in which they
/// come. A delete has no revision.
fn feed() -> impl Strategy<Value = (Vec<Said>, Vec<usize>, bool)> {
    let place = prop_oneof![
        4 => prop::collection::vec(listing(), 1..3).prop_map(|all| all.into_iter().map(Word::Listing).collect()),
        1 => Just(vec![Word::Absent]),
    ];
    let words = prop::collection::vec(place, 1..8).prop_map(|places: Vec<Vec<Word>>| {
        let mut said = Vec::new();
        for (place, words) in (0u32..).zip(places) {
            for (revision, word) in (1u32..).zip(words) {
                said.push(Said::Feed(place, revision, word));
            }
        }
        said
    });
    words.prop_flat_map(|said| {
        let all: Vec<usize> = (0..said.len()).collect();
        let order = (Just(all), prop::collection::vec(0..said.len(), 0..12))
            .prop_map(|(all, more)| [all, more].concat())
            .prop_shuffle();
        (Just(said), order, any::<bool>())
    })
}

type Verdict = Result<(), TestCaseError>;

/// The events, folded, are the listing, after each message.
fn events_fold(rule: Rule, said: &[Said]) -> Verdict {
    let mut run = Run::new(rule);
    for said in said {
        let decision = run.say(&said.message(false, run.version()));
        let fold = event::fold(run.events.iter().map(Vec::as_slice))
            .map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert_eq!(fold.listing(), run.listing());
        prop_assert_eq!(fold.version(), run.version());
        prop_assert_eq!(decision.version, run.version());
        prop_assert_eq!(decision.is_new_version, !decision.events.is_empty());
    }
    Ok(())
}

/// However old words are mixed in and repeated, it ends as if all had come once and in order.
fn order_is_of_no_matter(
    rule: Rule,
    (said, order, timed): &(Vec<Said>, Vec<usize>, bool),
) -> Verdict {
    let mut straight = Run::new(rule);
    for said in said {
        straight.say(&said.message(*timed, 0));
    }
    let mut mixed = Run::new(rule);
    for at in order {
        mixed.say(&said[*at].message(*timed, 0));
    }
    prop_assert_eq!(straight.listing(), mixed.listing());
    prop_assert_eq!(straight.current().stamp, mixed.current().stamp);
    prop_assert_eq!(straight.current().deleted, mixed.current().deleted);
    Ok(())
}

/// What came once changes nothing when it comes again: no event, no state, no photos. Of the feed nothing is
/// told at all; a command that counted is a duplicate as long as it is remembered, then stale.
fn repeats_say_nothing(
    rule: Rule,
    (said, users, order): &(Vec<Said>, Vec<Said>, Vec<usize>),
) -> Verdict {
    let mut run = Run::new(rule);
    let mut sent = Vec::new();
    let mut users = users.iter();
    for said in said {
        for said in std::iter::once(said).chain(users.by_ref().take(6)) {
            let message = said.message(true, run.version());
            let decision = run.say(&message);
            let accepted = decision.answers.iter().any(|a| a.outcome == CommandOutcome::Accepted);
            sent.push((message, accepted));
        }
    }
    let accepted: Vec<_> = sent.iter().filter(|(_, a)| *a).map(|(m, _)| m.clone()).collect();
    let remembered = &accepted[accepted.len().saturating_sub(32)..];
    let state = run.state.clone();
    for at in order {
        let (message, _) = &sent[at % sent.len()];
        let decision = run.say(message);
        prop_assert!(decision.events.is_empty(), "{}", String::from_utf8_lossy(message));
        prop_assert!(decision.media.is_none());
        prop_assert!(decision.outcome == Outcome::Commanded || decision.answers.is_empty());
        prop_assert_eq!(&run.state, &state);
        if remembered.contains(message) {
            prop_assert_eq!(decision.answers[0].outcome, CommandOutcome::Duplicate);
        }
    }
    Ok(())
}

/// Commands with an id of their own each, on few fields.
fn repeated() -> impl Strategy<Value = (Vec<Said>, Vec<Said>, Vec<usize>)> {
    let feed = feed().prop_map(|(said, ..)| said);
    let users = prop::collection::vec(user(), 0..48).prop_map(|users| {
        let numbered = (0u32..).zip(users).map(|(n, said)| match said {
            Said::User(_, behind, set) => Said::User(n, behind, set),
            Said::Feed(..) => said,
        });
        numbered.collect()
    });
    (feed, users, prop::collection::vec(0usize..60, 0..40))
}

fn check<S: Strategy>(
    cases: u32,
    input: S,
    holds: impl Fn(&S::Value) -> Verdict,
) -> Result<(), String> {
    let config =
        Config { cases, failure_persistence: None, max_shrink_iters: 50, ..Config::default() };
    let mut runner =
        TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    runner.run(&input, |value| holds(&value)).map_err(|e| e.to_string())
}

fn folds(rule: Rule) -> Result<(), String> {
    check(800, anything(), |said| events_fold(rule, said))
}

fn orders(rule: Rule) -> Result<(), String> {
    check(2_000, feed(), |history| order_is_of_no_matter(rule, history))
}

fn repeats(rule: Rule) -> Result<(), String> {
    check(300, repeated(), |history| repeats_say_nothing(rule, history))
}

#[test]
fn events_fold_to_the_listing() {
    assert_eq!(folds(apply), Ok(()));
}

#[test]
fn the_order_of_old_words_is_of_no_matter() {
    assert_eq!(orders(apply), Ok(()));
}

#[test]
fn a_repeated_message_says_nothing() {
    assert_eq!(repeats(apply), Ok(()));
}

type Found = Result<Decision, Trouble>;

/// The stamp of an unchanged row is not moved forward.
fn stamp_stays<'a>(key: &str, previous: Option<&Current<'a>>, change: &Change<'a>) -> Found {
    let mut decision = apply(key, previous, change)?;
    if decision.outcome == Outcome::Unchanged {
        decision.current = None;
    }
    Ok(decision)
}

/// A delete of what was never seen is not remembered.
fn absence_is_forgotten<'a>(
    key: &str,
    previous: Option<&Current<'a>>,
    change: &Change<'a>,
) -> Found {
    let mut decision = apply(key, previous, change)?;
    if decision.version == 0 {
        decision.current = None;
    }
    Ok(decision)
}

/// A deleted listing is forgotten whole.
fn deleted_is_forgotten<'a>(
    key: &str,
    previous: Option<&Current<'a>>,
    change: &Change<'a>,
) -> Found {
    let kept = previous.filter(|p| !p.deleted).copied();
    let empty = previous.map(|p| Current { stamp: None, ..*p });
    apply(key, kept.as_ref().or(empty.as_ref()), change)
}

/// Whatever comes last wins.
fn nothing_is_stale<'a>(key: &str, previous: Option<&Current<'a>>, change: &Change<'a>) -> Found {
    let previous = previous.map(|p| Current { stamp: None, ..*p });
    apply(key, previous.as_ref(), change)
}

/// The mapping revision is not looked at.
fn revisions_are_ignored<'a>(
    key: &str,
    previous: Option<&Current<'a>>,
    change: &Change<'a>,
) -> Found {
    let mut change = *change;
    if let Change::Observed(seen) = &mut change {
        seen.stamp.revision = 1;
    }
    apply(key, previous, &change)
}

/// The last event of several is lost.
fn an_event_is_lost<'a>(key: &str, previous: Option<&Current<'a>>, change: &Change<'a>) -> Found {
    let mut decision = apply(key, previous, change)?;
    if decision.events.len() > 1 {
        decision.events.pop();
    }
    Ok(decision)
}

/// The ids of commands are not remembered.
fn ids_are_forgotten<'a>(key: &str, previous: Option<&Current<'a>>, change: &Change<'a>) -> Found {
    let commands = previous.and_then(|p| p.commands).map(|text| {
        let commands = Commands::parse(text).unwrap();
        Commands { ids: Vec::new(), ..commands }.text()
    });
    let previous = previous.map(|p| Current { commands: commands.as_deref(), ..*p });
    apply(key, previous.as_ref(), change)
}

/// A command counts whatever version it is based on.
fn versions_are_ignored<'a>(
    key: &str,
    previous: Option<&Current<'a>>,
    change: &Change<'a>,
) -> Found {
    let mut change = *change;
    if let (Change::Command(command), Some(previous)) = (&mut change, previous) {
        command.based_on = previous.version;
    }
    apply(key, previous, &change)
}

#[test]
fn each_broken_rule_is_noticed() {
    type Check = fn(Rule) -> Result<(), String>;
    let broken: [(&str, Rule, Check); 8] = [
        ("stamp_stays", stamp_stays, orders),
        ("absence_is_forgotten", absence_is_forgotten, orders),
        ("deleted_is_forgotten", deleted_is_forgotten, orders),
        ("nothing_is_stale", nothing_is_stale, orders),
        ("revisions_are_ignored", revisions_are_ignored, orders),
        ("an_event_is_lost", an_event_is_lost, folds),
        ("ids_are_forgotten", ids_are_forgotten, repeats),
        ("versions_are_ignored", versions_are_ignored, repeats),
    ];
    for (name, rule, check) in broken {
        assert!(check(rule).is_err(), "{name} was not noticed");
    }
}

/// A history whose end depends on each message: from every point on, a run that starts from the stored bytes
/// goes on as the undisturbed one does.
#[test]
fn a_restart_changes_nothing() {
    let checked = check(100, anything(), |said| {
        let mut whole = Run::new(apply);
        let mut decisions = Vec::new();
        let mut states = vec![None];
        for said in said {
            let message = said.message(true, whole.version());
            let decision = whole.say(&message);
            decisions.push((message, decision));
            states.push(whole.state.clone());
        }
        for (from, state) in states.into_iter().enumerate() {
            let mut again = Run { state, ..Run::new(apply) };
            for (message, decision) in &decisions[from..] {
                prop_assert_eq!(&again.say(message), decision);
            }
            prop_assert_eq!(&again.state, &whole.state);
        }
        Ok(())
    });
    assert_eq!(checked, Ok(()));
}

/// Bytes that were damaged on the way are decided about, refused or held; nothing panics.
#[test]
fn damaged_bytes_never_panic() {
    let damage = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    let two = (listing(), damage.clone(), damage, any::<bool>());
    let checked = check(4_000, two, |(listing, of_state, of_message, is_command)| {
        let mut run = Run::new(apply);
        run.say(&observe(1, 1, Some(1), 1, "{\"City\":\"a\",\"ListPrice\":1}"));
        run.say(&command("c1", 1, "edit", "{\"ListPrice\":2}"));
        let mut state = run.state.unwrap();
        let mut message = match is_command {
            true => command("c2", 2, "edit", "{\"City\":\"b\"}"),
            false => observe(2, 1, Some(2), 1, listing),
        };
        for (bytes, damage) in [(&mut state, of_state), (&mut message, of_message)] {
            for (at, byte) in damage {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
        }
        if let Ok(change) = Change::parse(&message) {
            let decided = track::decide("calgary:1", Some(&state), &change);
            let is_sound = of_state.is_empty() && of_message.is_empty();
            prop_assert!(decided.is_ok() || !is_sound, "{:?}", decided);
        }
        Ok(())
    });
    assert_eq!(checked, Ok(()));
}
