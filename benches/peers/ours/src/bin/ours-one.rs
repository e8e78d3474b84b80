//! One number out of PostHog.

use posthog_api::{Project, Result, aggregated_value};

fn main() -> Result<()> {
    let insight = Project::from_env()?.insight(28)?;
    println!("{:.1}", aggregated_value(&insight)?);
    Ok(())
}
