//! Every subscriber's history, checked: writers, views, gateways that die, and clients that drop and come back, in
//! an order drawn from a seed. No gap, no double, no reorder for a listing; and a hand-off that is wrong on purpose
//! must be seen to be wrong.

mod bus;
mod client;
mod world;

use dataflow::memory::Rng;

use client::{Client, HandOff};
use world::World;

/// Steps of one run.
const STEPS: u64 = 400;
const CLIENTS: usize = 4;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// One run; what is wrong with it, and how often a client came back.
async fn run(seed: u64, hand_off: HandOff) -> (Result<(), String>, u64) {
    let mut rng = Rng::new(seed);
    let mut world = World::new(seed);
    let mut clients: Vec<_> = (0..CLIENTS).map(|n| Client::new(n, hand_off)).collect();
    for _ in 0..STEPS {
        if let Err(wrong) = step(&mut rng, &mut world, &mut clients).await {
            return (Err(format!("seed {seed}: {wrong}")), 0);
        }
    }
    world.settle();
    let mut resumes = 0;
    for client in &mut clients {
        let end = client.finish(&world).await;
        if let Err(wrong) = end {
            return (Err(format!("seed {seed}, at the end: {wrong}")), 0);
        }
        resumes += client.resumes;
    }
    (Ok(()), resumes)
}

async fn step(rng: &mut Rng, world: &mut World, clients: &mut [Client]) -> Result<(), String> {
    let at = usize::try_from(rng.below(CLIENTS as u64)).unwrap();
    match rng.below(100) {
        0..45 => world.write(rng),
        45..70 => world.step(rng),
        70..88 => clients[at].read(rng.below(6)).await?,
        88..92 => clients[at].drop_stream(),
        92..99 => clients[at].open(world, rng).await?,
        _ => world.restart(rng),
    }
    Ok(())
}

#[test]
fn no_gap_no_double_no_reorder() {
    let runtime = runtime();
    let mut resumes = 0;
    for seed in 0..60 {
        let (verdict, count) = runtime.block_on(run(seed, HandOff::TailFirst));
        verdict.unwrap();
        resumes += count;
    }
    assert!(resumes > 300, "only {resumes} times did a client come back");
}

#[test]
fn a_snapshot_before_the_tail_is_found_out() {
    let runtime = runtime();
    let caught =
        (0..60).filter(|seed| runtime.block_on(run(*seed, HandOff::SnapshotFirst)).0.is_err());
    assert!(caught.count() > 10);
}

#[test]
fn forgetting_the_position_is_found_out() {
    let runtime = runtime();
    let caught =
        (0..60).filter(|seed| runtime.block_on(run(*seed, HandOff::LosesPosition)).0.is_err());
    assert!(caught.count() > 10);
}
