//! A blocking client for PostHog's private REST API: insights, persons, HogQL, events and every
//! other route, as [`serde_json::Value`].
//!
//! It is for synchronous programs that want data out of PostHog: command-line tools, build scripts,
//! small programs without tokio. PostHog often answers 200 with the wrong data: it ignores a filter
//! and returns everybody, a list loses rows, a result is null until it is computed, an answer is
//! cut at 100 rows. This crate prevents each of these, or returns an error that says what to do.
//!
//! ```no_run
//! use posthog_api::{PersonFilter, Project, aggregated_value, display_text};
//!
//! fn main() -> posthog_api::Result<()> {
//!     // From POSTHOG_PERSONAL_API_KEY, POSTHOG_PROJECT_ID, POSTHOG_HOST (default: US cloud).
//!     let project = Project::from_env()?;
//!
//!     // The number of an insight, by the address in the browser, its short id or its number.
//!     println!("{}", aggregated_value(&project.insight_computed("VdpVGSw3")?)?);
//!
//!     // Persons, by their properties.
//!     for person in project.persons().filter(PersonFilter::property("plan").exact("paid")) {
//!         println!("{}", display_text(&person?["name"]));
//!     }
//!
//!     // HogQL.
//!     let sql = "SELECT event, count() AS n FROM events GROUP BY event ORDER BY n DESC LIMIT 10";
//!     for row in project.hogql(sql).rows()? {
//!         println!("{} {}", display_text(&row["event"]), row["n"]);
//!     }
//!
//!     // Every event of a day.
//!     for event in project.events().after("2026-11-01").before("2026-11-02") {
//!         println!("{}", display_text(&event?["event"]));
//!     }
//!
//!     // Any other route.
//!     for flag in project.list("feature_flags") {
//!         println!("{}", display_text(&flag?["key"]));
//!     }
//!     Ok(())
//! }
//! ```
//!
//! # Where to read on
//! - [`docs::cookbook`]: recipes, from one number to a resumable export and tests without a server.
//! - [`docs::behaviour`]: retries, timeouts, limits, and what this crate promises.
//! - [`docs::servers`]: what differs on older PostHog servers.
//! - [`Error`]: what can go wrong, and how a program finds out why.
//!
//! # Features
//! - `rustls` (default): TLS in Rust, with the root certificates that Mozilla ships.
//! - `gzip` (default): compressed answers.
//! - `native-tls`: the TLS library and the certificates of the platform; used in place of rustls.
//! - `platform-verifier`: rustls with the certificates that the platform trusts, such as a
//!   company's own root.
//!
//! Without a TLS feature, an https host is an error. ureq logs through the `log` crate: at its
//! level TRACE it writes whole requests, with the key.
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
