//! The socket in the data folder: while a process holds the folder, other commands on it speak to that process.
//!
//! One line of JSON each way. The file's mode is 0600: who may read the data folder may ask.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::tools::{Request, Tools};

/// Longest request, in bytes.
const REQUEST_BYTES_MAX: u64 = 1 << 20;
/// Requests answered at a time; more are refused.
const CLIENTS_MAX: usize = 8;
/// A client that says nothing for so long is dropped.
const PATIENCE: Duration = Duration::from_secs(10);

fn path(dir: &Path) -> PathBuf {
    dir.join("conveyance.sock")
}

/// Listens on the socket of `tools.dir` until the process ends. The caller holds the folder, so a socket that
/// is there already is a dead process's.
///
/// # Errors
/// When the socket cannot be made.
pub(crate) fn serve(tools: Tools) -> Result<()> {
    let path = path(&tools.dir);
    if path.exists() {
        std::fs::remove_file(&path)
            .with_context(|| format!("cannot replace {}", path.display()))?;
    }
    let listener = UnixListener::bind(&path)
        .with_context(|| format!("cannot listen on {}", path.display()))?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    let clients = Arc::new(AtomicUsize::new(0));
    let accept = move || {
        for stream in listener.incoming().flatten() {
            let (tools, clients) = (tools.clone(), Arc::clone(&clients));
            if clients.fetch_add(1, Ordering::AcqRel) >= CLIENTS_MAX {
                clients.fetch_sub(1, Ordering::AcqRel);
                continue;
            }
            let answer = move || {
                // The client sees a broken answer; there is nobody else to tell.
                drop(answer(&stream, &tools));
                clients.fetch_sub(1, Ordering::AcqRel);
            };
            drop(std::thread::Builder::new().name("socket-client".to_owned()).spawn(answer));
        }
    };
    std::thread::Builder::new().name("socket".to_owned()).spawn(accept)?;
    Ok(())
}

fn answer(stream: &UnixStream, tools: &Tools) -> Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut line = String::new();
    BufReader::new(stream.take(REQUEST_BYTES_MAX)).read_line(&mut line)?;
    let result = serde_json::from_str(&line)
        .map_err(anyhow::Error::from)
        .and_then(|request| tools.answer(&request));
    let reply = match result {
        Ok(value) => json!({"value": value}),
        Err(error) => json!({"error": format!("{error:#}")}),
    };
    let mut stream = stream;
    writeln!(stream, "{reply}")?;
    Ok(())
}

/// Asks the process that holds `dir`. `None` when no process does.
///
/// # Errors
/// What the process answered, or that it broke off.
pub(crate) fn ask(dir: &Path, request: &Request) -> Result<Option<Value>> {
    let mut stream = match UnixStream::connect(path(dir)) {
        Ok(stream) => stream,
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(e) => {
            return Err(e)
                .with_context(|| format!("cannot reach the process that holds {}", dir.display()));
        }
    };
    writeln!(stream, "{}", serde_json::to_string(request)?)?;
    let mut reply = String::new();
    BufReader::new(&stream).read_line(&mut reply)?;
    let reply: Value = serde_json::from_str(&reply).context(
        "the process that holds the data folder broke off: it may be stopping, try again",
    )?;
    match reply.get("error").and_then(Value::as_str) {
        Some(error) => bail!("{error}"),
        None => Ok(reply.get("value").cloned()),
    }
}
