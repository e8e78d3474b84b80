//! The jobs, by hand with `ureq` and `serde_json`: `plain gets N`, `plain persons`, `plain tls CA`.

use std::error::Error;
use std::{env, fs};

use serde_json::Value;
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// A page of persons can be larger than ureq's own limit of 10 MiB.
const MAX_BODY: u64 = 256 * 1024 * 1024;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["gets", n] => gets(n.parse()?),
        ["persons"] => persons(),
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

fn tls(ca: &str) -> Result<(), Box<dyn Error>> {
    let ca = Certificate::from_pem(&fs::read(ca)?)?;
    let tls = TlsConfig::builder().root_certs(RootCerts::new_with_certs(&[ca])).build();
    let api = Api::new(Agent::new_with_config(Agent::config_builder().tls_config(tls).build()))?;
    println!("{:.1}", api.insight(28)?);
    Ok(())
}
