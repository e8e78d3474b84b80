//! One number out of PostHog, by hand.

use std::env;
use std::error::Error;

use serde_json::Value;

fn main() -> Result<(), Box<dyn Error>> {
    let (host, project) = (env::var("POSTHOG_HOST")?, env::var("POSTHOG_PROJECT_ID")?);
    let body = ureq::get(format!("{host}/api/projects/{project}/insights/28/"))
        .header("Authorization", format!("Bearer {}", env::var("POSTHOG_PERSONAL_API_KEY")?))
        .call()?
        .body_mut()
        .read_to_vec()?;
    let insight: Value = serde_json::from_slice(&body)?;
    let value = insight["result"][0]["aggregated_value"].as_f64().ok_or("no value")?;
    println!("{value:.1}");
    Ok(())
}
