//! Writes all persons of a project to a file, as JSON lines or as CSV.
//!
//! ```console
//! $ cargo run --release --example export_persons -- persons.jsonl
//! $ cargo run --release --example export_persons -- --csv persons.csv
//! ```
//!
//! It needs `POSTHOG_PERSONAL_API_KEY` with the scope `query:read`, `POSTHOG_PROJECT_ID`, and
//! `POSTHOG_HOST` for any host but the US cloud.
//!
//! The rows go to `persons.jsonl.part`. This file gets its final name when it is complete. If the
//! program is killed, start it again: it removes an incomplete last line from the file, and asks
//! for the persons after the last complete one.

use std::env;
use std::error::Error;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use posthog_api::{ClientBuilder, Project, RetryEvent, RetryPolicy};
use serde_json::{Map, Value};

const SQL: &str = "SELECT id, created_at, properties FROM persons";
const HEADER: &str = "id,created_at,properties";

struct Options {
    file: String,
    csv: bool,
    page_size: Option<u32>,
}

fn main() -> ExitCode {
    let Some(options) = options() else {
        eprintln!("usage: export_persons [--csv] [--page-size ROWS] FILE");
        return ExitCode::from(2);
    };
    match export(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn options() -> Option<Options> {
    let (mut file, mut csv, mut page_size) = (None, false, None);
    let mut args = env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--csv" => csv = true,
            "--page-size" => page_size = Some(args.next()?.parse().ok()?),
            _ if file.is_none() && !arg.starts_with('-') => file = Some(arg),
            _ => return None,
        }
    }
    Some(Options { file: file?, csv, page_size })
}

fn export(options: &Options) -> Result<(), Box<dyn Error>> {
    let mut scan = project()?.hogql(SQL).scan("id");
    if let Some(rows) = options.page_size {
        scan = scan.page_size(rows);
    }

    let part = format!("{}.part", options.file);
    let file = File::options().read(true).append(true).create(true).open(&part)?;
    let (length, last_line) = complete_lines(&file)?;
    let is_new = last_line.is_none();
    if let Some(line) = last_line.filter(|line| !(options.csv && line == HEADER)) {
        let id = id_in(&line, options.csv)
            .ok_or_else(|| format!("{part} has other lines: delete it to start again"))?;
        eprintln!("continuing {part} after person {id}");
        scan = scan.after(id);
    }
    file.set_len(length)?;

    let mut out = BufWriter::new(file);
    if options.csv && is_new {
        writeln!(out, "{HEADER}")?;
    }
    let mut progress = Progress::start();
    for person in scan {
        let person = with_parsed_properties(person?);
        if options.csv {
            writeln!(out, "{}", csv(&person))?;
        } else {
            writeln!(out, "{}", Value::Object(person))?;
        }
        progress.count();
    }
    out.into_inner()?.sync_all()?;
    fs::rename(&part, &options.file)?;
    progress.end();
    Ok(())
}

/// The project in the environment. An export is patient: it waits until an hourly limit ends.
fn project() -> posthog_api::Result<Project> {
    let client = ClientBuilder::from_env()?
        .retry(RetryPolicy::patient())
        .on_retry(|event| {
            if let RetryEvent::Retry { wait, reason, .. } = event {
                eprintln!("waiting {wait:.0?}: {reason}");
            }
        })
        .build()?;
    Ok(client.project(Project::from_env()?.id()))
}

/// The length of a file without an incomplete line at its end, and the last complete line.
fn complete_lines(file: &File) -> io::Result<(u64, Option<String>)> {
    let (mut line, mut last, mut length) = (Vec::new(), None, 0);
    let mut reader = BufReader::new(file);
    while reader.read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
        length += line.len() as u64;
        last = Some(std::mem::take(&mut line));
    }
    Ok((length, last.map(|line| String::from_utf8_lossy(&line).trim_end().to_owned())))
}

/// The id of the person in a line of this program.
fn id_in(line: &str, csv: bool) -> Option<String> {
    let id = if csv {
        line.split(',').next()?.to_owned()
    } else {
        serde_json::from_str::<Value>(line).ok()?["id"].as_str()?.to_owned()
    };
    id.chars().all(|c| c.is_ascii_hexdigit() || c == '-').then_some(id)
}

/// HogQL returns properties as JSON text. They become an object; what is not JSON stays a text.
fn with_parsed_properties(mut person: Map<String, Value>) -> Map<String, Value> {
    if let Some(properties) = person.get_mut("properties") {
        if let Some(Ok(parsed)) = properties.as_str().map(serde_json::from_str) {
            *properties = parsed;
        }
    }
    person
}

/// A line of CSV. No cell contains a line break: JSON escapes it.
fn csv(person: &Map<String, Value>) -> String {
    let cell = |name: &str| match person.get(name) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) if name != "properties" => text.clone(),
        Some(other) => format!("\"{}\"", other.to_string().replace('"', "\"\"")),
    };
    HEADER.split(',').map(cell).collect::<Vec<_>>().join(",")
}

/// Says on standard error how many rows came: often on a terminal, seldom in a log.
struct Progress {
    rows: u32,
    started: Instant,
    shown: Instant,
    is_terminal: bool,
}

impl Progress {
    fn start() -> Progress {
        let now = Instant::now();
        Progress { rows: 0, started: now, shown: now, is_terminal: io::stderr().is_terminal() }
    }

    fn count(&mut self) {
        self.rows += 1;
        let interval = Duration::from_millis(if self.is_terminal { 200 } else { 10_000 });
        if self.shown.elapsed() >= interval {
            self.shown = Instant::now();
            self.show(if self.is_terminal { "\r" } else { "\n" });
        }
    }

    fn end(&self) {
        self.show("\n");
    }

    fn show(&self, end: &str) {
        let seconds = self.started.elapsed().as_secs_f64();
        let rate = f64::from(self.rows) / seconds.max(0.001);
        eprint!("{} persons in {seconds:.1} s, {rate:.0} a second   {end}", self.rows);
    }
}
