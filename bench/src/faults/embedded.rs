//! The embedded bus: everything in one process, and what can happen to it and to its disk.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bus_sqlite::SqliteBus;
use dataflow::Flow;
use dataflow::bus::Bus;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::load::Load;
use super::now;
use super::world::{Progress, World};
use crate::kill::{check, history};
use crate::power::chance::Chance;
use crate::process;

/// The process is killed.
const KILL: &str = "kill";
/// It is killed again while it starts.
const KILL_TWICE: &str = "kill_twice";
/// It is frozen for a while.
const FREEZE: &str = "freeze";
/// It is asked to stop, and started again.
const STOP: &str = "stop";
/// The disk has no room left, until the operator makes some.
const DISK_FULL: &str = "disk_full";

/// Longest freeze.
const FREEZE_MS_MAX: u64 = 600;
/// Longest time into a start at which the second kill comes.
const START_MS_MAX: u64 = 120;
/// A process that is asked to stop must have stopped after this.
const STOPS_WITHIN: Duration = Duration::from_secs(30);
/// Longest time that the disk stays full.
const FULL_MS_MAX: u64 = 2_000;
/// Size of the disk of a round.
const DISK: &str = "size=600m";
/// Most that the rest of the disk is filled with at a time.
const BALLAST_BYTES: usize = 1 << 20;
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(4);

/// One `conveyance up`.
pub(super) struct Embedded {
    program: PathBuf,
    feeds: PathBuf,
    input: PathBuf,
    data: PathBuf,
    errors: PathBuf,
    /// A disk of its own, where the machine lets us have one.
    disk: Option<Disk>,
    /// Whether the disk was full since the last fault: the program may end because of that, some time after.
    was_full: bool,
    child: Child,
}

impl Embedded {
    /// Starts the program on a fresh data folder.
    ///
    /// # Errors
    /// When it was not built or does not start.
    pub(super) fn start(folder: &Path, program: &str, load: &Load) -> Result<Self> {
        let program = process::conveyance()?.with_file_name(program);
        if !program.exists() {
            bail!(
                "{} is not there: build it in the same profile, `cargo build -p conveyance --features planted --bin conveyance-planted`",
                program.display()
            );
        }
        let mount = folder.join("disk");
        std::fs::create_dir(&mount)?;
        let disk = Disk::mount(&mount);
        let (data, errors) = (mount.join("data"), folder.join("errors"));
        let (feeds, input) = (load.feeds.clone(), load.input.clone());
        let child = spawn(&program, (&feeds, &input), &data, &errors)?;
        Ok(Self { program, feeds, input, data, errors, disk, was_full: false, child })
    }

    fn restart(&mut self) -> Result<()> {
        self.child = spawn(&self.program, (&self.feeds, &self.input), &self.data, &self.errors)?;
        Ok(())
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).context("cannot send a signal to the program")
    }

    fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    fn kill_twice(&mut self, chance: &mut Chance) -> Result<()> {
        self.kill()?;
        self.restart()?;
        std::thread::park_timeout(Duration::from_millis(chance.below(START_MS_MAX)));
        self.kill()
    }

    fn freeze(&mut self, chance: &mut Chance) -> Result<()> {
        self.signal(Signal::STOP)?;
        std::thread::park_timeout(Duration::from_millis(chance.below(FREEZE_MS_MAX)));
        self.signal(Signal::CONT)
    }

    fn stop_cleanly(&mut self) -> Result<()> {
        self.signal(Signal::TERM)?;
        let from = now();
        while from.elapsed() < STOPS_WITHIN {
            if let Some(status) = self.child.try_wait()? {
                if !status.success() {
                    bail!("asked to stop, it ended with {status}: {}", self.errors());
                }
                return Ok(());
            }
            std::thread::park_timeout(LOOK);
        }
        bail!("asked to stop, it goes on for {STOPS_WITHIN:?}")
    }

    /// Fills the disk. A program that ends because of it is started again once there is room.
    fn disk_full(&mut self, chance: &mut Chance) -> Result<()> {
        let Some(disk) = &self.disk else { bail!("no disk of its own") };
        let ballast = disk.fill()?;
        let from = now();
        let time = Duration::from_millis(chance.below(FULL_MS_MAX) + 50);
        while from.elapsed() < time && self.child.try_wait()?.is_none() {
            std::thread::park_timeout(LOOK);
        }
        std::fs::remove_file(ballast)?;
        self.was_full = true;
        self.still_there()
    }

    fn errors(&self) -> String {
        std::fs::read_to_string(&self.errors).unwrap_or_default()
    }
}

