//! Proves that the example `export` writes each person and each event once, however often it is
//! killed.

#[path = "support/standin.rs"]
mod standin;

use std::collections::BTreeSet;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use standin::StandIn;

/// The example, which `cargo test` builds with the tests.
fn export(posthog: &StandIn, args: &[&str], out: &Path) -> Command {
    let deps = std::env::current_exe().unwrap();
    let target = deps.parent().and_then(Path::parent).unwrap();
    let name = format!("export{}", std::env::consts::EXE_SUFFIX);
    let example = target.join("examples").join(name);
    assert!(example.exists(), "{} is not built: cargo build --examples", example.display());
    let mut command = Command::new(example);
    command
        .env("POSTHOG_PERSONAL_API_KEY", standin::KEY)
        .env("POSTHOG_HOST", posthog.url())
        .env("POSTHOG_PROJECT_ID", "1")
        .args(args)
        .arg(out);
    for proxy in ["ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY"] {
        command.env_remove(proxy).env_remove(proxy.to_lowercase());
    }
    command
}

const PERSONS: [&str; 1] = ["persons"];
const EVENTS: [&str; 5] = ["--after", "2026-10-01", "--before", "2026-12-01", "events"];

/// Runs it to its end, and returns what it wrote to standard error.
fn run(posthog: &StandIn, args: &[&str], out: &Path) -> String {
    let output = export(posthog, args, out).output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{errors}");
    errors
}

fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn part_of(out: &Path) -> PathBuf {
    PathBuf::from(format!("{}.part", out.display()))
}

/// A number below `end`, another one in each run.
fn random(end: usize) -> usize {
    usize::try_from(RandomState::new().hash_one(0) % end as u64).unwrap()
}

#[test]
fn every_person_is_written_once_as_the_server_returns_it() {
    let (posthog, out) = (StandIn::start(), folder("whole").join("persons"));
    let errors = run(&posthog, &PERSONS, &out);
    assert!(errors.starts_with("250 rows, 100 %, ") && errors.contains("a second"), "{errors}");
    let text = fs::read_to_string(&out).unwrap();
    let persons: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(persons.len(), 250);

    let listed = standin::client(&posthog.url()).project(1).persons().all().unwrap();
    let what = |person: &Value, id: &str| format!("{} {}", person[id], person["properties"]);
    let written: BTreeSet<String> = persons.iter().map(|person| what(person, "id")).collect();
    let listed: BTreeSet<String> = listed.iter().map(|person| what(person, "uuid")).collect();
    assert_eq!(written, listed);

    let csv = out.with_extension("csv");
    run(&posthog, &["--csv", "--page-size", "7", "persons"], &csv);
    let csv = fs::read_to_string(csv).unwrap();
    let mut lines = csv.lines();
    assert_eq!(lines.next(), Some("id,created_at,properties"));
    for (line, person) in lines.by_ref().zip(&persons) {
        let properties = person["properties"].to_string().replace('"', "\"\"");
        let [id, created_at] = ["id", "created_at"].map(|name| person[name].as_str().unwrap());
        assert_eq!(line, format!("{id},{created_at},\"{properties}\""));
    }
    assert_eq!((lines.next(), csv.lines().count()), (None, 251));
}

