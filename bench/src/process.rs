//! The program under test as a process: its place, its input, and what the operating system says of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// Clock ticks a second in `/proc/PID/stat`: 100 on every Linux that matters.
const TICKS_PER_SECOND: f64 = 100.0;

/// The program, built beside this one in the same profile.
///
/// # Errors
/// When it was not built.
pub(crate) fn conveyance() -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name("conveyance");
    if !path.exists() {
        bail!(
            "{} is not there: build it in the same profile, `cargo build --release --bin conveyance`",
            path.display()
        );
    }
    Ok(path)
}

/// The deliberately wrong program, `None` where it was not built (`cargo build -p conveyance
/// --features wrong-syncs --bin conveyance-wrong-syncs`).
///
/// # Errors
/// When this program's own place is not known.
pub(crate) fn wrong_syncs() -> Result<Option<PathBuf>> {
    let path = std::env::current_exe()?.with_file_name("conveyance-wrong-syncs");
    Ok(path.exists().then_some(path))
}

/// A command of the program.
///
/// # Errors
/// When the program was not built.
pub(crate) fn command() -> Result<Command> {
    let mut command = Command::new(conveyance()?);
    command.stdin(Stdio::null());
    Ok(command)
}

/// Writes a `feeds.toml` for JSON Lines files of the synthetic market.
///
/// # Errors
/// When the folder cannot be written.
pub(crate) fn write_feeds(folder: &Path, pattern: &str) -> Result<PathBuf> {
    std::fs::write(folder.join("pack.toml"), include_str!("../../packs/simulated-mls.toml"))?;
    let path = folder.join("feeds.toml");
    let text = format!(
        "[[feed]]\nname = \"market\"\npack = \"pack.toml\"\nfiles = [\"{pattern}\"]\nmode = \"partial\"\nas_of = \"2026-01-01\"\n"
    );
    std::fs::write(&path, text)?;
    Ok(path)
}

/// A `conveyance load` that is not started yet.
///
/// # Errors
/// When the program was not built.
pub(crate) fn load(feeds: &Path, input: &Path, data: &Path) -> Result<Command> {
    Ok(load_with(&conveyance()?, feeds, input, data))
}

/// As [`load`], with another program.
#[must_use]
pub(crate) fn load_with(program: &Path, feeds: &Path, input: &Path, data: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .arg("load")
        .arg("--feeds")
        .arg(feeds)
        .arg("--input")
        .arg(input)
        .arg("--data")
        .arg(data)
        .arg("--json");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The JSON line that a command prints.
///
/// # Errors
/// What it said on standard error when it failed.
pub(crate) fn json(mut command: Command) -> Result<serde_json::Value> {
    let output = command.output().context("cannot start the program")?;
    if output.stdout.is_empty() {
        bail!("{} {}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// What a running process has used so far.
#[derive(Debug, Default, Clone)]
pub(crate) struct Usage {
    /// CPU seconds by thread name; threads of one name are added up, and those that ended stay counted.
    pub(crate) cpu_by_thread: BTreeMap<String, f64>,
    /// Largest resident memory, bytes.
    pub(crate) peak_rss: u64,
    threads: BTreeMap<u32, (String, f64)>,
}

impl Usage {
    /// Looks again.
    pub(crate) fn look(&mut self, pid: u32) {
        let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return };
        for task in tasks.flatten() {
            let Ok(stat) = std::fs::read_to_string(task.path().join("stat")) else { continue };
            let Some((name, cpu)) = thread_stat(&stat) else { continue };
            let Some(tid) = task.file_name().to_str().and_then(|t| t.parse().ok()) else {
                continue;
            };
            self.threads.insert(tid, (name, cpu));
        }
        self.cpu_by_thread.clear();
        for (name, cpu) in self.threads.values() {
            *self.cpu_by_thread.entry(name.clone()).or_default() += cpu;
        }
        if let Some(kib) = peak_rss_kib(pid) {
            self.peak_rss = self.peak_rss.max(kib << 10);
        }
    }

    /// CPU seconds of the whole process.
    pub(crate) fn cpu(&self) -> f64 {
        self.cpu_by_thread.values().sum()
    }
}

fn thread_stat(stat: &str) -> Option<(String, f64)> {
    let (head, tail) = stat.rsplit_once(')')?;
    let name = head.split_once('(')?.1.to_owned();
    let mut fields = tail.split_whitespace().skip(11);
    let ticks: f64 = fields.next()?.parse::<f64>().ok()? + fields.next()?.parse::<f64>().ok()?;
    Some((name, ticks / TICKS_PER_SECOND))
}

fn peak_rss_kib(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Waits for a process while looking at what it uses.
///
/// # Errors
/// When the process cannot be waited for.
pub(crate) fn watch(child: &mut Child) -> Result<Usage> {
    let mut usage = Usage::default();
    loop {
        usage.look(child.id());
        if child.try_wait()?.is_some() {
            return Ok(usage);
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// Bytes of all files below a folder.
///
/// # Errors
/// When the folder cannot be read.
pub(crate) fn bytes_below(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { bytes_below(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_name_may_hold_anything() {
        let stat = "12 (a) b) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0";
        assert_eq!(thread_stat(stat), Some(("a) b".to_owned(), 3.0)));
        assert_eq!(thread_stat("nonsense"), None);
    }
}
