//! The README's six tasks as a program: `cargo run --example tour`.
//!
//! It needs no key and no network: a small PostHog on this machine answers with what a real one
//! answered. With `POSTHOG_PERSONAL_API_KEY` set (and `POSTHOG_HOST` for any host but the US
//! cloud), it talks to your PostHog instead. It only reads.

use std::env;
use std::process::ExitCode;

use percent_encoding::percent_decode_str;
use posthog_api::insight::series;
use posthog_api::ureq::middleware::MiddlewareNext;
use posthog_api::ureq::{self, Agent, Body, SendBody, http};
use posthog_api::{
    Client, ClientBuilder, Error, ErrorKind, PersonFilter, Project, Result, aggregated_value,
    display_text,
};
use serde_json::Value;
use stand_in::StandIn;

/// Prints a statement or an expression, and runs it.
macro_rules! run {
    (let $name:ident = $($code:tt)+) => {
        println!("  let {} = {};", stringify!($name), stringify!($($code)+));
        let $name = $($code)+;
    };
    ($($code:tt)+) => {{
        println!("  {}", stringify!($($code)+));
        $($code)+
    }};
}

/// Prints a line of a result. Control characters are left out, because a terminal obeys them.
macro_rules! say {
    ($($format:tt)+) => { println!("      {}", format!($($format)+).replace(char::is_control, " ")) };
}

/// What the tasks work on.
struct Tour {
    client: Client,
    project: Project,
    /// Two insights: one that shows a number, and one that shows a line.
    number: Option<Value>,
    line: Option<Value>,
    /// The day whose events are exported, and the day after it.
    days: Option<[String; 2]>,
}

type Task = fn(&Tour) -> Result<()>;

fn main() -> ExitCode {
    let agent = Agent::config_builder().middleware(show_request);
    let posthog;
    let tour = if env::var_os("POSTHOG_PERSONAL_API_KEY").is_some() {
        println!("Found POSTHOG_PERSONAL_API_KEY: talking to the PostHog that it is for.");
        let agent = agent.build().new_agent();
        ClientBuilder::from_env().and_then(|client| client.agent(agent).build()).and_then(real)
    } else {
        println!(
            "Found no key in POSTHOG_PERSONAL_API_KEY: talking to a small PostHog on this machine."
        );
        posthog = StandIn::start();
        let agent = agent.proxy(None).build().new_agent();
        Client::builder(stand_in::KEY).host(posthog.url()).agent(agent).build().map(recorded)
    };
    let tour = match tour {
        Ok(tour) => tour,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(exit_code(&error));
        }
    };
    let tasks: [(&str, Task); 6] = [
        ("1. A number", number),
        ("2. Persons by filter", persons),
        ("3. HogQL", hogql),
        ("4. Any route", any_route),
        ("5. Export everything", export),
        ("6. Handle errors", errors),
    ];
    let mut code = ExitCode::SUCCESS;
    for (title, task) in tasks {
        println!("\n{title}");
        // A key that may not do one task may do the next.
        if let Err(error) = task(&tour) {
            say!("{error}");
            code = ExitCode::from(exit_code(&error));
        }
    }
    code
}

/// Where the small PostHog has something to show.
fn recorded(client: Client) -> Tour {
    Tour {
        project: client.project(1),
        client,
        number: Some("VdpVGSw3".into()),
        line: Some(42.into()),
        days: Some(["2026-11-01", "2026-11-02"].map(str::to_owned)),
    }
}

/// Where a real PostHog has something to show; a look at 300 insights must do.
fn real(client: Client) -> Result<Tour> {
    let id = if env::var_os("POSTHOG_PROJECT_ID").is_some() {
        Project::from_env()?.id()
    } else {
        let current = client.me()?["team"]["id"].as_u64();
        current.ok_or_else(|| Error::from_kind(ErrorKind::Config, "set POSTHOG_PROJECT_ID"))?
    };
    let project = client.project(id);
    let (mut number, mut line) = (None, None);
    for insight in project.insights().items().take(300) {
        let insight = insight?;
        if number.is_none() && aggregated_value(&insight).is_ok() {
            number = Some(insight["id"].clone());
        } else if line.is_none() && series(&insight).is_ok_and(|lines| !lines.is_empty()) {
            line = Some(insight["id"].clone());
        }
        if number.is_some() && line.is_some() {
            break;
        }
    }
    Ok(Tour { client, project, number, line, days: None })
}

fn number(Tour { project, number, line, .. }: &Tour) -> Result<()> {
    if let Some(id) = number {
        println!("  let id = {id};");
        run!(let insight = project.insight(id)?);
        match run!(aggregated_value(&insight)) {
            Ok(value) => say!("{value}"),
            Err(error) => say!("{error}"),
        }
        run!(let insight = project.insight_computed(id)?);
        say!("{}", run!(aggregated_value(&insight)?));
    }
    if let Some(id) = line {
        println!("  let id = {id};");
        run!(let insight = project.insight(id)?);
        for line in run!(series(&insight)?) {
            let ends = [line.days.first(), line.days.last()];
            let [first, last] = ends.map(|day| day.map_or("", String::as_str));
            say!("{}, {first} to {last}: {}", line.label, sparkline(&line.data));
        }
    }
    Ok(())
}

