//! The jobs, with `reqwest::blocking`: `with-reqwest gets N`, `with-reqwest persons`, `with-reqwest tls CA`.

use std::error::Error;
use std::{env, fs};

use reqwest::Certificate;
use reqwest::blocking::Client;
use serde_json::Value;

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
    client: Client,
    key: String,
    project: String,
}

impl Api {
    fn new(client: Client) -> Result<Api, env::VarError> {
        Ok(Api {
            client,
            key: env::var("POSTHOG_PERSONAL_API_KEY")?,
            project: format!(
                "{}/api/projects/{}",
                env::var("POSTHOG_HOST")?,
                env::var("POSTHOG_PROJECT_ID")?
            ),
        })
    }

    fn get(&self, url: &str) -> reqwest::Result<Value> {
        self.client.get(url).bearer_auth(&self.key).send()?.error_for_status()?.json()
    }

    fn insight(&self, id: u64) -> Result<f64, Box<dyn Error>> {
        let insight = self.get(&format!("{}/insights/{id}/", self.project))?;
        Ok(insight["result"][0]["aggregated_value"].as_f64().ok_or("no value")?)
    }
}

fn gets(n: usize) -> Result<(), Box<dyn Error>> {
    let api = Api::new(Client::new())?;
    let mut sum = 0.0;
    for _ in 0..n {
        sum += api.insight(28)?;
    }
    println!("{sum:.1}");
    Ok(())
}

fn persons() -> Result<(), Box<dyn Error>> {
    let api = Api::new(Client::new())?;
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
    let api = Api::new(Client::builder().tls_certs_merge([ca]).build()?)?;
    println!("{:.1}", api.insight(28)?);
    Ok(())
}