fn spawn(
    program: &Path,
    (feeds, input): (&Path, &Path),
    data: &Path,
    errors: &Path,
) -> Result<Child> {
    let errors = File::options().create(true).append(true).open(errors)?;
    let mut command = Command::new(program);
    command.args(["up", "--listen", "127.0.0.1:0", "--feeds"]).arg(feeds);
    command.arg("--input").arg(input).arg("--data").arg(data);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors);
    command.spawn().with_context(|| format!("cannot start {}", program.display()))
}

impl World for Embedded {
    fn kinds(&self) -> Vec<&'static str> {
        let mut kinds = vec![KILL, KILL_TWICE, FREEZE, STOP];
        if self.disk.is_some() {
            kinds.push(DISK_FULL);
        }
        kinds
    }

    fn inflict(&mut self, kind: &str, chance: &mut Chance) -> Result<Instant> {
        let healed;
        self.was_full = false;
        match kind {
            KILL => {
                healed = now();
                self.kill()?;
                self.restart()?;
            }
            KILL_TWICE => {
                self.kill_twice(chance)?;
                healed = now();
                self.restart()?;
            }
            FREEZE => {
                self.freeze(chance)?;
                healed = now();
            }
            STOP => {
                self.stop_cleanly()?;
                healed = now();
                self.restart()?;
            }
            _ => {
                self.disk_full(chance)?;
                healed = now();
            }
        }
        Ok(healed)
    }

    fn look(&self) -> Duration {
        LOOK
    }

    fn flow(&self) -> Result<Flow> {
        history::flow()
    }

    fn progress(&mut self) -> Option<Progress> {
        ask(&self.data.join("conveyance.sock"))
    }

    fn still_there(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(_) if std::mem::take(&mut self.was_full) => self.restart(),
            Some(status) => bail!("it ended by itself, {status}: {}", self.errors()),
        }
    }

    fn stop(&mut self) -> Result<(Arc<dyn Bus>, Vec<String>)> {
        self.stop_cleanly()?;
        let checks = check(&self.data)?.into_iter().collect();
        let bus = SqliteBus::open_read_only(&self.data, &history::flow()?, history::options())?;
        Ok((bus, checks))
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn ask(socket: &Path) -> Option<Progress> {
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    stream.write_all(b"{\"ask\":\"lag\"}\n").ok()?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).ok()?;
    let reply: Value = serde_json::from_str(&line).ok()?;
    let places = reply.get("value")?.get("partitions")?.as_array()?.iter().filter_map(|p| {
        let text = |name: &str| p.get(name)?.as_str().map(str::to_owned);
        let number = |name: &str| p.get(name)?.as_u64();
        let place = (text("service")?, text("topic")?, number("partition")?);
        Some((place, (number("next")?, number("records")?)))
    });
    let mut progress = Progress { rows: 0, places: places.collect() };
    progress.rows = progress.next_of_rows();
    Some(progress)
}

/// A small disk in memory, mounted for one round.
struct Disk {
    mount: PathBuf,
}

impl Disk {
    /// `None` where the machine does not let us: one has to be root.
    fn mount(at: &Path) -> Option<Self> {
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", DISK, "conveyance-faults"]).arg(at);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mounted = command.status().is_ok_and(|status| status.success());
        mounted.then(|| Self { mount: at.to_owned() })
    }

    /// Takes all the room there is.
    fn fill(&self) -> Result<PathBuf> {
        let path = self.mount.join("ballast");
        let mut file = File::create(&path)?;
        let mut size = BALLAST_BYTES;
        let bytes = vec![0; BALLAST_BYTES];
        while size > 0 {
            if file.write_all(bytes.get(..size).unwrap_or_default()).is_err() {
                size /= 2;
            }
        }
        Ok(path)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a log that is still being judged may be open on it.
        drop(Command::new("umount").arg("-l").arg(&self.mount).status());
    }
}
