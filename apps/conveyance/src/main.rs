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
use tikv_jemallocator::Jemalloc;

use cli::{Cli, Command, DeadLetters, FeedsCommand};
use tools::{Request, Tools};

/// The C libraries take theirs from it as well (a feature in `Cargo.toml`).
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

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
        Command::Records(args) => records(&args).map(|()| ExitCode::SUCCESS),
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
        Command::Feeds(FeedsCommand::Confirm { folder, feed, snapshot }) => {
            let on = cli::On { folder, kafka: kafka::KafkaArgs::default() };
            show(&on, &Request::Confirm { feed, snapshot }, print::value)
        }
        Command::Feeds(FeedsCommand::Check { pack, file, json }) => {
            let well = load::check_pack(&pack, file.as_deref(), json)?;
            Ok(if well { ExitCode::SUCCESS } else { ExitCode::from(NOT_WELL) })
        }
    }
}

/// Page by page, so that memory holds one page, whatever the topic holds.
fn records(args: &cli::Records) -> Result<()> {
    let ask = asker(&args.on)?;
    let (mut partition, mut from, mut left) = (args.partition.unwrap_or(0), args.from, args.limit);
    loop {
        let (topic, key) = (args.topic.clone(), args.key.clone());
        let page = ask(&Request::Records { topic, partition, from, key })?;
        for record in page.get("records").and_then(Value::as_array).into_iter().flatten() {
            if left == 0 {
                return Ok(());
            }
            print::line(record);
            left -= 1;
        }
        let partitions = page.get("partitions").and_then(Value::as_u64).unwrap_or(0);
        match page.get("next").and_then(Value::as_u64) {
            Some(next) => from = next,
            None if args.partition.is_some() || u64::from(partition) + 1 >= partitions => {
                return Ok(());
            }
            None => (partition, from) = (partition + 1, 0),
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
    asker(on)?(request)
}

type Ask = Box<dyn Fn(&Request) -> Result<Value>>;

/// Whoever can answer: Kafka, the process that holds the data folder, or the folder's log opened here.
fn asker(on: &cli::On) -> Result<Ask> {
    if on.is_kafka() {
        let tools = on_kafka(on)?;
        return Ok(Box::new(move |request| tools.answer(request)));
    }
    let dir = on.folder.data();
    let opened = std::cell::OnceCell::new();
    Ok(Box::new(move |request| {
        if opened.get().is_none() {
            if let Some(value) = socket::ask(&dir, request)? {
                return Ok(value);
            }
            drop(opened.set(in_folder(&dir, request)?));
        }
        opened.get().context("the log is not open: this is a bug")?.answer(request)
    }))
}

/// Opens the log of a folder that no process holds.
fn in_folder(dir: &Path, request: &Request) -> Result<Tools> {
    if matches!(request, Request::Confirm { .. }) {
        anyhow::bail!(
            "nothing runs on {}: start `conveyance up` (or `run ingest`) there, which reports what is held",
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
    Ok(tools_on(bus, flow, dir, Board::default()))
}

fn on_kafka(on: &cli::On) -> Result<Tools> {
    let config = on.kafka.config()?;
    let (flow, board) = (Arc::new(flow::table()), Board::default());
    let dir = run::folder(flow::GATEWAY, &config);
    let bus = log::connect(config, &flow, board.clone())?;
    Ok(tools_on(bus, flow, &dir, board))
}

fn tools_on(bus: Arc<dyn log::Log>, flow: Arc<Flow>, dir: &Path, board: Board) -> Tools {
    Tools { bus, flow, dir: dir.to_owned(), board, confirmations: Confirmations::default() }
}