#[test]
fn an_export_that_is_killed_again_and_again_is_complete() {
    let (posthog, folder) = (StandIn::start(), folder("killed"));
    let (whole, out) = (folder.join("whole"), folder.join("persons"));
    run(&posthog, &PERSONS, &whole);
    fs::write(&out, "an older export").unwrap();
    let (mut kills, mut torn, mut length) = (0, 0, 0);
    loop {
        // Many small pages, so that there is time to kill it between two of them.
        let mut running = export(&posthog, &["--page-size", "2", "persons"], &out)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (enough, started) = (length + 1 + random(16_000), Instant::now());
        let ended = loop {
            if let Some(status) = running.try_wait().unwrap() {
                break Some(status);
            }
            if fs::metadata(part_of(&out)).is_ok_and(|part| part.len() >= enough as u64) {
                break None;
            }
            assert!(started.elapsed() < Duration::from_secs(60), "the export does not end");
            thread::sleep(Duration::from_millis(1));
        };
        if let Some(status) = ended {
            assert!(status.success(), "{status}");
            break;
        }
        running.kill().unwrap(); // SIGKILL, where there are signals
        running.wait().unwrap();
        kills += 1;
        assert!(kills < 100, "each run starts again");
        let Ok(part) = fs::read(part_of(&out)) else { continue };
        length = part.len();
        torn += usize::from(!part.ends_with(b"\n"));
        assert_eq!(fs::read_to_string(&out).unwrap(), "an older export");
    }
    assert!(kills > 2 && torn > 0, "{kills} kills, {torn} incomplete lines");
    assert!(fs::read(&out).unwrap() == fs::read(&whole).unwrap(), "after {kills} kills");
    assert!(!part_of(&out).exists());
}

#[test]
fn an_export_continues_after_the_last_complete_line() {
    let folder = folder("continued");
    let continues = |kind: &str, args: &[&str], after: &str| {
        let posthog = StandIn::start();
        let (whole, out) = (folder.join(format!("whole {kind}")), folder.join(kind));
        run(&posthog, args, &whole);
        let text = fs::read(&whole).unwrap();
        let first = text.iter().position(|b| *b == b'\n').unwrap();
        let mut lengths = vec![0, 1, first, first + 1, text.len() - 1, text.len()];
        lengths.extend((0..20).map(|_| random(text.len())));
        for length in lengths {
            fs::write(part_of(&out), &text[..length]).unwrap();
            posthog.take_requests();
            run(&posthog, args, &out);
            assert!(fs::read(&out).unwrap() == text, "from {length} bytes of {kind}");
            // No earlier page is requested again.
            let header = usize::from(kind == "csv");
            let continues = text[..length].split(|b| *b == b'\n').count() > header + 1;
            let bodies = posthog.requests().into_iter().map(|r| String::from_utf8(r.body).unwrap());
            let pages: Vec<String> = bodies.filter(|body| !body.contains("count()")).collect();
            assert_eq!(pages[0].contains(after), continues, "from {length}: {}", pages[0]);
        }
    };
    thread::scope(|scope| {
        scope.spawn(|| continues("json", &PERSONS, "{scan_after}"));
        scope.spawn(|| continues("csv", &["--csv", "persons"], "{scan_after}"));
        scope.spawn(|| continues("events", &EVENTS, "{events_uuid}"));
    });
}

#[test]
fn every_event_is_written_once_in_order() {
    let (posthog, out) = (StandIn::start(), folder("events").join("events"));
    let errors = run(&posthog, &EVENTS, &out);
    assert!(errors.starts_with("2000 rows, 100 %, "), "{errors}");
    let text = fs::read_to_string(&out).unwrap();
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let uuids: BTreeSet<&str> =
        events.iter().map(|event| event["uuid"].as_str().unwrap()).collect();
    assert_eq!((events.len(), uuids.len()), (2_000, 2_000));
    assert!(events.is_sorted_by_key(|event| event["timestamp"].as_str().unwrap()));
    assert!(events.iter().all(|event| event["properties"]["$browser"] == "Chrome"));
}

#[test]
fn lines_of_another_form_are_neither_continued_nor_changed() {
    let (posthog, out) = (StandIn::start(), folder("other").join("persons"));
    for (args, text) in [
        (&PERSONS[..], "id,created_at,properties\nf801ff9e-9231-56e8-8048-b4ff7c6cb6fd,,\n"),
        (&["--csv", "persons"], "{\"created_at\":\"2026-10-24\",\"id\":\"f801ff9e\"}\nhalf a li"),
        (&PERSONS, "{\"id\":7}\n"),
        (&EVENTS, "uuid,event\n"),
    ] {
        fs::write(part_of(&out), text).unwrap();
        let output = export(&posthog, args, &out).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("persons.part"), "{text}");
        assert_eq!(fs::read_to_string(part_of(&out)).unwrap(), text);
        assert_eq!(posthog.requests().len(), 0);
    }
}