fn persons(Tour { project, .. }: &Tour) -> Result<()> {
    run!(let linux = || PersonFilter::property("$initial_os").exact("Linux"));
    run!(let old = || PersonFilter::property("age").gte(60));
    run!(let persons = project.persons().filter(linux()));
    let first = persons.clone().page_size(3).page()?;
    for person in first.results {
        say!("{}  {}", display_text(&person["id"]), display_text(&person["name"]));
    }
    say!("{} persons on Linux", count(persons)?);
    run!(let persons = project.persons().filter(linux()).filter(old()));
    say!("{} of them are 60 or older", count(persons)?);
    run!(let persons = project.persons().filter(PersonFilter::any([linux(), old()])));
    say!("{} on Linux, or 60 or older", count(persons)?);
    run!(let persons = project.persons().search("user5@"));
    say!("{} with user5@ in the email", count(persons)?);
    Ok(())
}

/// How many rows there are. A real project may have millions: it stops at 5,000.
fn count<T>(rows: impl IntoIterator<Item = Result<T>>) -> Result<usize> {
    rows.into_iter().take(5_000).try_fold(0, |n, row| row.map(|_| n + 1))
}

fn hogql(Tour { project, .. }: &Tour) -> Result<()> {
    let sql = "SELECT properties.$browser AS browser, count() AS n FROM events \
               WHERE event = {event} GROUP BY browser ORDER BY n DESC LIMIT 20";
    println!("  let sql = {sql:?};");
    for row in run!(project.hogql(sql).value("event", "$pageview").rows()?) {
        say!("{} {}", display_text(&row["browser"]), row["n"]);
    }
    Ok(())
}

fn any_route(Tour { client, project, .. }: &Tour) -> Result<()> {
    for flag in run!(project.list("feature_flags").all()?) {
        say!("{}", display_text(&flag["key"]));
    }
    run!(let me = client.get("/api/users/@me/").send()?);
    say!("{} of {}", display_text(&me["email"]), display_text(&me["organization"]["name"]));
    Ok(())
}

fn export(Tour { project, days, .. }: &Tour) -> Result<()> {
    run!(let sql = "SELECT id, created_at, properties FROM persons");
    say!("{} persons", count(run!(project.hogql(sql).scan("id")))?);
    let [day, next_day] = if let Some(known) = days {
        known.clone()
    } else {
        run!(let sql = "SELECT toString(toDate(now())), toString(toDate(addDays(now(), 1))) LIMIT 1");
        let row = project.hogql(sql).table()?.rows.remove(0);
        [0, 1].map(|column| display_text(&row[column]).into_owned())
    };
    println!("  let [day, next_day] = [{day:?}, {next_day:?}];");
    run!(let events = project.events().after(&day).before(&next_day));
    say!("{} events", count(events)?);
    Ok(())
}

fn errors(Tour { project, line, .. }: &Tour) -> Result<()> {
    show_error(run!(project.persons().search("").all()));
    show_error(run!(project.insight("NoSuchId")));
    show_error(run!(project.hogql("SELECT event, timestamp FROM events").rows()));
    if let Some(id) = line {
        run!(let insight = project.insight(id)?);
        show_error(run!(aggregated_value(&insight)));
    }
    Ok(())
}

fn show_error<T>(result: Result<T>) {
    if let Err(error) = result {
        say!("exit code {}: {error}", exit_code(&error));
    }
}

fn exit_code(error: &Error) -> u8 {
    match error.kind() {
        ErrorKind::Config => 2,
        ErrorKind::Unauthenticated | ErrorKind::PermissionDenied => 3,
        ErrorKind::NotFound => 4,
        ErrorKind::NotComputed | ErrorKind::Running => 5,
        _ if error.is_transient() => 6, // the same call may succeed later
        _ => 1,
    }
}

fn sparkline(points: &[Option<f64>]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = points.iter().flatten().copied().fold(f64::MIN_POSITIVE, f64::max);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // from 0 to 7
    let bar = |n: f64| BARS[(n.max(0.0) / most * 7.0).round() as usize];
    points.iter().map(|point| point.map_or(' ', bar)).collect()
}

/// Prints each request on its way, decoded.
fn show_request(
    request: http::Request<SendBody>,
    next: MiddlewareNext,
) -> std::result::Result<http::Response<Body>, ureq::Error> {
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let target = percent_decode_str(target).decode_utf8_lossy();
    println!("    > {} {}", request.method(), target.replace(char::is_control, " "));
    next.handle(request)
}
