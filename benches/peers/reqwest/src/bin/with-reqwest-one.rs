//! One number out of PostHog, with `reqwest::blocking`.

use std::env;
use std::error::Error;

use reqwest::blocking::Client;
use serde_json::Value;

fn main() -> Result<(), Box<dyn Error>> {
    let (host, project) = (env::var("POSTHOG_HOST")?, env::var("POSTHOG_PROJECT_ID")?);
    let insight: Value = Client::new()
        .get(format!("{host}/api/projects/{project}/insights/28/"))
        .bearer_auth(env::var("POSTHOG_PERSONAL_API_KEY")?)
        .send()?
        .error_for_status()?
        .json()?;
    let value = insight["result"][0]["aggregated_value"].as_f64().ok_or("no value")?;
    println!("{value:.1}");
    Ok(())
}
