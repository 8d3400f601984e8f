//! One binary: every service, every command.

mod cli;
mod demo;
mod ending;
mod engine;
mod flow;
mod kafka;
mod load;
mod log;
mod observe;
mod operate;
mod print;
mod socket;
mod tokens;
mod tools;
mod trial;
mod up;
mod wiring;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Parser;
use dataflow::Board;
use ingest::Confirmations;
use serde_json::Value;

use cli::{Cli, Command, DeadLetters, FeedsCommand};
use tools::{Request, Tools};

/// Exit code when the command did what it should, and what it found is not well (`check`, `feeds check`).
const NOT_WELL: u8 = 2;

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("conveyance: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode> {
    match cli.command {
        Command::Up(args) => up::up(&args).map(|()| ExitCode::SUCCESS),
        Command::Load(args) => load::load(&args),
        Command::Flow { json } => {
            print::flow(&flow::table(), json);
            Ok(ExitCode::SUCCESS)
        }
        Command::Asyncapi => {
            print::value(&print::asyncapi(&flow::table()));
            Ok(ExitCode::SUCCESS)
        }
        Command::Openapi => {
            print::value(&gateway::openapi(env!("CARGO_PKG_VERSION")));
            Ok(ExitCode::SUCCESS)
        }
        Command::Lag(folder) => show(&folder, &Request::Lag, print::lag),
        Command::DeadLetters(DeadLetters::List { folder, service, limit }) => {
            show(&folder, &Request::DeadLetters { service, limit }, print::dead_letters)
        }
        Command::DeadLetters(DeadLetters::Show { folder, id }) => {
            show(&folder, &Request::ShowDeadLetter { id }, print::value)
        }
        Command::DeadLetters(DeadLetters::Redrive { folder, ids, all, service }) => {
            anyhow::ensure!(all == ids.is_empty(), "name dead letters by id, or say --all");
            show(&folder, &Request::Redrive { ids, service }, print::value)
        }
        Command::Replay { folder, feed } => show(&folder, &Request::Replay { feed }, print::value),
        Command::Explain { folder, key } => {
            show(&folder, &Request::Explain { key }, print::explain)
        }
        Command::Check(folder) => {
            let value = answer(&folder.data, &Request::Check)?;
            folder.print(&value, print::check);
            let well = value.get("ok").and_then(Value::as_bool) == Some(true);
            Ok(if well { ExitCode::SUCCESS } else { ExitCode::from(NOT_WELL) })
        }
        Command::Feeds(FeedsCommand::Confirm { folder, feed, snapshot }) => {
            show(&folder, &Request::Confirm { feed, snapshot }, print::value)
        }
        Command::Feeds(FeedsCommand::Check { pack, file, json }) => {
            let well = load::check_pack(&pack, file.as_deref(), json)?;
            Ok(if well { ExitCode::SUCCESS } else { ExitCode::from(NOT_WELL) })
        }
    }
}

fn show(folder: &cli::Folder, request: &Request, print: fn(&Value)) -> Result<ExitCode> {
    let value = answer(&folder.data, request)?;
    folder.print(&value, print);
    Ok(ExitCode::SUCCESS)
}

/// Asks the process that holds the folder, or opens the folder's log itself.
fn answer(dir: &Path, request: &Request) -> Result<Value> {
    if let Some(value) = socket::ask(dir, request)? {
        return Ok(value);
    }
    anyhow::ensure!(
        dir.join("log.db").exists(),
        "there is no data in {}: `conveyance up` or `conveyance load` makes it, --data names it",
        dir.display()
    );
    if matches!(request, Request::Confirm { .. }) {
        anyhow::bail!(
            "nothing runs on {}: start `conveyance up` there, which reports what is held",
            dir.display()
        );
    }
    let flow = Arc::new(flow::table());
    let bus = if Tools::writes(request) {
        log::open(dir, &flow)?
    } else {
        log::open_read_only(dir, &flow).context("cannot open the log")?
    };
    let tools = Tools {
        bus,
        flow,
        dir: dir.to_owned(),
        board: Board::default(),
        confirmations: Confirmations::default(),
    };
    tools.answer(request)
}
