//! What a campaign found, and how long recoveries took.

use std::collections::BTreeMap;
use std::time::Duration;

use dataflow::history::Verdict;
use serde_json::{Value, json};

use crate::kill::findings;

/// What was done and found so far.
#[derive(Default)]
pub(super) struct Tally {
    /// Rounds that were judged.
    pub(super) rounds: u32,
    /// Rows that went in.
    pub(super) rows: u64,
    /// Of them, those that had to end as dead letters.
    pub(super) rejected: u64,
    /// What the history checker says.
    pub(super) verdict: Verdict,
    /// What the program's own check says.
    pub(super) checks_failed: Vec<String>,
    /// Processes that ended by themselves, with their last words.
    pub(super) exits: Vec<String>,
    recoveries: BTreeMap<&'static str, Vec<Duration>>,
}

impl Tally {
    /// Notes a fault and how long it took until all that has work moved again; the number of it.
    pub(super) fn add(&mut self, kind: &'static str, recovered: Duration) -> u32 {
        self.recoveries.entry(kind).or_default().push(recovered);
        self.faults()
    }

    /// Faults so far.
    pub(super) fn faults(&self) -> u32 {
        let count: usize = self.recoveries.values().map(Vec::len).sum();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// The answer of the command.
    pub(super) fn report(&self, seed: u64, planted: bool) -> Value {
        let verdict = &self.verdict;
        let ok = verdict.is_clean() && self.checks_failed.is_empty();
        let kinds: BTreeMap<_, _> =
            self.recoveries.iter().map(|(kind, times)| (kind, times_of(times.clone()))).collect();
        let all = self.recoveries.values().flatten().copied().collect();
        json!({
            "seed": seed, "faults": self.faults(), "ok": ok, "planted": planted,
            "lost": verdict.lost.len(),
            "duplicated": verdict.duplicated.len() + verdict.invented.len(),
            "reordered": verdict.reordered.len(),
            "state_differences": verdict.differing.len() + verdict.torn.len() + self.checks_failed.len(),
            "recovery_s": times_of(all), "by_fault": kinds,
            "exits": [self.exits.len(), self.exits.iter().take(5).collect::<Vec<_>>()],
            "rounds": self.rounds, "rows": self.rows, "dead_letters": self.rejected,
            "first_findings": if ok { Value::Null } else { json!([findings(verdict), self.checks_failed]) },
        })
    }
}

fn times_of(mut times: Vec<Duration>) -> Value {
    times.sort_unstable();
    let at = |share: usize| {
        let place = times.len().saturating_sub(1) * share / 100;
        times.get(place).map(|d| (d.as_secs_f64() * 1e3).round() / 1e3)
    };
    json!({"n": times.len(), "p50": at(50), "p99": at(99), "max": at(100)})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_makes_a_run_bad() {
        let mut tally = Tally::default();
        tally.add("kill", Duration::from_millis(20));
        tally.add("stop", Duration::from_millis(40));
        let good = tally.report(1, false);
        assert_eq!((&good["ok"], &good["faults"]), (&json!(true), &json!(2)));
        assert_eq!(good["recovery_s"], json!({"n": 2, "p50": 0.02, "p99": 0.02, "max": 0.04}));
        tally.verdict.torn.push("a#1".into());
        assert_eq!(tally.report(1, false)["state_differences"], json!(1));
        assert_eq!(tally.report(1, false)["ok"], json!(false));
    }
}
