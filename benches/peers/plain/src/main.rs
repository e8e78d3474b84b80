//! The jobs, by hand with `ureq` and `serde_json`: `plain gets N`, `plain persons`,
//! `plain events AFTER`, `plain tls CA`.

use std::error::Error;
use std::{env, fs};

use serde_json::{Value, json};
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// A page of persons can be larger than ureq's own limit of 10 MiB.
const MAX_BODY: u64 = 256 * 1024 * 1024;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["gets", n] => gets(n.parse()?),
        ["persons"] => persons(),
        ["events", after] => events(after),
        ["tls", ca] => tls(ca),
        _ => Err("which job?".into()),
    }
}

struct Api {
    agent: Agent,
    key: String,
    project: String,
}

impl Api {
    fn new(agent: Agent) -> Result<Api, env::VarError> {
        Ok(Api {
            agent,
            key: format!("Bearer {}", env::var("POSTHOG_PERSONAL_API_KEY")?),
            project: format!(
                "{}/api/projects/{}",
                env::var("POSTHOG_HOST")?,
                env::var("POSTHOG_PROJECT_ID")?
            ),
        })
    }

    fn get(&self, url: &str) -> Result<Value, Box<dyn Error>> {
        let mut response = self.agent.get(url).header("Authorization", &self.key).call()?;
        let body = response.body_mut().with_config().limit(MAX_BODY).read_to_vec()?;
        Ok(serde_json::from_slice(&body)?)
    }

    fn insight(&self, id: u64) -> Result<f64, Box<dyn Error>> {
        let insight = self.get(&format!("{}/insights/{id}/", self.project))?;
        Ok(insight["result"][0]["aggregated_value"].as_f64().ok_or("no value")?)
    }
}

fn gets(n: usize) -> Result<(), Box<dyn Error>> {
    let api = Api::new(Agent::new_with_defaults())?;
    let mut sum = 0.0;
    for _ in 0..n {
        sum += api.insight(28)?;
    }
    println!("{sum:.1}");
    Ok(())
}

fn persons() -> Result<(), Box<dyn Error>> {
    let api = Api::new(Agent::new_with_defaults())?;
    let (mut count, mut ages) = (0, 0);
    let mut next = Some(format!("{}/persons/?limit=1000", api.project));
    while let Some(url) = next {
        let page = api.get(&url)?;
        for person in page["results"].as_array().ok_or("no results")? {
            ages += person["properties"]["age"].as_u64().ok_or("a person without an age")?;
            count += 1;
        }
        next = page["next"].as_str().map(str::to_owned);
    }
    println!("{count} {ages}");
    Ok(())
}

/// By (timestamp, uuid), each page to the end of the range.
fn events(after: &str) -> Result<(), Box<dyn Error>> {
    let api = Api::new(Agent::new_with_defaults())?;
    let mut values = json!({
        "events_from": format!("{after}T00:00:00.000000Z"), "events_to": "2026-01-31T00:00:00.000000Z",
    });
    let mut count = 0;
    loop {
        let next = "AND (timestamp > toDateTime({events_from}) OR uuid > toUUID({events_uuid}))";
        let next = if values["events_uuid"].is_null() { "" } else { next };
        let sql = format!(
            "SELECT uuid, timestamp, event, distinct_id, properties FROM events \
             WHERE timestamp >= toDateTime({{events_from}}) AND timestamp < toDateTime({{events_to}}) \
             {next} ORDER BY timestamp, uuid LIMIT 10000"
        );
        let query = json!({"kind": "HogQLQuery", "query": sql, "values": values});
        let body = serde_json::to_vec(&json!({"query": query, "refresh": "force_blocking"}))?;
        let request = api.agent.post(format!("{}/query/", api.project));
        let request = request.header("Authorization", &api.key).content_type("application/json");
        let mut response = request.send(&body)?;
        let body = response.body_mut().with_config().limit(MAX_BODY).read_to_vec()?;
        let page: Value = serde_json::from_slice(&body)?;
        let rows = page["results"].as_array().ok_or("no results")?;
        count += rows.len();
        let Some(last) = rows.last().filter(|_| rows.len() == 10_000) else { break };
        values["events_uuid"] = last[0].clone();
        values["events_from"] = last[1].clone();
    }
    println!("{count}");
    Ok(())
}

fn tls(ca: &str) -> Result<(), Box<dyn Error>> {
    let ca = Certificate::from_pem(&fs::read(ca)?)?;
    let tls = TlsConfig::builder().root_certs(RootCerts::new_with_certs(&[ca])).build();
    let api = Api::new(Agent::new_with_config(Agent::config_builder().tls_config(tls).build()))?;
    println!("{:.1}", api.insight(28)?);
    Ok(())
}
