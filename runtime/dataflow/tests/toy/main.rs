//! A small flow through the whole runtime under seeded faults, judged by the history checker; and
//! deliberately broken runtimes, each of which the same judgement must catch.

mod broken;
mod flow;

use dataflow::memory::Faults;
use dataflow::testflow::FaultPlan;

/// Seeds of the ordinary run; `CONVEYANCE_SEEDS` asks for a longer campaign.
#[allow(clippy::disallowed_methods, reason = "the one setting of this campaign")]
fn seeds() -> u64 {
    std::env::var("CONVEYANCE_SEEDS").ok().and_then(|s| s.parse().ok()).unwrap_or(1000)
}

#[test]
fn an_undisturbed_run_is_clean() {
    let result = flow::run(1, FaultPlan { sync: 25, ..FaultPlan::default() }, |bus| {
        std::sync::Arc::new(bus)
    });
    assert_eq!(result, Ok(()));
}

#[test]
fn every_seed_of_the_fault_plan_is_clean() {
    for seed in 0..seeds() {
        let result = flow::run(seed, FaultPlan::everything(), |bus| std::sync::Arc::new(bus));
        assert_eq!(result, Ok(()), "seed {seed}");
    }
}

#[test]
fn each_fault_alone_is_clean() {
    let calm = Faults::default();
    let plans = [
        ("abort", FaultPlan { bus: Faults { abort: 30, ..calm }, ..FaultPlan::default() }),
        ("unknown", FaultPlan { bus: Faults { unknown: 30, ..calm }, ..FaultPlan::default() }),
        ("delay", FaultPlan { bus: Faults { delay: 70, ..calm }, ..FaultPlan::default() }),
        (
            "revoke",
            FaultPlan { bus: Faults { revoke: 30, delay: 50, ..calm }, ..FaultPlan::default() },
        ),
        (
            "steal",
            FaultPlan { bus: Faults { steal: 20, delay: 50, ..calm }, ..FaultPlan::default() },
        ),
        ("repeat", FaultPlan { bus: Faults { repeat: 60, ..calm }, ..FaultPlan::default() }),
        ("crash", FaultPlan { crash: 15, ..FaultPlan::default() }),
        ("power cut", FaultPlan { power_cut: 30, sync: 20, ..FaultPlan::default() }),
    ];
    for (name, plan) in plans {
        for seed in 0..40 {
            assert_eq!(
                flow::run(seed, plan, |bus| std::sync::Arc::new(bus)),
                Ok(()),
                "{name}, seed {seed}"
            );
        }
    }
}

/// How many seeds a broken runtime may survive before the checker counts as blind to it.
const BROKEN_SEEDS: u64 = 300;

#[test]
fn every_broken_runtime_is_caught() {
    let power = FaultPlan { power_cut: 25, sync: 6, ..FaultPlan::everything() };
    let plans = [FaultPlan::everything(), power];
    for sabotage in broken::ALL {
        let mut runs = (0..BROKEN_SEEDS).flat_map(|seed| plans.map(|plan| (seed, plan)));
        let caught = runs
            .any(|(seed, plan)| flow::run(seed, plan, |bus| broken::seam(bus, sabotage)).is_err());
        assert!(caught, "{sabotage:?} went unnoticed");
    }
    for seed in 0..60 {
        assert_eq!(flow::run(seed, power, |bus| std::sync::Arc::new(bus)), Ok(()), "seed {seed}");
    }
}
