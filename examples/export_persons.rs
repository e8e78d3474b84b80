//! All persons of a project as JSON lines or CSV, resumable after a kill.
//!
//! ```console
//! $ cargo run --example export_persons -- --out persons.jsonl            # or --csv, or to standard output
//! $ cargo run --example export_persons -- --out persons.jsonl --resume   # goes on behind the last line
//! ```
//!
//! Asks the project of `POSTHOG_PROJECT_ID` with `POSTHOG_PERSONAL_API_KEY`; without a key, a stand-in on this machine.

#[path = "../tests/standin/mod.rs"]
mod standin;

use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, IsTerminal, Read, Seek, SeekFrom, Write};
use std::time::{Duration, Instant};
use std::{env, process};

use posthog_api::ureq::Agent;
use posthog_api::{Client, Project, RetryPolicy, US};
use serde_json::{Map, Value};
use standin::StandIn;

const SQL: &str = "SELECT id, created_at, properties FROM persons";
const HEADER: &str = "id,created_at,properties";

#[derive(Default)]
struct Options {
    out: Option<String>,
    csv: bool,
    resume: bool,
    page: Option<u32>,
}

fn main() {
    let Err(error) = run() else { return };
    // A reader such as `head` that has enough is no failure.
    let enough = |e: &io::Error| e.kind() == io::ErrorKind::BrokenPipe;
    if !error.downcast_ref().is_some_and(enough) {
        eprintln!("{error}");
        process::exit(1);
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let options = options()?;
    let (project, _standin) = project()?;
    let mut scan = project.hogql(SQL).scan("id");
    if let Some(rows) = options.page {
        scan = scan.page_size(rows);
    }
    let mut header = options.csv;
    let mut out: Box<dyn Write> = match &options.out {
        None => Box::new(io::stdout().lock()),
        Some(path) if options.resume => {
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(path)?;
            if let Some(last) = last_line(&mut file)? {
                header = false;
                if last != HEADER {
                    scan = scan.after(id_of(&last, options.csv)?);
                }
            }
            Box::new(BufWriter::new(file))
        }
        Some(path) => Box::new(BufWriter::new(
            File::create_new(path).map_err(|e| format!("{path}: {e}; --resume goes on"))?,
        )),
    };
    if header {
        writeln!(out, "{HEADER}")?;
    }
    let mut progress = Progress::new(&project);
    for person in scan {
        let person = person?;
        if options.csv {
            writeln!(out, "{}", csv(&person))?;
        } else {
            writeln!(out, "{}", json(person))?;
        }
        progress.row();
    }
    out.flush()?;
    progress.end();
    Ok(())
}

fn options() -> Result<Options, String> {
    let mut options = Options::default();
    let mut args = env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--out" => options.out = Some(args.next().ok_or("--out takes a file")?),
            "--csv" => options.csv = true,
            "--resume" => options.resume = true,
            "--page" => {
                let rows = args.next().and_then(|n| n.parse().ok());
                options.page = Some(rows.ok_or("--page takes a number of rows")?);
            }
            other => {
                return Err(format!(
                    "{other}? there are --out FILE, --csv, --resume and --page ROWS"
                ));
            }
        }
    }
    if options.resume && options.out.is_none() {
        return Err("--resume needs --out FILE: it goes on behind the file's last line".to_owned());
    }
    Ok(options)
}

/// The project to export; with no key, that of a stand-in, which lives as long as what comes beside.
fn project() -> posthog_api::Result<(Project, Option<StandIn>)> {
    if env::var_os("POSTHOG_PERSONAL_API_KEY").is_none() {
        let posthog = StandIn::start();
        let agent = Agent::config_builder().proxy(None).build().new_agent();
        let client = Client::builder(standin::KEY).host(posthog.url()).agent(agent);
        return Ok((client.build()?.project(1), Some(posthog)));
    }
    // It says what the environment lacks. An export wants more patience than its default: PostHog's limits are hourly too.
    let id = Project::from_env()?.id();
    let client = Client::builder(env::var("POSTHOG_PERSONAL_API_KEY").unwrap_or_default())
        .host(env::var("POSTHOG_HOST").unwrap_or_else(|_| US.to_owned()))
        .retry(RetryPolicy::patient())
        .on_retry(|event| {
            if io::stderr().is_terminal() {
                eprintln!("\nwaiting {:.0?}: {}", event.wait, event.reason);
            }
        });
    Ok((client.build()?.project(id), None))
}

