//! A blocking client for PostHog's private REST API.
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
/// The HTTP layer, for [`ClientBuilder::agent`].
pub use ureq;
