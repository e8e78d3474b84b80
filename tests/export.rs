//! Proves that a killed export continues where it was, with every person once.

mod standin;
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use posthog_api::ureq::{Agent, http};
use serde_json::Value;
use standin::StandIn;
use support::{Act, KEY, Request, Server, agent};

/// The example beside this test, which `cargo test` has built.
fn export(out: &Path) -> Command {
    let deps = std::env::current_exe().unwrap();
    let target = deps.parent().and_then(Path::parent).unwrap();
    let example =
        target.join("examples").join(format!("export_persons{}", std::env::consts::EXE_SUFFIX));
    assert!(example.exists(), "{} is not built: cargo test --examples", example.display());
    let mut command = Command::new(example);
    command.env_remove("POSTHOG_PERSONAL_API_KEY").arg("--out").arg(out);
    command
}

/// Runs it to its end. Nobody sees its standard error on a terminal here, so it has nothing to say.
fn runs(command: &mut Command) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// A proxy in front of the stand-in. It passes some requests on, and holds the next ones until it is
/// opened.
struct Gate {
    server: Server,
    asked: Arc<AtomicUsize>,
    open: Arc<AtomicBool>,
}

impl Gate {
    fn start(through: usize) -> Gate {
        let (asked, open) = (Arc::default(), Arc::default());
        let (counter, opened) = (Arc::clone(&asked), Arc::clone(&open));
        let posthog = StandIn::start();
        let agent = agent();
        let server = Server::start(move |request, _| {
            if AtomicUsize::fetch_add(&counter, 1, SeqCst) >= through {
                wait_for(|| AtomicBool::load(&opened, SeqCst));
            }
            pass_on(&agent, &posthog, request)
        });
        Gate { server, asked, open }
    }
}

/// A failed test leaves no request waiting.
impl Drop for Gate {
    fn drop(&mut self) {
        self.open.store(true, SeqCst);
    }
}

fn pass_on(agent: &Agent, posthog: &StandIn, request: &Request) -> Act {
    let url = format!("{}{}", posthog.url(), request.target);
    let passed = http::Request::post(url)
        .header("Authorization", format!("Bearer {}", standin::KEY))
        .header("Content-Type", "application/json")
        .body(request.body.clone())
        .unwrap();
    let mut answer = agent.run(passed).unwrap();
    Act::status(200).body("application/json", answer.body_mut().read_to_string().unwrap())
}

fn wait_for(what: impl Fn() -> bool) {
    let started = Instant::now();
    while !what() {
        assert!(started.elapsed() < Duration::from_secs(30), "it never came");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_killed_export_continues_where_it_was() {
    let folder = folder("killed");
    let (whole, killed) = (folder.join("whole"), folder.join("killed"));
    runs(&mut export(&whole));
    let whole = fs::read_to_string(whole).unwrap();
    let persons: Vec<Value> =
        whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(persons.iter().all(|person| person["properties"].is_object()));
    let ids: BTreeSet<&str> = persons.iter().map(|p| p["id"].as_str().unwrap()).collect();
    assert_eq!((persons.len(), ids.len()), (250, 250));

    // Killed as it waits for its 31st page of five.
    let gate = Gate::start(30);
    let by_fives = || {
        let mut command = export(&killed);
        command
            .env("POSTHOG_PERSONAL_API_KEY", KEY)
            .env("POSTHOG_HOST", gate.server.url())
            .env("POSTHOG_PROJECT_ID", "1")
            .args(["--page", "5"]);
        for proxy in ["ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY"] {
            command.env_remove(proxy).env_remove(proxy.to_lowercase());
        }
        command
    };
    let mut running = by_fives().spawn().unwrap();
    wait_for(|| gate.asked.load(SeqCst) == 31);
    running.kill().unwrap();
    running.wait().unwrap();
    let written = fs::read_to_string(&killed).unwrap();
    let lines = written.matches('\n').count();
    assert!(whole.starts_with(&written) && (1..=150).contains(&lines), "{lines} lines");

    gate.open.store(true, SeqCst);
    runs(by_fives().arg("--resume"));
    assert_eq!(fs::read_to_string(&killed).unwrap(), whole);
    // The pages after the last complete line, and the empty one. No earlier page comes again.
    let pages = (250 - lines).div_ceil(5) + 1;
    assert_eq!(gate.asked.load(SeqCst), 31 + pages);
}

#[test]
fn an_incomplete_last_line_is_written_again() {
    let folder = folder("torn");
    for kind in [&[][..], &["--csv"]] {
        let (whole, torn) = (folder.join("whole"), folder.join("torn"));
        runs(export(&whole).args(kind));
        let text = fs::read(&whole).unwrap();
        for keep in [0, 1, 10, text.len() / 2, text.len() - 1, text.len()] {
            fs::write(&torn, &text[..keep]).unwrap();
            runs(export(&torn).args(kind).arg("--resume"));
            assert!(fs::read(&torn).unwrap() == text, "torn at {keep} of {}", text.len());
        }
        fs::remove_file(whole).unwrap();
    }
}
