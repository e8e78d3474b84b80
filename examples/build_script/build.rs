//! Bakes an insight's number and the feature flags into the program. Without a key, without a network or without PostHog the
//! build goes on with what `last_known.json` holds.

use std::error::Error;
use std::path::Path;
use std::time::Duration;
use std::{env, fs};

use posthog_api::{Client, RetryPolicy, aggregated_value};
use serde_json::{Value, json};

const INSIGHT: u64 = 28;
const LAST_KNOWN: &str = "last_known.json";

fn ask() -> posthog_api::Result<Value> {
    let project: u64 = env::var("POSTHOG_PROJECT_ID")
        .ok()
        .and_then(|id| id.parse().ok())
        .unwrap_or(1);
    // A build should not wait long for a number.
    let mut builder = Client::builder(env::var("POSTHOG_PERSONAL_API_KEY").unwrap_or_default())
        .timeout(Duration::from_secs(10))
        .retry(RetryPolicy::none());
    if let Ok(host) = env::var("POSTHOG_HOST") {
        builder = builder.host(host);
    }
    let project = builder.build()?.project(project);
    let value = aggregated_value(&project.insight(INSIGHT)?)?;
    let flags: Vec<Value> = project
        .list("feature_flags")
        .items()
        .collect::<posthog_api::Result<_>>()?;
    let keys: Vec<&Value> = flags.iter().map(|flag| &flag["key"]).collect();
    Ok(json!({"value": value, "flags": keys}))
}

fn main() -> Result<(), Box<dyn Error>> {
    for name in [
        "POSTHOG_PERSONAL_API_KEY",
        "POSTHOG_HOST",
        "POSTHOG_PROJECT_ID",
    ] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    println!("cargo::rerun-if-changed={LAST_KNOWN}");
    let baked = match ask() {
        Ok(baked) => baked,
        Err(why) => {
            println!("cargo::warning=taking {LAST_KNOWN}: {why}");
            serde_json::from_str(&fs::read_to_string(LAST_KNOWN)?)?
        }
    };
    let flags = baked["flags"].as_array().ok_or("no flags")?;
    let flags: Vec<&str> = flags.iter().filter_map(Value::as_str).collect();
    let value = baked["value"].as_f64().ok_or("no value")?;
    let code =
        format!("pub const VALUE: f64 = {value:?};\npub const FLAGS: &[&str] = &{flags:?};\n");
    fs::write(Path::new(&env::var("OUT_DIR")?).join("baked.rs"), code)?;
    Ok(())
}
