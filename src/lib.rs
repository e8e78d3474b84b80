//! A blocking client for PostHog's private REST API: insights, persons, HogQL and every other route, as [`serde_json::Value`].
//!
//! It is for programs that want a number out of PostHog without an async runtime: command-line tools, build scripts, a
//! `main.rs` for one question. PostHog often answers 200 with the wrong thing: it drops filters that it does not understand and
//! returns everybody, its list of insights loses rows, a result is null until someone computes it, a `next` link names another host.
//! Here each of these cannot happen, or is an error that says what to do.
//!
//! # The tutorial
//!
//! A personal API key is made in PostHog's settings; it begins with `phx_`.
//!
//! ```no_run
//! use posthog_api::{Client, PersonFilter, Refresh, aggregated_value};
//!
//! # fn main() -> posthog_api::Result<()> {
//! // POSTHOG_PERSONAL_API_KEY, and POSTHOG_HOST for another host than the US cloud.
//! let client = Client::from_env()?;
//!
//! // Who am I, and which projects are there?
//! println!("{}", client.me()?["email"]);
//! for project in client.projects()? {
//!     println!("{} {}", project["id"], project["name"]);
//! }
//! let project = client.project_named("Main project")?; // or client.project(1)
//!
//! // Insights: all of them, by the id in the web address, by number, computed anew.
//! for insight in project.insights().basic().items() {
//!     let insight = insight?;
//!     println!("{} {} {}", insight["id"], insight["short_id"], insight["name"]);
//! }
//! let insight = project.insight_by_short_id("VdpVGSw3")?;
//! let insight = project.insight_refreshed(28, Refresh::Blocking)?;
//! println!("{}", aggregated_value(&insight)?);
//!
//! // Persons: all of them, those whom a filter finds, one of them.
//! let linux = PersonFilter::property("$initial_os").exact(["Linux"]);
//! for person in project.persons().filter(linux).items() {
//!     println!("{}", person?["name"]);
//! }
//! let person = project.person_by_distinct_id("did-0")?;
//!
//! // HogQL, its values in placeholders.
//! let rows = project
//!     .hogql("SELECT event, count() AS n FROM events WHERE event = {event} GROUP BY event LIMIT 10")
//!     .value("event", "purchase")
//!     .rows()?;
//!
//! // Any other route, by its path.
//! let cohort = project.get("cohorts/5/").send()?;
//! let flags = project.list("feature_flags").all()?;
//! # Ok(())
//! # }
//! ```
//!
//! # What to know
//!
//! - Every call gives a [`Result`] with one [`Error`], whose line names the call and the status, where there was an answer, PostHog's own words and what to do.
//! - A [`Client`] retries what can be retried without doing anything twice ([`RetryPolicy`]), has a limit on every wait, and sends the key
//!   to the configured origin only.
//! - Numbers in answers stay what they are: whole up to 64 bits, never by way of a float.
//! - ureq logs through the `log` crate: at its level TRACE it writes whole requests, the key with them.
//! - Scopes and routes stand at each method, by PostHog's names.
//!
//! # Features
//!
//! `rustls` and `gzip` are on by default. `native-tls` takes the platform's TLS library instead; `platform-verifier` lets rustls trust
//! what the platform trusts, such as a company's own root. With no TLS feature an https host is refused.
#![forbid(unsafe_code)]
// Nothing from outside may panic.
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic
    )
)]

mod api_error;
mod client;
mod envelope;
mod error;
mod filter;
mod insights;
mod json;
mod list;
mod params;
mod persons;
mod project;
mod query;
mod request;
mod result;
mod retry;
mod scan;
mod secret;
mod shapes;
mod shared;
mod sql;
mod transport;
mod url;
mod walk;

pub use api_error::ApiError;
pub use client::{Client, ClientBuilder, EU, US};
pub use error::{DecodeError, Error, Failure, Result};
pub use filter::{PersonFilter, PersonProperty};
pub use insights::{Insights, aggregated_value, aggregated_values};
pub use list::{Any, Items, List, Page, Pages};
pub use persons::Persons;
pub use project::Project;
pub use query::{Query, Refresh};
pub use request::Request;
pub use result::{result, rows};
pub use retry::RetryPolicy;
pub use scan::Scan;
pub use shapes::{
    FunnelStep, PathEdge, RetentionCohort, Series, TimeToConvert, funnel_steps, paths, retention,
    series, time_to_convert,
};
pub use shared::{Auth, RetryEvent};
/// The HTTP layer, for [`ClientBuilder::agent`] alone: a new major version of it is one of this crate.
pub use ureq;

/// The snippets of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
