//! A blocking client for PostHog's private REST API.
#![forbid(unsafe_code)]
