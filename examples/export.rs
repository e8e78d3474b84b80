//! Writes all persons of a project, or all events of a range of time, to a file.
//!
//! ```console
//! $ cargo run --release --example export -- persons persons.jsonl
//! $ cargo run --release --example export -- --csv persons persons.csv
//! $ cargo run --release --example export -- --after 2026-11-01 --before 2026-12-01 events events.jsonl
//! ```
//!
//! It needs `POSTHOG_PERSONAL_API_KEY` with the scope `query:read`, `POSTHOG_PROJECT_ID`, and
//! `POSTHOG_HOST` for any host but the US cloud. Events are JSON lines; `--before` defaults to now.
//!
//! The rows go to `persons.jsonl.part`. This file gets its final name when it is complete. If the
//! program is killed, start it again with the same options: it removes an incomplete last line from
//! the file, and asks for the rows after the last complete one.

use std::env;
use std::error::Error;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use posthog_api::{ClientBuilder, Project, RetryPolicy, Rows};
use serde_json::{Map, Value};

const SQL: &str = "SELECT id, created_at, properties FROM persons";
const HEADER: &str = "id,created_at,properties";

struct Options {
    events: bool,
    file: String,
    after: Option<String>,
    before: Option<String>,
    csv: bool,
    page_size: Option<u32>,
}

fn main() -> ExitCode {
    let Some(options) = options() else {
        eprintln!("usage: export [--csv] [--page-size ROWS] persons FILE");
        eprintln!("       export --after TIME [--before TIME] events FILE");
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
    let (mut after, mut before, mut csv, mut page_size) = (None, None, false, None);
    let mut names = Vec::new();
    let mut args = env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--after" => after = Some(args.next()?),
            "--before" => before = Some(args.next()?),
            "--csv" => csv = true,
            "--page-size" => page_size = Some(args.next()?.parse().ok()?),
            _ if !arg.starts_with('-') => names.push(arg),
            _ => return None,
        }
    }
    let [what, file] = <[String; 2]>::try_from(names).ok()?;
    let events = what == "events";
    let fits = match what.as_str() {
        "persons" => after.is_none() && before.is_none(),
        "events" => after.is_some() && !csv && page_size.is_none(),
        _ => false,
    };
    fits.then_some(Options { events, file, after, before, csv, page_size })
}

fn export(options: &Options) -> Result<(), Box<dyn Error>> {
    let project = project()?;
    let part = format!("{}.part", options.file);
    let file = File::options().read(true).append(true).create(true).open(&part)?;
    let Written { length, lines, last } = complete_lines(&file)?;
    let last = last.filter(|line| !(options.csv && line == HEADER));
    let other = || format!("{part} has other lines: delete it to start again");
    if last.is_some() {
        eprintln!("continuing {part} after line {lines}");
    }
    let (rows, total) = if options.events {
        let last = last.map(|line| serde_json::from_str(&line).map_err(|_| other())).transpose()?;
        events(&project, options, last.as_ref())
    } else {
        let last = last.map(|line| id_in(&line, options.csv).ok_or_else(other)).transpose()?;
        persons(&project, options, last)
    };
    file.set_len(length)?;

    let mut out = BufWriter::new(file);
    if options.csv && lines == 0 {
        writeln!(out, "{HEADER}")?;
    }
    let header = u64::from(options.csv);
    let mut progress = Progress::start(lines.saturating_sub(header), total);
    for row in rows {
        let row = with_parsed_properties(row?);
        if options.csv {
            writeln!(out, "{}", csv(&row))?;
        } else {
            writeln!(out, "{}", Value::Object(row))?;
        }
        progress.count();
    }
    out.into_inner()?.sync_all()?;
    fs::rename(&part, &options.file)?;
    progress.end();
    Ok(())
}

/// The persons after this id, and how many there are in all.
fn persons(project: &Project, options: &Options, last: Option<String>) -> (Rows, Option<u64>) {
    let mut scan = project.hogql(SQL).scan("id");
    if let Some(rows) = options.page_size {
        scan = scan.page_size(rows);
    }
    if let Some(id) = last {
        scan = scan.after(id);
    }
    let total = scan.count().ok();
    (scan.into_iter(), total)
}

/// The events after this one, and how many there are in all. PostHog runs three queries at once.
fn events(
    project: &Project,
    options: &Options,
    last: Option<&Map<String, Value>>,
) -> (Rows, Option<u64>) {
    let mut events = project.events().prefetch(2).after(options.after.as_deref().unwrap_or(""));
    if let Some(before) = &options.before {
        events = events.before(before);
    }
    if let Some(last) = last {
        events = events.resume(last);
    }
    let total = events.count().ok();
    (events.into_iter(), total)
}

/// The project in the environment. An export is patient: it waits until an hourly limit ends.
fn project() -> posthog_api::Result<Project> {
    let client = ClientBuilder::from_env()?
        .retry(RetryPolicy::patient())
        .on_retry(|event| eprintln!("{event}"))
        .build()?;
    Ok(client.project(Project::from_env()?.id()))
}

/// What a file has without an incomplete line at its end.
struct Written {
    length: u64,
    lines: u64,
    last: Option<String>,
}

fn complete_lines(file: &File) -> io::Result<Written> {
    let (mut line, mut last, mut length, mut lines) = (Vec::new(), None, 0, 0);
    let mut reader = BufReader::new(file);
    while reader.read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
        length += line.len() as u64;
        lines += 1;
        last = Some(std::mem::take(&mut line));
    }
    let last = last.map(|line| String::from_utf8_lossy(&line).trim_end().to_owned());
    Ok(Written { length, lines, last })
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

/// A query returns properties as JSON text. They become an object; what is not JSON stays a text.
fn with_parsed_properties(mut row: Map<String, Value>) -> Map<String, Value> {
    if let Some(properties) = row.get_mut("properties") {
        if let Some(Ok(parsed)) = properties.as_str().map(serde_json::from_str) {
            *properties = parsed;
        }
    }
    row
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

/// Says on standard error how many rows there are: often on a terminal, seldom in a log.
struct Progress {
    rows: u64,
    /// The rows of an earlier run.
    before: u64,
    total: Option<u64>,
    started: Instant,
    shown: Instant,
    is_terminal: bool,
}

impl Progress {
    fn start(before: u64, total: Option<u64>) -> Progress {
        let (now, is_terminal) = (Instant::now(), io::stderr().is_terminal());
        Progress { rows: before, before, total, started: now, shown: now, is_terminal }
    }

    fn count(&mut self) {
        self.rows += 1;
        let interval = Duration::from_millis(if self.is_terminal { 200 } else { 10_000 });
        if self.shown.elapsed() >= interval {
            self.shown = Instant::now();
            // Rows can be added during the export.
            let percent = self.total.map(|total| (self.rows * 100 / total.max(1)).min(99));
            self.show(percent, if self.is_terminal { "\r" } else { "\n" });
        }
    }

    fn end(&self) {
        self.show(Some(100), "\n");
    }

    fn show(&self, percent: Option<u64>, end: &str) {
        let seconds = self.started.elapsed().as_secs_f64();
        let percent = percent.map(|percent| format!(", {percent} %")).unwrap_or_default();
        #[allow(clippy::cast_precision_loss)]
        let rate = (self.rows - self.before) as f64 / seconds.max(0.001);
        eprint!("{} rows{percent}, {rate:.0} a second   {end}", self.rows);
    }
}
