//! Any two messages of `listing.changes`, one after the other: decided or refused; the state is read back, and the
//! events fold to it.
#![no_main]

use messages::change::Change;
use messages::current::Current;
use messages::event::fold;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut events = Vec::new();
    let mut state: Option<Vec<u8>> = None;
    for message in bytes.split(|b| *b == b'\n').take(8) {
        let Ok(change) = Change::parse(message) else { continue };
        let decision = match track::decide("f:1", state.as_deref(), &change) {
            Ok(decision) => decision,
            Err(dataflow::Failure::Reject(_)) => continue,
            Err(other) => panic!("a change is never a reason to hold: {other}"),
        };
        events.extend(decision.events.into_iter().map(|(_, value)| value));
        if let Some(current) = decision.current {
            state = Some(current);
        }
        let folded = fold(events.iter().map(Vec::as_slice)).expect("events fit each other");
        if let Some(state) = &state {
            let current = Current::parse(state).expect("what track writes, track reads");
            assert_eq!(folded.version(), current.version);
            assert_eq!(folded.listing().as_deref(), current.listing, "events folded are not the state");
        }
    }
});
