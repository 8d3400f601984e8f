//! The history checker: reads what went in and what came out, and judges.
//!
//! It is the same checker for the simulator, for the embedded bus under `kill -9`, and for Kafka under faults.
//! It knows nothing of how the system works: only that every input must end exactly once, whole, in order.

use std::collections::BTreeMap;

/// One message that went in, or one that came out because of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Said {
    /// The key whose order matters.
    pub key: String,
    /// Number of the input within its key, rising.
    pub seq: u64,
    /// Which of the outputs of that input this is, from 0.
    pub part: u32,
    /// How many outputs that input has.
    pub parts: u32,
}

/// What is wrong, in words; all empty when nothing is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Inputs that ended nowhere.
    pub lost: Vec<String>,
    /// Inputs that ended more than once.
    pub duplicated: Vec<String>,
    /// Outputs before one of an earlier input of the same key.
    pub reordered: Vec<String>,
    /// Inputs some of whose outputs are there and some not.
    pub torn: Vec<String>,
    /// Outputs of inputs that never were.
    pub invented: Vec<String>,
    /// State or views that differ from what the outputs say.
    pub differing: Vec<String>,
}

impl Verdict {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        *self == Self::default()
    }

    /// Adds what another look found.
    pub fn extend(&mut self, other: Self) {
        self.lost.extend(other.lost);
        self.duplicated.extend(other.duplicated);
        self.reordered.extend(other.reordered);
        self.torn.extend(other.torn);
        self.invented.extend(other.invented);
        self.differing.extend(other.differing);
    }
}

/// Judges one output topic: `inputs` went in, `outputs` came out in log order (for each key its own order
/// is what counts), `dead` ended as dead letters.
#[must_use]
pub fn judge(inputs: &[(String, u64)], outputs: &[Said], dead: &[(String, u64)]) -> Verdict {
    let mut verdict = Verdict::default();
    let mut parts: BTreeMap<(&str, u64), BTreeMap<u32, u32>> = BTreeMap::new();
    let mut wanted: BTreeMap<(&str, u64), u32> = BTreeMap::new();
    let mut last: BTreeMap<&str, (u64, u32)> = BTreeMap::new();
    for said in outputs {
        let name = format!("{}#{} part {}", said.key, said.seq, said.part);
        let times = parts.entry((&said.key, said.seq)).or_default().entry(said.part).or_default();
        *times += 1;
        wanted.insert((&said.key, said.seq), said.parts);
        if *times > 1 {
            verdict.duplicated.push(name);
            continue;
        }
        let before = last.insert(&said.key, (said.seq, said.part));
        if before.is_some_and(|before| before > (said.seq, said.part)) {
            verdict.reordered.push(name);
        }
    }
    let mut deaths: BTreeMap<(&str, u64), u32> = BTreeMap::new();
    for (key, seq) in dead {
        *deaths.entry((key, *seq)).or_default() += 1;
    }
    let known: std::collections::BTreeSet<(&str, u64)> =
        inputs.iter().map(|(k, s)| (k.as_str(), *s)).collect();
    for (key, seq) in &known {
        let name = format!("{key}#{seq}");
        let found = parts.get(&(*key, *seq)).map_or(0, BTreeMap::len);
        match (found, deaths.get(&(*key, *seq)).copied().unwrap_or(0)) {
            (0, 0) => verdict.lost.push(name),
            (0, 1) => {}
            (0, _) | (_, 1..) => verdict.duplicated.push(format!("{name} as a dead letter")),
            (n, 0) if wanted.get(&(*key, *seq)).is_some_and(|w| *w as usize != n) => {
                verdict.torn.push(name)
            }
            (_, 0) => {}
        }
    }
    let all = parts.keys().chain(deaths.keys());
    verdict
        .invented
        .extend(all.filter(|id| !known.contains(*id)).map(|(key, seq)| format!("{key}#{seq}")));
    verdict
}

/// Compares two maps, for state against the fold of its topic, and for views.
#[must_use]
pub fn compare<V: PartialEq + std::fmt::Debug>(
    what: &str,
    expected: &BTreeMap<Vec<u8>, V>,
    found: &BTreeMap<Vec<u8>, V>,
) -> Verdict {
    let mut verdict = Verdict::default();
    for (key, value) in expected {
        if found.get(key) != Some(value) {
            verdict.differing.push(format!(
                "{what} {}: expected {value:?}, found {:?}",
                String::from_utf8_lossy(key),
                found.get(key)
            ));
        }
    }
    for key in found.keys().filter(|k| !expected.contains_key(*k)) {
        verdict
            .differing
            .push(format!("{what} {}: not expected at all", String::from_utf8_lossy(key)));
    }
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out(key: &str, seq: u64, part: u32) -> Said {
        Said { key: key.into(), seq, part, parts: 2 }
    }

    /// The fault that each history shows, and nothing else.
    #[test]
    fn each_fault_is_named() {
        let inputs = [("a".to_owned(), 1), ("a".to_owned(), 2)];
        let good = vec![out("a", 1, 0), out("a", 1, 1), out("a", 2, 0), out("a", 2, 1)];
        let check = |outputs: &[Said], dead: &[(String, u64)]| {
            let v = judge(&inputs, outputs, dead);
            [v.lost.len(), v.duplicated.len(), v.reordered.len(), v.torn.len(), v.invented.len()]
        };
        assert_eq!(check(&good, &[]), [0, 0, 0, 0, 0]);
        assert_eq!(check(&good[..2], &[("a".into(), 2)]), [0, 0, 0, 0, 0]);
        assert_eq!(check(&good[..2], &[]), [1, 0, 0, 0, 0]);
        assert_eq!(check(&good[..3], &[]), [0, 0, 0, 1, 0]);
        assert_eq!(check(&[&good[..], &good[3..]].concat(), &[]), [0, 1, 0, 0, 0]);
        assert_eq!(check(&[&good[2..], &good[..2]].concat(), &[]), [0, 0, 1, 0, 0]);
        assert_eq!(check(&good, &[("a".into(), 2)]), [0, 1, 0, 0, 0]);
        assert_eq!(check(&[&good[..], &[out("b", 1, 0)]].concat(), &[])[4], 1);
        assert_eq!(check(&good[..2], &[("a".into(), 2), ("a".into(), 2)]), [0, 1, 0, 0, 0]);
    }
}
