//! The program as its users run it: real processes, real files, what they print.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a missing member of an answer is a failed test"
)]

mod bad_input;
mod compose;
mod kafka;
mod letters;
mod real_data;
mod tools;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// The folder of real inputs; `None` (said plainly) where it is not there.
#[allow(clippy::disallowed_methods, reason = "the one setting of these tests")]
fn real_inputs() -> Option<PathBuf> {
    let folder = std::env::var("CONVEYANCE_DATA").map_or_else(
        |_| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    let there = folder.join("king-county/kc_house_data.csv").exists();
    if !there {
        eprintln!("SKIPPED: no real inputs in {}: set CONVEYANCE_DATA", folder.display());
    }
    there.then_some(folder)
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn conveyance(arguments: &[&dyn AsRef<std::ffi::OsStr>]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_conveyance"));
    command.stdin(Stdio::null());
    for argument in arguments {
        command.arg(argument.as_ref());
    }
    command.output().expect("the program starts")
}

/// A load whose summary is read back; `Err` is what it said on standard error.
fn load(feeds: &Path, input: &Path, data: &Path) -> (Value, String) {
    let output =
        conveyance(&[&"load", &"--feeds", &feeds, &"--input", &input, &"--data", &data, &"--json"]);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let summary = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (summary, errors)
}

fn json(arguments: &[&dyn AsRef<std::ffi::OsStr>]) -> Value {
    let output = conveyance(arguments);
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stderr)))
}

fn assert_well(data: &Path, listings: u64) {
    let check = json(&[&"check", &"--data", &data, &"--json"]);
    assert_eq!(check["ok"], true, "{check}");
    assert_eq!(check["listings"], listings, "{check}");
}

/// Asks a running server; status 0 where nobody answers.
fn get(address: &str, path: &str) -> (u16, String) {
    ask(address, &format!("GET {path}"), "")
}

/// Sends JSON to a running server.
fn post(address: &str, path: &str, body: &str) -> (u16, String) {
    ask(address, &format!("POST {path}"), body)
}

fn ask(address: &str, what: &str, body: &str) -> (u16, String) {
    let Ok(mut stream) = TcpStream::connect(address) else { return (0, String::new()) };
    let length = body.len();
    let head = "host: localhost\r\nconnection: close\r\ncontent-type: application/json";
    write!(stream, "{what} HTTP/1.1\r\n{head}\r\ncontent-length: {length}\r\n\r\n{body}")
        .expect("it reads");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status");
    (status, body.to_owned())
}
