//! Runs the real program under the recorder.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::kill::input::Input;
use crate::power::trace::{Trace, prove_whole};
use crate::process;

const SOURCE: &str = include_str!("../../shim/record.c");

/// A run of the program, recorded.
pub(crate) struct Recording {
    pub(crate) trace: Trace,
    pub(crate) data: PathBuf,
    /// Places in the trace where a process began, but for the first.
    pub(crate) reopened: Option<usize>,
}

/// The recorder, built.
pub(crate) struct Recorder {
    library: PathBuf,
    folder: PathBuf,
}

/// What is asked of the recorder beyond recording.
#[derive(Debug, Clone, Default)]
pub(crate) struct Disturb {
    /// Milliseconds that each sync of a write-ahead log takes longer.
    pub(crate) sync_ms: u64,
    /// The write of `log.db-wal` with which the process ends.
    pub(crate) kill_at: u64,
    /// A program that is wrong on purpose, and the fault that it is to have.
    pub(crate) wrong: Option<(PathBuf, &'static str)>,
}

impl Recorder {
    /// Builds the recorder with the C compiler that is there.
    ///
    /// # Errors
    /// When there is none, or it fails.
    pub(crate) fn build(folder: &Path) -> Result<Self> {
        let (source, library) = (folder.join("record.c"), folder.join("record.so"));
        std::fs::write(&source, SOURCE)?;
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-pthread", "-o"]);
        cc.arg(&library).arg(&source).arg("-ldl");
        let output = cc.output().context("there is no C compiler: install `cc`")?;
        if !output.status.success() {
            bail!("shim/record.c: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(Self { library, folder: folder.to_owned() })
    }

    /// Records a load that nobody disturbs.
    ///
    /// # Errors
    /// When the load fails or the recorder missed something.
    pub(crate) fn load(&self, input: &Input, name: &str, disturb: Disturb) -> Result<Recording> {
        let (data, trace) = self.places(name);
        if !self.run(input, (&data, &trace), &disturb)? {
            bail!("the recorded load was killed, which nobody asked for");
        }
        finish(data, &trace, None)
    }

    /// Records a load whose process is killed, and the one that goes on after it.
    ///
    /// # Errors
    /// As [`Self::load`]; also when the load ended before it was to be killed.
    pub(crate) fn killed_load(
        &self,
        input: &Input,
        name: &str,
        disturb: Disturb,
    ) -> Result<Recording> {
        let (data, trace) = self.places(name);
        if self.run(input, (&data, &trace), &disturb)? {
            bail!("the load ended before write {} of the log", disturb.kill_at);
        }
        let first = Trace::read(&trace)?;
        // What the next process finds is what the trace says: the kernel lives on.
        prove_whole(&first, &data)?;
        let disturb = Disturb { kill_at: 0, ..disturb };
        if !self.run(input, (&data, &trace), &disturb)? {
            bail!("the load after the kill was killed, which nobody asked for");
        }
        finish(data, &trace, Some(first.records.len()))
    }

    fn places(&self, name: &str) -> (PathBuf, PathBuf) {
        (self.folder.join(name), self.folder.join(format!("{name}.trace")))
    }

    /// Returns whether the load ended by itself.
    fn run(&self, input: &Input, (data, trace): (&Path, &Path), disturb: &Disturb) -> Result<bool> {
        let mut command = match &disturb.wrong {
            None => process::load(&input.feeds, &input.files, data)?,
            Some((program, fault)) => {
                let mut command = process::load_with(program, &input.feeds, &input.files, data);
                command.env("CONVEYANCE_WRONG_SYNC", fault);
                command
            }
        };
        command.env("LD_PRELOAD", &self.library).env("RECORD_DIR", data).env("RECORD_TRACE", trace);
        command.env("RECORD_SYNC_MS", disturb.sync_ms.to_string());
        command.env("RECORD_KILL_AT", disturb.kill_at.to_string());
        let output = command.stdout(Stdio::null()).output()?;
        match output.status.code() {
            Some(0) => Ok(true),
            None if disturb.kill_at > 0 => Ok(false),
            _ => bail!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr)),
        }
    }
}

fn finish(data: PathBuf, trace: &Path, reopened: Option<usize>) -> Result<Recording> {
    let trace = Trace::read(trace)?;
    prove_whole(&trace, &data)?;
    Ok(Recording { trace, data, reopened })
}
