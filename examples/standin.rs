//! A small PostHog on this machine, to try programs on. It needs no key and no network.
//!
//! ```console
//! $ cargo run --example standin                                      # serves until it is stopped
//! $ cargo run --example standin -- cargo run --example insight -- 42 # serves while a command runs
//! ```
//!
//! A command gets `POSTHOG_HOST`, `POSTHOG_PERSONAL_API_KEY` and `POSTHOG_PROJECT_ID` in its
//! environment. Without a command, they are printed as shell code.

use std::env;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let posthog = stand_in::StandIn::start();
    let url = posthog.url();
    let variables = [
        ("POSTHOG_HOST", url.as_str()),
        ("POSTHOG_PERSONAL_API_KEY", stand_in::KEY),
        ("POSTHOG_PROJECT_ID", "1"),
    ];
    let mut args = env::args_os().skip(1);
    let Some(program) = args.next() else {
        for (name, value) in variables {
            println!("export {name}={value}");
        }
        loop {
            std::thread::park();
        }
    };
    match Command::new(&program).args(args).envs(variables).status() {
        // A command that a signal stopped has no code.
        Ok(status) => {
            ExitCode::from(status.code().and_then(|code| code.try_into().ok()).unwrap_or(1))
        }
        Err(error) => {
            eprintln!("{}: {error}", program.to_string_lossy());
            ExitCode::FAILURE
        }
    }
}
