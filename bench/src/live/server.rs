//! The real program as a process of its own, on a market of its own.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::services::Services;
use super::wire::Connection;
use crate::process;

/// What the program says of where it listens.
const LISTENS: &str = "conveyance is at http://";

/// A server; killed when it is dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    /// What it is a part of, on Kafka; that ends after it.
    _services: Option<Services>,
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What kind of market it has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Market {
    pub(crate) listings: u64,
    pub(crate) rate: f64,
}

impl Server {
    /// Starts it on a folder; port 0 lets the system choose.
    ///
    /// # Errors
    /// When it does not come up.
    pub(crate) fn start(data: &Path, market: Market, port: u16) -> Result<Self> {
        let mut command = process::command()?;
        command
            .args(["up", "--demo", "--listen", &format!("127.0.0.1:{port}")])
            .args(["--listings", &market.listings.to_string(), "--rate", &market.rate.to_string()])
            .arg("--data")
            .arg(data)
            .stdout(Stdio::piped());
        Self::listening(command, None)
    }

    /// Starts everything on Kafka below a folder: broker, market, and each service as a process of its own.
    ///
    /// # Errors
    /// When something does not come up.
    pub(crate) fn start_on_kafka(folder: &Path, market: Market) -> Result<Self> {
        let services = Services::start(folder, market)?;
        let mut command = services.command("gateway")?;
        command.args(["--listen", "127.0.0.1:0"]).stdout(Stdio::piped());
        Self::listening(command, Some(services))
    }

    /// Starts a program, and waits until it says where it listens.
    fn listening(mut command: Command, services: Option<Services>) -> Result<Self> {
        let mut child = command.spawn().context("cannot start the program")?;
        let out = child.stdout.take().context("piped")?;
        let mut lines = BufReader::new(out).lines();
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut server = Self { child, address, _services: services };
        for line in lines.by_ref() {
            if let Some((_, address)) = line?.split_once(LISTENS) {
                server.address = address.trim().parse()?;
                // What it says later must not fill the pipe.
                std::thread::Builder::new().name("said".to_owned()).spawn(move || lines.count())?;
                return Ok(server);
            }
        }
        bail!("the program ended before it listened: {}", server.child.wait()?)
    }

    /// `kill -9`.
    ///
    /// # Errors
    /// When there is nothing to kill.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Resident memory now, in bytes.
    ///
    /// # Errors
    /// When the process is gone.
    pub(crate) fn memory(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find(|l| l.starts_with("VmRSS:")).context("no VmRSS")?;
        let kib: u64 = line.split_whitespace().nth(1).context("no number")?.parse()?;
        Ok(kib << 10)
    }

    /// Waits until at least so many listings are shown.
    ///
    /// # Errors
    /// When they do not come within some minutes.
    pub(crate) async fn until_listed(&self, least: u64) -> Result<()> {
        let mut connection = Connection::open(self.address).await?;
        let mut last = 0;
        for _ in 0..3_000 {
            let stats = connection.ask("GET", "/stats", None).await?.json()?;
            last = stats.get("listings").and_then(Value::as_u64).unwrap_or(0);
            if last >= least {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        bail!("only {last} of {least} listings came")
    }
}