/// Properties come as JSON in a text: written as the object that they are.
fn json(mut person: Map<String, Value>) -> Value {
    if let Some(properties) = person.get_mut("properties") {
        if let Some(object) = properties.as_str().and_then(|text| serde_json::from_str(text).ok()) {
            *properties = object;
        }
    }
    person.into()
}

fn csv(person: &Map<String, Value>) -> String {
    let cell = |name: &str| {
        let value = person.get(name).unwrap_or(&Value::Null);
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        if text.contains([',', '"', '\n', '\r']) {
            format!("\"{}\"", text.replace('"', "\"\""))
        } else {
            text
        }
    };
    HEADER.split(',').map(cell).collect::<Vec<_>>().join(",")
}

/// The id in a line that an earlier run wrote.
fn id_of(line: &str, csv: bool) -> Result<String, Box<dyn Error>> {
    let id = if csv {
        line.split(',').next().map(str::to_owned)
    } else {
        serde_json::from_str::<Value>(line)?["id"].as_str().map(str::to_owned)
    };
    Ok(id
        .filter(|id| !id.is_empty())
        .ok_or_else(|| format!("the last line has no id to go on from: {line}"))?)
}

/// The last complete line of a file, which is cut off behind it: a kill leaves a torn one.
fn last_line(file: &mut File) -> io::Result<Option<String>> {
    let end = file.seek(SeekFrom::End(0))?;
    let mut tail = 64 * 1024;
    loop {
        let from = end.saturating_sub(tail);
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(from))?;
        file.read_to_end(&mut bytes)?;
        let newline = bytes.iter().rposition(|b| *b == b'\n');
        let before = newline.and_then(|at| bytes[..at].iter().rposition(|b| *b == b'\n'));
        if let (Some(at), true) = (newline, before.is_some() || from == 0) {
            file.set_len(from + at as u64 + 1)?;
            file.seek(SeekFrom::End(0))?;
            let line = &bytes[before.map_or(0, |b| b + 1)..at];
            return Ok(Some(String::from_utf8_lossy(line).into_owned()));
        }
        if from == 0 {
            file.set_len(0)?;
            file.seek(SeekFrom::Start(0))?;
            return Ok(None);
        }
        tail *= 4;
    }
}

/// A line on standard error, where that is a terminal.
struct Progress {
    rows: u64,
    total: Option<u64>,
    started: Instant,
    shown: Option<Instant>,
}

impl Progress {
    fn new(project: &Project) -> Progress {
        let shown = io::stderr().is_terminal().then(Instant::now);
        let total = || {
            project
                .hogql("SELECT count() AS n FROM persons")
                .rows()
                .ok()?
                .first()?
                .get("n")?
                .as_u64()
        };
        let total = shown.and_then(|_| total());
        Progress { rows: 0, total, started: Instant::now(), shown }
    }

    fn row(&mut self) {
        self.rows += 1;
        if self.shown.is_some_and(|at| at.elapsed() > Duration::from_millis(200)) {
            self.shown = Some(Instant::now());
            self.show();
        }
    }

    #[allow(clippy::cast_precision_loss)] // a rate needs no 64 bits
    fn show(&self) {
        let rate = self.rows as f64 / self.started.elapsed().as_secs_f64().max(0.001);
        let total = self.total.map_or(String::new(), |n| format!(" of {n}"));
        eprint!("\r{}{total} persons, {rate:.0} a second ", self.rows);
    }

    fn end(&self) {
        if self.shown.is_some() {
            self.show();
            eprintln!();
        }
    }
}
