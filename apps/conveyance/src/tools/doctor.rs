//! Looks twice, some seconds apart, for what is wrong with running services, and says what to do about each.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use bus_kafka::inspect::{Instances, OpenTransaction};
use dataflow::bus::Backlog;
use serde_json::{Value, json};

use super::Tools;

/// A partition that holds so many times its share of what waits is told.
const SKEW_MAX: u64 = 3;
/// Below this many records nobody minds how they are spread.
const SKEW_RECORDS_MIN: u64 = 10_000;

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    place: String,
    found: String,
    advice: String,
}

fn finding(
    place: impl Into<String>,
    found: impl Into<String>,
    advice: impl Into<String>,
) -> Finding {
    Finding { place: place.into(), found: found.into(), advice: advice.into() }
}

/// What one look sees.
struct Look {
    backlog: Vec<Backlog>,
    open: Vec<OpenTransaction>,
}

pub(super) fn doctor(tools: &Tools, wait: Duration) -> Result<Value> {
    let first = look(tools)?;
    // Nobody wakes this: it is the time in which healthy services move.
    std::thread::park_timeout(wait);
    let second = look(tools)?;
    let mut findings: Vec<Finding> = tools
        .conditions()
        .into_iter()
        .map(|(place, text)| finding(place, text, "as it says"))
        .collect();
    findings.extend(tools.bus.instances()?.iter().flat_map(crowd));
    let seconds = wait.as_secs();
    findings.extend(standing(&first.backlog, &second.backlog, seconds));
    findings.extend(skewed(&second.backlog));
    findings.extend(stuck(&first.open, &second.open, seconds));
    let told: Vec<_> = findings
        .iter()
        .map(|f| json!({"place": f.place, "found": f.found, "advice": f.advice}))
        .collect();
    Ok(json!({"ok": findings.is_empty(), "findings": told}))
}

fn look(tools: &Tools) -> Result<Look> {
    Ok(Look { backlog: tools.bus.backlog()?, open: tools.bus.open_transactions()? })
}

/// Instances that have nothing to do, and partitions that nobody works on.
fn crowd(instances: &Instances) -> Vec<Finding> {
    let Instances { service, state, partitions, members } = instances;
    let mut findings = Vec::new();
    if !matches!(state.as_str(), "Stable" | "Empty" | "Dead") {
        let advice =
            "wait some seconds and ask again; if it stays so, look which instance comes and goes";
        return vec![finding(
            service,
            format!("its instances are sharing out partitions anew ({state})"),
            advice,
        )];
    }
    if members.is_empty() {
        let advice = format!("start one: conveyance run {service}");
        return vec![finding(service, "no instance runs", advice)];
    }
    let idle: Vec<_> =
        members.iter().filter(|(_, owned)| owned.is_empty()).map(|(id, _)| id.as_str()).collect();
    if !idle.is_empty() {
        let found = format!(
            "{} of {} instances have no partition: {}",
            idle.len(),
            members.len(),
            idle.join(", ")
        );
        let advice = if members.len() > usize::from(*partitions) {
            format!(
                "it has {partitions} partitions, so more instances than that only stand by: stop them, or keep them as a reserve"
            )
        } else {
            "restart them; if that does not help, look at what they print".to_owned()
        };
        findings.push(finding(service, found, advice));
    }
    let nobody: Vec<_> = (0..*partitions)
        .filter(|p| !members.iter().any(|(_, owned)| owned.contains(p)))
        .map(|p| p.to_string())
        .collect();
    if !nobody.is_empty() {
        let found = format!("nobody owns partitions {}", nobody.join(", "));
        let advice = "restart one of its instances, which shares them out anew";
        findings.push(finding(service, found, advice));
    }
    findings
}

/// Where there is work, and the same work some seconds later.
fn standing(first: &[Backlog], second: &[Backlog], seconds: u64) -> Vec<Finding> {
    let same = |a: &Backlog, b: &Backlog| {
        (&a.service, &a.topic, a.partition) == (&b.service, &b.topic, b.partition)
    };
    let still = second.iter().filter(|b| {
        b.records > 0 && first.iter().any(|a| same(a, b) && a.next == b.next && a.records > 0)
    });
    still
        .map(|b| {
            finding(
                format!("{} {}/{}", b.service, b.topic, b.partition),
                format!("{} records wait and nothing was done in {seconds} s: it stands at offset {}", b.records, b.next),
                format!("see whether `{}` runs and what it prints (held partitions say why); then restart it", b.service),
            )
        })
        .collect()
}

