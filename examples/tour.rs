//! The tutorial as a program: `cargo run --example tour`.
//!
//! Without a key it starts a stand-in for PostHog on this machine, which answers with what a real PostHog answered. With
//! `POSTHOG_PERSONAL_API_KEY` set (and `POSTHOG_HOST`, for another host than the US cloud) it asks that PostHog.

#[path = "../tests/standin/mod.rs"]
mod standin;

use std::env;

use percent_encoding::percent_decode_str;
use posthog_api::ureq::middleware::MiddlewareNext;
use posthog_api::ureq::{Agent, SendBody, http};
use posthog_api::{Client, PersonFilter, Project, Refresh, Result, US, aggregated_value, series};
use serde_json::Value;
use standin::StandIn;

fn main() -> Result<()> {
    let agent = Agent::config_builder().middleware(show);
    let Ok(key) = env::var("POSTHOG_PERSONAL_API_KEY") else {
        let posthog = StandIn::start();
        println!(
            "Found no key in POSTHOG_PERSONAL_API_KEY: asking a stand-in at {}.",
            posthog.url()
        );
        let agent = agent.proxy(None).build().new_agent();
        let client = Client::builder(standin::KEY)
            .host(posthog.url())
            .agent(agent)
            .build()?;
        return tour(&client, Some((28, 42)));
    };
    let host = env::var("POSTHOG_HOST").unwrap_or_else(|_| US.to_owned());
    println!("Found a key in POSTHOG_PERSONAL_API_KEY: asking {host}.");
    let client = Client::builder(key)
        .host(host)
        .agent(agent.build().new_agent())
        .build()?;
    tour(&client, None)
}

/// `insights`: one that shows a number and one that shows a line, where they are known.
fn tour(client: &Client, insights: Option<(u64, u64)>) -> Result<()> {
    step("1. Who am I, and which projects are there?");
    let me = client.me()?;
    println!(
        "   {} of {}",
        text(&me["email"]),
        text(&me["organization"]["name"])
    );
    let projects = client.projects()?;
    for project in &projects {
        println!("   {:>8}  {}", text(&project["id"]), text(&project["name"]));
    }

    step("2. A project by its name");
    let name = text(&projects.last().unwrap_or(&Value::Null)["name"]);
    let project = client.project_named(&name)?;
    println!("   {name} is project {}", project.id());

    step("3. All insights, and one by the short id in its web address");
    let all = project.insights().basic().all()?;
    println!("   {:>8}  {:<10}  name", "id", "short id");
    for insight in all.iter().take(6) {
        row(insight);
    }
    println!("   ... {} insights", all.len());
    let (number, line) = match insights {
        Some(known) => known,
        None => find(&project)?,
    };
    let wanted = all
        .iter()
        .find(|insight| insight["id"] == number)
        .unwrap_or(&Value::Null);
    match project.insight_by_short_id(&text(&wanted["short_id"]))? {
        Some(insight) => row(&insight),
        None => println!("   none"),
    }

    step("4. One number: as PostHog has it cached, computed now, and of an insight that has none");
    show_value(&project.insight(number)?);
    show_value(&project.insight_refreshed(number, Refresh::Blocking)?);
    let insight = project.insight(line)?;
    show_value(&insight);
    for series in series(&insight)? {
        let (first, last) = (series.days.first(), series.days.last());
        let period = format!("{} to {}", first.map_or("", |d| d), last.map_or("", |d| d));
        println!("   {}  {period}  {}", series.label, sparkline(&series.data));
    }

    step("5. Persons: all of them, and those whom filters find");
    let linux = || PersonFilter::property("$initial_os").exact(["Linux"]);
    let free = || PersonFilter::property("plan").exact(["free"]);
    count("persons", project.persons())?;
    count("by $initial_os: Linux", project.persons().filter(linux()))?;
    count(
        "Linux and of plan free",
        project.persons().filter(linux()).filter(free()),
    )?;
    count(
        "Linux or of plan free",
        project
            .persons()
            .filter(PersonFilter::any([linux(), free()])),
    )?;
    count(
        "with user5@ in the email",
        project.persons().search("user5@"),
    )?;
    println!("   {:<36}  {:<16}  distinct id", "id", "name");
    let some: Result<Vec<Value>> = project
        .persons()
        .filter(linux())
        .page_size(5)
        .items()
        .take(3)
        .collect();
    some?.iter().for_each(person);

    step("6. One person: by distinct id, by UUID, by number");
    let someone = project.persons().first()?.unwrap_or_default();
    let distinct_id = text(&someone["distinct_ids"][0]);
    person(
        &project
            .person_by_distinct_id(&distinct_id)?
            .unwrap_or_default(),
    );
    let retrieved = project.person(text(&someone["uuid"]))?;
    person(&retrieved);
    person(&project.person(&retrieved["id"])?);
    Ok(())
}

/// The first insight with a number and the first with a line, among those that PostHog has cached.
fn find(project: &Project) -> Result<(u64, u64)> {
    let (mut number, mut line) = (None, None);
    for insight in project.insights().items() {
        let insight = insight?;
        let id = insight["id"].as_u64();
        if aggregated_value(&insight).is_ok() {
            number = number.or(id);
        } else if series(&insight).is_ok_and(|series| !series.is_empty()) {
            line = line.or(id);
        }
        if number.is_some() && line.is_some() {
            break;
        }
    }
    Ok((number.unwrap_or_default(), line.unwrap_or_default()))
}

fn step(title: &str) {
    println!("\n{title}");
}

/// Sees each request on its way, and prints it as a person would want to read it.
fn show(
    request: http::Request<SendBody>,
    next: MiddlewareNext,
) -> std::result::Result<http::Response<posthog_api::ureq::Body>, posthog_api::ureq::Error> {
    let target = request
        .uri()
        .path_and_query()
        .map_or("/", |target| target.as_str());
    println!(
        "   > {} {}",
        request.method(),
        percent_decode_str(target).decode_utf8_lossy()
    );
    next.handle(request)
}

fn show_value(insight: &Value) {
    match aggregated_value(insight) {
        Ok(value) => println!("   aggregated value: {value}"),
        Err(why) => println!("   {why}"),
    }
}

fn count<K>(what: &str, persons: posthog_api::List<K>) -> Result<()> {
    println!("   {} {what}", persons.all()?.len());
    Ok(())
}

fn row(insight: &Value) {
    println!(
        "   {:>8}  {:<10}  {}",
        text(&insight["id"]),
        text(&insight["short_id"]),
        text(&insight["name"])
    );
}

fn person(person: &Value) {
    let (id, name) = (text(&person["id"]), text(&person["name"]));
    println!(
        "   {id:<36}  {name:<16}  {}",
        text(&person["distinct_ids"][0])
    );
}

/// A string without its quotes, anything else as JSON.
fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn sparkline(points: &[Option<f64>]) -> String {
    let most = points
        .iter()
        .flatten()
        .copied()
        .fold(f64::MIN_POSITIVE, f64::max);
    let bar = |point: &Option<f64>| match point {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // from 0 to 7
        Some(n) => "▁▂▃▄▅▆▇█"
            .chars()
            .nth((n.max(0.0) / most * 7.0).round() as usize)
            .unwrap_or(' '),
        None => ' ',
    };
    points.iter().map(bar).collect()
}
