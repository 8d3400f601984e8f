//! all derived topics -> HTTP and the page.
//!
//! [`ListingView`] keeps the read model: one SQLite file that holds every listing and its history, and columns in
//! memory that search runs over. [`Gateway`] answers from it over HTTP ([`serve`]); what may leave is decided by
//! [`Display`]. The read model holds no truth: delete its file, and it is rebuilt from the topics.

mod answer;
mod codec;
mod columns;
mod dictionary;
mod display;
mod event;
mod http;
mod map;
mod operator;
mod page;
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

pub use answer::Model;
pub use display::{Absent, Display, FeedDisplay, HIDDEN_STATUSES};
pub use http::{Explain, Gateway};
pub use serve::serve;
pub use served::{count_listings, each_document};
pub use store::StoreError;
pub use view::ListingView;