/// Services whose work lies in a few partitions, so that more instances do not help.
fn skewed(backlog: &[Backlog]) -> Vec<Finding> {
    let mut by_edge = BTreeMap::<(&str, &str), Vec<&Backlog>>::new();
    for b in backlog {
        by_edge.entry((&b.service, &b.topic)).or_default().push(b);
    }
    let mut findings = Vec::new();
    for ((service, topic), partitions) in by_edge {
        let total: u64 = partitions.iter().map(|b| b.records).sum();
        let Some(most) = partitions.iter().max_by_key(|b| b.records) else { continue };
        let share = total / (partitions.len() as u64).max(1);
        if partitions.len() > 1 && total >= SKEW_RECORDS_MIN && most.records > share * SKEW_MAX {
            findings.push(finding(
                format!("{service} {topic}"),
                format!("{} of {total} waiting records are in partition {}", most.records, most.partition),
                "look for a key that is written again and again (a feed that repeats a row); other instances cannot help with it",
            ));
        }
    }
    findings
}

/// Transactions that were open at the same place both times: readers wait behind them.
fn stuck(first: &[OpenTransaction], second: &[OpenTransaction], seconds: u64) -> Vec<Finding> {
    let still = second.iter().filter(|b| {
        first.iter().any(|a| (&a.topic, a.partition, a.stable) == (&b.topic, b.partition, b.stable))
    });
    still
        .map(|b| {
            finding(
                format!("{}/{}", b.topic, b.partition),
                format!("a transaction has been open for more than {seconds} s at offset {}; {} records wait behind it", b.stable, b.waiting),
                "the brokers end it at its timeout; if it stays, start the instance that wrote it again (that ends it), or find it with `kafka-transactions.sh find-hanging` and abort it",
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(findings: &[Finding]) -> Vec<String> {
        findings.iter().map(|f| format!("{}: {}", f.place, f.found)).collect()
    }

    #[test]
    fn crowds_and_gaps_are_seen() {
        let check = |state: &str, members: &[(&str, &[u16])], expect: &[&str]| {
            let members =
                members.iter().map(|(id, owned)| ((*id).to_owned(), owned.to_vec())).collect();
            let (service, state) = ("track".to_owned(), state.to_owned());
            let found = crowd(&Instances { service, state, partitions: 2, members });
            assert_eq!(places(&found), expect);
            assert!(found.iter().all(|f| f.advice.len() > 10));
        };
        check("Stable", &[("a", &[0]), ("b", &[1])], &[]);
        check("Empty", &[], &["track: no instance runs"]);
        check(
            "PreparingRebalance",
            &[("a", &[])],
            &["track: its instances are sharing out partitions anew (PreparingRebalance)"],
        );
        check("Stable", &[("a", &[1])], &["track: nobody owns partitions 0"]);
        check(
            "Stable",
            &[("a", &[0]), ("b", &[]), ("c", &[1])],
            &["track: 1 of 3 instances have no partition: b"],
        );
    }

    fn backlog(partition: u16, next: u64, records: u64) -> Backlog {
        Backlog {
            service: "track".into(),
            topic: "t".into(),
            partition,
            next,
            records,
            oldest_ms: None,
        }
    }

    #[test]
    fn what_does_not_move_is_seen() {
        let first = [backlog(0, 5, 3), backlog(1, 5, 3), backlog(2, 5, 0), backlog(3, 5, 0)];
        let second = [backlog(0, 5, 9), backlog(1, 6, 2), backlog(2, 5, 4), backlog(3, 5, 0)];
        let found = standing(&first, &second, 5);
        assert_eq!(
            places(&found),
            ["track t/0: 9 records wait and nothing was done in 5 s: it stands at offset 5"]
        );
    }

    #[test]
    fn skew_is_told_only_where_much_waits() {
        let even: Vec<_> = (0..8).map(|p| backlog(p, 0, 5_000)).collect();
        assert_eq!(places(&skewed(&even)), [""; 0]);
        let little = [backlog(0, 0, 900), backlog(1, 0, 1)];
        assert_eq!(places(&skewed(&little)), [""; 0]);
        let mut uneven = even.clone();
        uneven[3].records = 90_000;
        assert_eq!(
            places(&skewed(&uneven)),
            ["track t: 90000 of 125000 waiting records are in partition 3"]
        );
    }

    #[test]
    fn a_transaction_that_moves_is_not_stuck() {
        let open =
            |stable, waiting| OpenTransaction { topic: "t".into(), partition: 1, stable, waiting };
        assert_eq!(stuck(&[open(5, 2)], &[open(7, 2)], 5), []);
        assert_eq!(stuck(&[], &[open(7, 2)], 5), []);
        let found = stuck(&[open(5, 2)], &[open(5, 9)], 5);
        assert_eq!(
            places(&found),
            [
                "t/1: a transaction has been open for more than 5 s at offset 5; 9 records wait behind it"
            ]
        );
    }
}
