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
mod run;
mod socket;
mod tokens;
mod tools;
mod topics;
mod trial;
mod up;
mod wiring;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Parser;
use dataflow::{Board, Flow};
use ingest::Confirmations;
use serde_json::Value;

use cli::{Cli, Command, DeadLetters, FeedsCommand};
use tools::{Request, Tools};

/// Exit code when the command did what it should, and what it found is not well (`check`, `feeds check`).
const NOT_WELL: u8 = 2;

fn main() -> ExitCode {
    match obey(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("conveyance: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn obey(cli: Cli) -> Result<ExitCode> {
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
        Command::Lag(on) => show(&on, &Request::Lag, print::lag),
        Command::DeadLetters(DeadLetters::List { on, service, limit }) => {
            show(&on, &Request::DeadLetters { service, limit }, print::dead_letters)
        }
        Command::DeadLetters(DeadLetters::Show { on, id }) => {
            show(&on, &Request::ShowDeadLetter { id }, print::value)
        }
        Command::DeadLetters(DeadLetters::Redrive { on, ids, all, service }) => {
            anyhow::ensure!(all == ids.is_empty(), "name dead letters by id, or say --all");
            show(&on, &Request::Redrive { ids, service }, print::value)
        }
        Command::Replay { on, feed } => show(&on, &Request::Replay { feed }, print::value),
        Command::Explain { on, key } => show(&on, &Request::Explain { key }, print::explain),
        Command::Check(on) => {
            let value = answer(&on, &Request::Check)?;
            on.folder.print(&value, print::check);
            Ok(well_or_not(&value))
        }
        Command::Run(args) => run::run(&args),
        Command::Topics(command) => topics::run(&command),
        Command::Doctor(args) => {
            let value = answer(&args.on, &Request::Doctor { wait_s: args.wait })?;
            args.on.folder.print(&value, print::doctor);
            Ok(well_or_not(&value))
        }
        Command::Feeds(FeedsCommand::Confirm { on, feed, snapshot }) => {
            show(&on, &Request::Confirm { feed, snapshot }, print::value)
        }
        Command::Feeds(FeedsCommand::Check { pack, file, json }) => {
            let well = load::check_pack(&pack, file.as_deref(), json)?;
            Ok(if well { ExitCode::SUCCESS } else { ExitCode::from(NOT_WELL) })
        }
    }
}

fn well_or_not(value: &Value) -> ExitCode {
    match value.get("ok").and_then(Value::as_bool) {
        Some(true) => ExitCode::SUCCESS,
        _ => ExitCode::from(NOT_WELL),
    }
}

fn show(on: &cli::On, request: &Request, print: fn(&Value)) -> Result<ExitCode> {
    let value = answer(on, request)?;
    on.folder.print(&value, print);
    Ok(ExitCode::SUCCESS)
}

fn answer(on: &cli::On, request: &Request) -> Result<Value> {
    if on.is_kafka() { answer_on_kafka(on, request) } else { answer_in(&on.folder.data(), request) }
}

/// Asks the process that holds the folder, or opens the folder's log itself.
fn answer_in(dir: &Path, request: &Request) -> Result<Value> {
    if let Some(value) = socket::ask(dir, request)? {
        return Ok(value);
    }
    if matches!(request, Request::Confirm { .. }) {
        anyhow::bail!(
            "nothing runs on {}: start `conveyance up` there, which reports what is held",
            dir.display()
        );
    }
    anyhow::ensure!(
        dir.join("log.db").exists(),
        "there is no data in {}: `conveyance up` or `conveyance load` makes it, --data names it, --kafka or --brokers names a Kafka",
        dir.display()
    );
    let flow = Arc::new(flow::table());
    let bus = if Tools::writes(request) {
        log::open(dir, &flow)?
    } else {
        log::open_read_only(dir, &flow).context("cannot open the log")?
    };
    tools_on(bus, flow, dir, Board::default()).answer(request)
}

fn answer_on_kafka(on: &cli::On, request: &Request) -> Result<Value> {
    let config = on.kafka.config()?;
    anyhow::ensure!(
        !matches!(request, Request::Confirm { .. }),
        "deletes are confirmed where `conveyance run ingest` runs: --data names the folder that ends in ingest-own below its --state"
    );
    let (flow, board) = (Arc::new(flow::table()), Board::default());
    let dir = config.state_dir.clone();
    let bus = log::connect(config, &flow, board.clone())?;
    tools_on(bus, flow, &dir, board).answer(request)
}

fn tools_on(bus: Arc<dyn log::Log>, flow: Arc<Flow>, dir: &Path, board: Board) -> Tools {
    Tools { bus, flow, dir: dir.to_owned(), board, confirmations: Confirmations::default() }
}
