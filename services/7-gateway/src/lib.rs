//! all derived topics -> HTTP and the page.
//!
//! [`ListingView`] keeps the read model: one SQLite file that holds every listing and its history, and columns in
//! memory that search runs over. [`Gateway`] answers from it over HTTP ([`serve`]); what may leave is decided by
//! [`Display`]. The read model holds no truth: delete its file, and it is rebuilt from the topics.

mod access;
mod answer;
mod changes;
mod codec;
mod columns;
mod commands;
mod copier;
mod dictionary;
mod display;
mod event;
mod flow_state;
mod fuzz;
mod http;
mod live;
mod map;
mod metrics;
mod openapi;
mod operation;
mod operator;
mod page;
mod patience;
mod position;
mod query;
mod reader;
mod record;
mod rows;
mod search;
mod serve;
mod served;
mod store;
mod text;
mod view;

pub use access::{Access, AccessError, Right, SECRET_MIN, Token};
pub use answer::Model;
pub use commands::Commands;
pub use display::{Absent, Display, FeedDisplay, HIDDEN_STATUSES};
pub use flow_state::{
    Direction, EdgeState, FlowState, Freshness, History, Process, ServiceState, TopicState, Undone,
};
pub use fuzz::{fuzz_command, fuzz_query, fuzz_stored_value};
pub use http::{Explain, Gateway};
pub use live::{Live, LiveView};
pub use openapi::openapi;
pub use operation::{Health, Operation, Redrive, serve_health};
pub use serve::serve;
pub use served::{count_listings, each_document};
pub use store::StoreError;
pub use view::ListingView;
