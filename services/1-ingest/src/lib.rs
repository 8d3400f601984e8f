//! the outside world -> listing.raw.
//!
//! A feed of files is a [`Feed`]: CSV or JSON Lines, plain or gzip, played in the order of their as-of.
//! [`reader`] is the state machine, [`decode`] the rows of a file, [`settle`] what is absent from a snapshot.

pub mod as_of;
mod compare;
pub mod config;
pub mod confirmations;
pub mod csv;
pub mod decode;
pub mod fault;
mod files;
pub mod header;
mod message;
pub mod plan;
pub mod reader;
mod settle;
pub mod sink;
pub mod state;
pub mod text;
mod window;

use dataflow::{Failure, Source, SourceOut, Status};

pub use as_of::AsOf;
pub use config::{AsOfRule, Encoding, FeedConfig, Files, Format, Limits, Mode};
pub use confirmations::{Confirmations, HeldDeletes};
pub use plan::{KeyTemplate, RowPlan};
pub use reader::FeedReader;

/// A feed of files, as the runtime runs it.
pub struct Feed(FeedReader);

impl Feed {
    /// A feed; what it remembers is read from the store at the first step.
    #[must_use]
    pub fn new(config: FeedConfig, plan: RowPlan, confirmations: Confirmations) -> Self {
        Self(FeedReader::new(config, plan, confirmations))
    }
}

impl Source for Feed {
    fn step(&mut self, out: &mut SourceOut<'_>) -> Result<Status, Failure> {
        self.0.step(out)
    }

    fn ended(&mut self, out: &mut SourceOut<'_>) -> Result<(), Failure> {
        self.0.ended(out)
    }
}
