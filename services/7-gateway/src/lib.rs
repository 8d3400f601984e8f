//! all derived topics -> HTTP and the page.

mod answer;
mod codec;
mod columns;
mod dictionary;
mod display;
mod event;
mod http;
mod map;
mod page;
mod query;
mod record;
mod search;
mod served;
mod store;
mod text;
mod view;

pub use answer::Model;
pub use display::{Absent, Display, FeedDisplay, HIDDEN_STATUSES};
pub use http::{Explain, Gateway, serve};
pub use served::{count_listings, each_document};
pub use store::StoreError;
pub use view::ListingView;
