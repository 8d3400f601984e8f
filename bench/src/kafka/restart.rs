//! A process with much state dies and is started again: how long until its first output. And the same once its local
//! copy is gone, when all of the state comes from Kafka.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rdkafka::message::Message;
use rdkafka::producer::Producer;
use serde_json::{Value, json};

use super::cluster::Cluster;
use super::peers::Role;
use super::topics::{self, Size};
use super::{latency, measure, now, works};

/// It never works again after so long.
const PATIENCE: Duration = Duration::from_secs(120);
/// Time for one look.
const LOOK: Duration = Duration::from_millis(5);

/// Fills the state with `keys`, and kills and starts the process so often.
pub(super) fn run(cluster: &Cluster, task: &Role, keys: u64, times: usize) -> Result<Value> {
    topics::fill(&cluster.address, &task.input, Size { keys, revisions: 1 })?;
    // It ends with a kill, as soon as all is committed.
    measure::run(cluster, task, keys)?;
    let mut keys_of_runs = changing_keys(keys);
    let mut runs = |fresh: bool| -> Result<Vec<f64>> {
        let run = |key| {
            if fresh {
                std::fs::remove_dir_all(&task.state).context("the local copy")?;
            }
            once(task, key)
        };
        keys_of_runs.by_ref().take(times).map(run).collect()
    };
    let (mut with_copy, mut without) = (runs(false)?, runs(true)?);
    ensure!(without.len() == times, "too few keys: give it some hundred");
    let median = |list: &mut Vec<f64>| {
        list.sort_by(f64::total_cmp);
        list.get(list.len() / 2).map(|s| (s * 100.0).round() / 100.0)
    };
    Ok(json!({
        "keys": keys,
        "times": times,
        "first_output_s": median(&mut with_copy),
        "first_output_without_local_copy_s": median(&mut without),
    }))
}

/// Keys of the fixture that change with their first revision, each with the event that tells it.
fn changing_keys(keys: u64) -> impl Iterator<Item = (u64, Vec<u8>)> {
    (0..keys).filter_map(|key| {
        let of = |revision| works::last(works::listing(key, revision).as_bytes()).ok();
        Some((key, works::change(of(0).as_deref(), &of(1)?)?))
    })
}

/// Starts it with one record to do; the seconds until that is told, with what was there before. Then it is killed.
fn once(task: &Role, (key, event): (u64, Vec<u8>)) -> Result<f64> {
    let reader = latency::reader(task, &topics::ends(&task.brokers, &task.output)?)?;
    let producer = topics::producer(&task.brokers, 0)?;
    topics::send(&producer, &task.input, &topics::key_of(key), &works::listing(key, 1))?;
    producer.flush(PATIENCE)?;
    let from = now();
    let mut running = task.start()?;
    loop {
        if let Some(message) = reader.poll(LOOK) {
            let message = message?;
            if message.payload() == Some(&*event) {
                return Ok(from.elapsed().as_secs_f64());
            }
            bail!("{} is told, and not {}", text(message.payload()), text(Some(&event)));
        }
        running.still_there()?;
        if from.elapsed() > PATIENCE {
            bail!("no output {PATIENCE:?} after the start");
        }
    }
}

fn text(bytes: Option<&[u8]>) -> String {
    String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned()
}
