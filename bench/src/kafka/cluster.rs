//! Real brokers for benchmarks and campaigns, started and stopped by `deploy/kafka/broker`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// A cluster of our own; it ends with this value.
pub(crate) struct Cluster {
    folder: PathBuf,
    /// `host:port`, comma separated.
    pub(crate) address: String,
}

impl Cluster {
    /// Starts `brokers` of them with their data below `folder`; `options` are the script's.
    ///
    /// # Errors
    /// What the script says: no JDK, no Maven, no network.
    pub(crate) fn start(folder: &Path, brokers: u32, options: &[&str]) -> Result<Self> {
        let folder = folder.join("kafka");
        let mut command = script(&folder);
        command.args(["start", "--brokers", &brokers.to_string()]);
        command.args(options);
        let address = said(command)?;
        Ok(Self { folder, address })
    }

    /// Runs one of the script's commands for a broker: `kill`, `restart`, `halt`.
    ///
    /// # Errors
    /// What the script says.
    pub(crate) fn tell(&self, word: &str, broker: u32) -> Result<()> {
        let mut command = script(&self.folder);
        command.args([word, &broker.to_string()]);
        said(command).map(drop)
    }

    /// Process ids of the brokers that run.
    ///
    /// # Errors
    /// What the script says.
    pub(crate) fn pids(&self) -> Result<Vec<u32>> {
        let mut command = script(&self.folder);
        command.arg("pids");
        let text = said(command)?;
        Ok(text.lines().filter_map(|line| line.split_once(' ')?.1.parse().ok()).collect())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // What the brokers said stays beside their folder, which goes with them.
        for broker in self.folder.read_dir().into_iter().flatten().flatten() {
            let name = format!("broker-{}.log", broker.file_name().display());
            drop(std::fs::copy(broker.path().join("log"), self.folder.with_file_name(name)));
        }
        drop(script(&self.folder).arg("stop").status());
    }
}

fn script(folder: &Path) -> Command {
    let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/kafka/broker"));
    command.env("KAFKA_DIR", folder).stdin(Stdio::null());
    command
}

fn said(mut command: Command) -> Result<String> {
    let output = command.stderr(Stdio::inherit()).output().context("deploy/kafka/broker")?;
    if !output.status.success() {
        bail!("deploy/kafka/broker failed: see above");
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
