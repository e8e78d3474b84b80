//! Proves that an export which was killed goes on where it was, with every person once.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// The example beside this test, which `cargo test` has built.
fn export(out: &Path) -> Command {
    let deps = std::env::current_exe().unwrap();
    let target = deps.parent().and_then(Path::parent).unwrap();
    let example = target
        .join("examples")
        .join(format!("export_persons{}", std::env::consts::EXE_SUFFIX));
    assert!(
        example.exists(),
        "{} is not built: cargo test --examples",
        example.display()
    );
    let mut command = Command::new(example);
    command
        .env_remove("POSTHOG_PERSONAL_API_KEY")
        .arg("--out")
        .arg(out);
    command
}

fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn a_killed_export_goes_on_where_it_was() {
    let folder = folder("killed");
    let (whole, killed) = (folder.join("whole"), folder.join("killed"));
    assert!(export(&whole).status().unwrap().success());
    let whole = fs::read_to_string(whole).unwrap();
    assert_eq!(whole.lines().collect::<BTreeSet<_>>().len(), 250);

    // A page a person makes it slow enough to be met halfway.
    let mut running = export(&killed).args(["--page", "1"]).spawn().unwrap();
    let started = Instant::now();
    while fs::metadata(&killed).map_or(0, |file| file.len()) == 0 {
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "nothing was written"
        );
        thread::sleep(Duration::from_millis(1));
    }
    running.kill().unwrap();
    running.wait().unwrap();
    let halfway = fs::read_to_string(&killed).unwrap();
    assert!(
        !halfway.is_empty() && halfway.len() < whole.len(),
        "it was killed at {} bytes",
        halfway.len()
    );

    assert!(export(&killed).arg("--resume").status().unwrap().success());
    assert_eq!(fs::read_to_string(&killed).unwrap(), whole);
}

#[test]
fn a_torn_last_line_is_written_anew() {
    let folder = folder("torn");
    for kind in [&[][..], &["--csv"]] {
        let (whole, torn) = (folder.join("whole"), folder.join("torn"));
        assert!(export(&whole).args(kind).status().unwrap().success());
        let text = fs::read(&whole).unwrap();
        for keep in [0, 1, 10, text.len() / 2, text.len() - 1, text.len()] {
            fs::write(&torn, &text[..keep]).unwrap();
            assert!(
                export(&torn)
                    .args(kind)
                    .arg("--resume")
                    .status()
                    .unwrap()
                    .success()
            );
            assert!(
                fs::read(&torn).unwrap() == text,
                "torn at {keep} of {}",
                text.len()
            );
        }
        fs::remove_file(whole).unwrap();
    }
}
