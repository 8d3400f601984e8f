//! Slots: which number an instance has, and ending what the instances that are gone left open.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use dataflow::bus::BusError;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};

use crate::config::KafkaConfig;
use crate::faults::{self, What};
use crate::layout::Layout;
use crate::producer::Transactions;

/// Instances beyond the partitions that may stand by.
const STAND_BY_MAX: u16 = 4;
/// Transactional ids that are ended at the same time.
const AT_ONCE: usize = 16;
/// A group is described by all brokers together: one that is away must not cost more than this.
const DESCRIBE_WITHIN: Duration = Duration::from_secs(2);

/// A slot, held by a lock on its folder for as long as this lives.
pub(crate) struct Slot {
    pub(crate) number: u16,
    pub(crate) dir: PathBuf,
    _lock: File,
}

/// How many slots a service has.
pub(crate) fn count(layout: &Layout) -> u16 {
    layout.partitions.saturating_add(STAND_BY_MAX)
}

/// What a group looks like now; one that nobody knows has no members.
pub(crate) struct Group {
    /// Whether all its members know what is theirs.
    pub(crate) stable: bool,
    /// Client ids of its members.
    pub(crate) members: Vec<String>,
}

/// Asks the coordinator.
pub(crate) fn group<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    config: &KafkaConfig,
    name: &str,
) -> Result<Group, BusError> {
    let list = consumer
        .fetch_group_list(Some(name), DESCRIBE_WITHIN)
        .map_err(|e| faults::bus_error(config, What::Group(name), &e))?;
    let group = list.groups().iter().find(|g| g.name() == name);
    Ok(Group {
        stable: group.is_some_and(|g| g.state() == "Stable"),
        members: group
            .map(|g| g.members().iter().map(|m| m.client_id().to_owned()).collect())
            .unwrap_or_default(),
    })
}

/// Takes the slot that is set, or the lowest one that nobody has.
pub(crate) fn claim(
    config: &KafkaConfig,
    layout: &Layout,
    members: &[String],
) -> Result<Slot, BusError> {
    if let Some(number) = config.slot {
        if number >= count(layout) {
            return Err(BusError::Fatal(format!(
                "slot {number} of `{}` is too high: it has {} partitions and {STAND_BY_MAX} stand-by slots",
                layout.service, layout.partitions
            )));
        }
        return lock_folder(config, layout, number)?.ok_or_else(|| {
            BusError::Fatal(format!(
                "slot {number} of `{}` is held by another process on this machine: give every instance a slot of its own",
                layout.service
            ))
        });
    }
    for number in 0..count(layout) {
        let name = config.member(&layout.service, number);
        // A folder of ours means that the member in the group is our own past life.
        let elsewhere = members.contains(&name) && !folder(config, layout, number).exists();
        if !elsewhere && let Some(slot) = lock_folder(config, layout, number)? {
            return Ok(slot);
        }
    }
    Err(BusError::Fatal(format!(
        "all slots of `{}` are taken: it has {} partitions, and more instances than that stand idle",
        layout.service, layout.partitions
    )))
}

fn folder(config: &KafkaConfig, layout: &Layout, number: u16) -> PathBuf {
    config.state_dir.join(config.member(&layout.service, number))
}

fn lock_folder(
    config: &KafkaConfig,
    layout: &Layout,
    number: u16,
) -> Result<Option<Slot>, BusError> {
    let dir = folder(config, layout, number);
    let failed = |path: &Path, error: &dyn std::fmt::Display| {
        BusError::Fatal(format!(
            "{} cannot be used for local state: {error}; check that the folder exists and is writable",
            path.display()
        ))
    };
    std::fs::create_dir_all(&dir).map_err(|e| failed(&dir, &e))?;
    let path = dir.join("lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|e| failed(&path, &e))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Slot { number, dir, _lock: file })),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(e)) => Err(failed(&path, &e)),
    }
}

/// Ends whatever the slots that no member of the group holds left open: they can commit nothing afterwards.
pub(crate) fn fence_absent(
    config: &KafkaConfig,
    layout: &Layout,
    own: u16,
    members: &[String],
    give_up: &(dyn Fn() -> bool + Sync),
) -> Result<(), BusError> {
    let absent: Vec<String> = (0..count(layout))
        .filter(|n| *n != own)
        .filter(|n| !members.contains(&config.member(&layout.service, *n)))
        .map(|n| config.transactional_id(&layout.service, n))
        .collect();
    for ids in absent.chunks(AT_ONCE) {
        std::thread::scope(|scope| {
            let running: Vec<_> = ids
                .iter()
                .map(|id| {
                    scope.spawn(move || Transactions::try_open(config, id, give_up).map(drop))
                })
                .collect();
            running.into_iter().try_for_each(|thread| {
                thread.join().unwrap_or_else(|_| {
                    Err(BusError::Fatal("fencing a slot panicked: this is a bug".to_owned()))
                })
            })
        })?;
    }
    Ok(())
}
