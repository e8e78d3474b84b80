//! One number on the command line: `POSTHOG_PERSONAL_API_KEY=... POSTHOG_PROJECT_ID=... cargo run --example insight -- 28`.
//!
//! Takes an insight's number or its short id, prints its value and exits with 0; else says why not, and exits with 1.

use std::process::ExitCode;

use posthog_api::{Error, Project, Refresh, Result, aggregated_value};

fn value(id: &str) -> Result<f64> {
    let project = Project::from_env()?;
    let number = match id.parse() {
        Ok(number) => Some(number),
        Err(_) => project.insight_by_short_id(id)?.and_then(|insight| insight["id"].as_u64()),
    };
    let number = number.ok_or_else(|| Error::Config(format!("there is no insight {id:?}")))?;
    aggregated_value(&project.insight_refreshed(number, Refresh::Blocking)?)
}

fn main() -> ExitCode {
    let Some(id) = std::env::args().nth(1) else {
        eprintln!("which insight? give its number, or the short id in its web address");
        return ExitCode::FAILURE;
    };
    match value(&id) {
        Ok(value) => println!("{value}"),
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
