//! Every number in the README comes from here.
//!
//! Benchmarks run the real program as a process of its own and read what the operating system says of it.

mod faults;
mod kafka;
mod kill;
mod live;
mod pieces;
mod pipeline;
mod power;
mod process;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tikv_jemallocator::Jemalloc;

/// As the program that is measured has it.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

#[derive(Debug, Parser)]
#[command(version, about = "Benchmarks and fault campaigns of Conveyance")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Synthetic listings from a file through every stage, embedded and durable.
    Pipeline(pipeline::Arguments),
    /// From a command on one device to the screens of others, in milliseconds.
    Live(live::Arguments),
    /// Real processes under a tagged load and random faults, judged by the history checker.
    Faults(faults::Arguments),
    /// Exactly-once works on real Kafka, beside the bare client and Kafka Streams.
    Kafka(kafka::Arguments),
    /// A contender of `kafka`, in a process of its own.
    #[command(hide = true)]
    KafkaPeer(kafka::PeerArguments),
    /// `kill -9` of the real process at random moments of a load, restarted each time.
    Kill(kill::Arguments),
    /// Power cuts: the recorded writes of a real load, cut at random places, reopened and judged.
    Power(power::Arguments),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Pipeline(arguments) => pipeline::run(&arguments),
        Command::Live(arguments) => live::run(&arguments),
        Command::Faults(arguments) => faults::run(&arguments),
        Command::Kafka(arguments) => kafka::run(&arguments),
        Command::KafkaPeer(arguments) => kafka::work(&arguments),
        Command::Kill(arguments) => kill::run(&arguments),
        Command::Power(arguments) => power::run(&arguments),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(2),
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
