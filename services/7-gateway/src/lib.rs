//! all derived topics -> HTTP and the page.

mod codec;
mod columns;
mod dictionary;
mod display;
mod event;
mod map;
mod record;
mod search;
mod served;
mod store;
mod text;
mod view;

pub use display::{Absent, Display, FeedDisplay, HIDDEN_STATUSES};
pub use served::{count_listings, each_document};
pub use store::StoreError;
pub use view::ListingView;
