//! Writes the number of an insight and the keys of the feature flags into the program.
//!
//! A build without a key or without a network uses the values of the last build that had both:
//! they are in `last_known.json`, which belongs under version control. A build with an answer keeps
//! it until this file or one of the three variables changes.

use std::error::Error as StdError;
use std::path::Path;
use std::time::{Duration, Instant};
use std::{env, fs};

use posthog_api::{ErrorKind, Project, Result, aggregated_value};
use serde_json::{Value, json};

const INSIGHT: u64 = 28;
const LAST_KNOWN: &str = "last_known.json";

fn ask() -> Result<Value> {
    // A build should not wait long for a number.
    let project = Project::from_env()?.with_deadline(Instant::now() + Duration::from_secs(5));
    let value = aggregated_value(&project.insight_computed(INSIGHT)?)?;
    let flags: Result<Vec<Value>> =
        project.list("feature_flags").items().map(|flag| Ok(flag?["key"].take())).collect();
    Ok(json!({"value": value, "flags": flags?}))
}

fn main() -> std::result::Result<(), Box<dyn StdError>> {
    for name in ["POSTHOG_PERSONAL_API_KEY", "POSTHOG_HOST", "POSTHOG_PROJECT_ID"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    let last_known = fs::read_to_string(LAST_KNOWN)?;
    let values = match ask() {
        Ok(values) => {
            let text = format!("{values:#}\n");
            if text != last_known {
                fs::write(LAST_KNOWN, text)?;
            }
            values
        }
        Err(why) => {
            println!("cargo::warning=using the values of {LAST_KNOWN}: {why}");
            println!("cargo::rerun-if-changed={LAST_KNOWN}");
            // Cargo would never run this script again. A file that does not exist makes it run with
            // each build, until PostHog answers. An environment that is not right is watched above.
            if why.kind() != ErrorKind::Config {
                println!("cargo::rerun-if-changed=a-file-that-does-not-exist");
            }
            serde_json::from_str(&last_known)?
        }
    };
    let value = values["value"].as_f64().ok_or("no value")?;
    let flags = values["flags"].as_array().ok_or("no flags")?;
    let flags: Vec<&str> = flags.iter().filter_map(Value::as_str).collect();
    let code =
        format!("pub const VALUE: f64 = {value:?};\npub const FLAGS: &[&str] = &{flags:?};\n");
    fs::write(Path::new(&env::var("OUT_DIR")?).join("values.rs"), code)?;
    Ok(())
}
