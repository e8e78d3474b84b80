#![doc = include_str!("docs/front.md")]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        reason = "nothing from outside may cause a panic"
    )
)]

mod builder;
mod client;
mod date;
mod env;
mod error;
mod filter;
mod http;
mod id;
pub mod insight;
mod list;
mod project;
mod query;
mod refresh;
mod text;

pub use builder::ClientBuilder;
pub use client::Client;
pub use error::{Error, ErrorKind, Result};
pub use filter::{PersonFilter, PersonProperty};
pub use http::{Auth, EU, Request, Response, RetryEvent, RetryPolicy, US};
pub use id::{InsightId, PersonId};
pub use insight::{aggregated_value, read};
pub use list::{Any, Insights, Items, List, Page, Pages, Persons};
pub use project::Project;
pub use query::{Events, Query, Rows, RowsAs, Scan};
pub use refresh::Refresh;
pub use text::display_text;
/// The HTTP layer, for [`ClientBuilder::agent`] only. A new major version of it is a new major
/// version of this crate.
pub use ureq;

/// Longer documentation.
pub mod docs {
    #[doc = include_str!("docs/behaviour.md")]
    pub mod behaviour {}
    #[doc = include_str!("docs/cookbook.md")]
    pub mod cookbook {}
    #[doc = include_str!("docs/servers.md")]
    pub mod servers {}
}

/// The snippets of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
