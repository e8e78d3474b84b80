//! The tutorial as a program: `cargo run --example tour`.
//!
//! Without a key it starts a stand-in for PostHog on this machine, which answers with what a real PostHog answered. With
//! `POSTHOG_PERSONAL_API_KEY` set (and `POSTHOG_HOST`, for another host than the US cloud) it asks that PostHog.

#[path = "../tests/standin/mod.rs"]
mod standin;

use std::env;
use std::process::ExitCode;

use percent_encoding::percent_decode_str;
use posthog_api::ureq::middleware::MiddlewareNext;
use posthog_api::ureq::{Agent, SendBody, http};
use posthog_api::{
    Client, List, PersonFilter, Persons, Project, Refresh, Result, US, aggregated_value, series,
};
use serde_json::Value;
use standin::StandIn;

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn start() -> Result<()> {
    let agent = Agent::config_builder().middleware(show);
    let Ok(key) = env::var("POSTHOG_PERSONAL_API_KEY") else {
        let posthog = StandIn::start();
        println!(
            "Found no key in POSTHOG_PERSONAL_API_KEY: asking a stand-in at {}.",
            posthog.url()
        );
        let agent = agent.proxy(None).build().new_agent();
        let client = Client::builder(standin::KEY).host(posthog.url()).agent(agent).build()?;
        return tour(&client, Some([28, 42]));
    };
    let host = env::var("POSTHOG_HOST").unwrap_or_else(|_| US.to_owned());
    println!("Found a key in POSTHOG_PERSONAL_API_KEY: asking {host}.");
    let client = Client::builder(key).host(host).agent(agent.build().new_agent()).build()?;
    tour(&client, None)
}

/// `insights`: one that shows a number and one that shows a line, where they are known.
fn tour(client: &Client, insights: Option<[u64; 2]>) -> Result<()> {
    step("1. Who am I, and which projects are there?");
    let me = client.me()?;
    let organization = text(&me["organization"]["name"]);
    println!("   {} of {organization}", text(&me["email"]));
    for project in client.projects()? {
        println!("   {:>8}  {}", text(&project["id"]), text(&project["name"]));
    }

    step("2. A project by its name");
    let name = me["team"]["name"].as_str().unwrap_or_default();
    let project = client.project_named(name)?;
    println!("   {name} is project {}", project.id());

    step("3. All insights, and one by the short id in its web address");
    let all = project.insights().basic().all()?;
    println!("   {:>8}  {:<10}  name", "id", "short id");
    all.iter().take(6).for_each(row);
    println!("   ... {} insights", all.len());
    let [number, line] = match insights {
        Some(known) => known.map(Some),
        None => find(&project)?,
    };
    let named = all.iter().find(|insight| insight["id"].as_u64() == number);
    let short_id = named.and_then(|insight| insight["short_id"].as_str());
    if let Some(short_id) = short_id {
        let insight = project.insight_by_short_id(short_id)?;
        insight.iter().for_each(row);
    }

    step(
        "4. One number: as PostHog has it cached, and computed now; and an insight that is a line",
    );
    if let Some(number) = number {
        show_value(&project.insight(number)?);
        show_value(&project.insight_refreshed(number, Refresh::Blocking)?);
    }
    if let Some(line) = line {
        let insight = project.insight(line)?;
        show_value(&insight);
        for series in series(&insight)? {
            let ends = [series.days.first(), series.days.last()];
            let [from, to] = ends.map(|day| day.map_or("", |day| day));
            let line = sparkline(&series.data);
            println!("   {}  {from} to {to}  {line}", series.label);
        }
    }

    step("5. Persons: all of them, and those whom filters find");
    let linux = || PersonFilter::property("$initial_os").exact(["Linux"]);
    let old = || PersonFilter::property("age").gte(60);
    let persons = || project.persons();
    count("persons", persons())?;
    count("by $initial_os: Linux", persons().filter(linux()))?;
    count("on Linux, and 60 or older", persons().filter(linux()).filter(old()))?;
    let either = PersonFilter::any([linux(), old()]);
    count("on Linux, or 60 or older", persons().filter(either))?;
    count("with user5@ in the email", persons().search("user5@"))?;
    let some = persons().filter(linux()).page_size(5).items().take(3);
    let some = some.collect::<Result<Vec<Value>>>()?;
    println!("   {:<36}  {:<16}  distinct id", "id", "name");
    some.iter().for_each(person);

    step("6. One person: by distinct id, by UUID, by number");
    let Some(someone) = project.persons().first()? else {
        return Ok(());
    };
    if let Some(distinct_id) = someone["distinct_ids"][0].as_str() {
        let found = project.person_by_distinct_id(distinct_id)?;
        found.iter().for_each(person);
    }
    let retrieved = project.person(text(&someone["uuid"]))?;
    person(&retrieved);
    person(&project.person(&retrieved["id"])?);
    Ok(())
}

/// The first insight with a number and the first with a line, of those that PostHog has cached; a look at 300 must do.
fn find(project: &Project) -> Result<[Option<u64>; 2]> {
    let mut found = [None, None];
    for insight in project.insights().items().take(300) {
        let insight = insight?;
        let is = [
            aggregated_value(&insight).is_ok(),
            series(&insight).is_ok_and(|series| !series.is_empty()),
        ];
        for (slot, is) in found.iter_mut().zip(is) {
            *slot = slot.or(insight["id"].as_u64().filter(|_| is));
        }
        if found.iter().all(Option::is_some) {
            break;
        }
    }
    Ok(found)
}

fn step(title: &str) {
    println!("\n{title}");
}

/// Sees each request on its way, and prints it as a person would want to read it.
fn show(
    request: http::Request<SendBody>,
    next: MiddlewareNext,
) -> std::result::Result<http::Response<posthog_api::ureq::Body>, posthog_api::ureq::Error> {
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    println!("   > {} {}", request.method(), percent_decode_str(target).decode_utf8_lossy());
    next.handle(request)
}

fn show_value(insight: &Value) {
    match aggregated_value(insight) {
        Ok(value) => println!("   aggregated value: {value}"),
        Err(why) => println!("   {why}"),
    }
}

/// A real project may have millions: the tour stops counting at 5,000.
fn count(what: &str, persons: List<Persons>) -> Result<()> {
    let some: Vec<Value> = persons.items().take(5_000).collect::<Result<_>>()?;
    let more = if some.len() < 5_000 { "" } else { " or more" };
    println!("   {}{more} {what}", some.len());
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
    println!("   {id:<36}  {name:<16}  {}", text(&person["distinct_ids"][0]));
}

/// A string without its quotes, anything else as JSON; nothing in it that a terminal would obey.
fn text(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    text.replace(char::is_control, " ")
}

fn sparkline(points: &[Option<f64>]) -> String {
    let most = points.iter().flatten().copied().fold(f64::MIN_POSITIVE, f64::max);
    let bar = |point: &Option<f64>| match point {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // from 0 to 7
        Some(n) => {
            "▁▂▃▄▅▆▇█".chars().nth((n.max(0.0) / most * 7.0).round() as usize).unwrap_or(' ')
        }
        None => ' ',
    };
    points.iter().map(bar).collect()
}
