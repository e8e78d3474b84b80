//! Prints an insight: a number, lines, a funnel, a table, or what else it shows.
//!
//! ```console
//! $ cargo run --example insight -- VdpVGSw3             # a short id, a number, or the address in the browser
//! $ cargo run --example insight -- --refresh VdpVGSw3   # PostHog computes it, unless its result is fresh
//! ```
//!
//! It needs `POSTHOG_PERSONAL_API_KEY` with the scope `insight:read`, `POSTHOG_PROJECT_ID`, and
//! `POSTHOG_HOST` for any host but the US cloud.
//!
//! Exit codes: 0; 2 wrong use or configuration; 3 the key may not do this; 4 not found; 5 not
//! computed yet; 6 no answer in time; 1 anything else.

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;

use posthog_api::insight::InsightResult;
use posthog_api::{Error, Project, Refresh, Result, aggregated_value, display_text, read};
use serde_json::Value;

fn main() -> ExitCode {
    let (flags, ids): (Vec<_>, Vec<_>) = env::args().skip(1).partition(|a| a.starts_with('-'));
    let refresh = flags.iter().all(|flag| flag == "--refresh") && !flags.is_empty();
    let ([id], true) = (ids.as_slice(), refresh || flags.is_empty()) else {
        eprintln!("usage: insight [--refresh] ID");
        return ExitCode::from(2);
    };
    match show(id, refresh) {
        Ok(text) => {
            // A reader such as `head` may stop early.
            let _ = io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(exit_code(&error))
        }
    }
}

fn exit_code(error: &Error) -> u8 {
    match error {
        Error::Config(_) => 2,
        _ if error.is_unauthenticated() || error.is_permission_denied() => 3,
        _ if error.is_not_found() => 4,
        _ if error.is_not_computed() || error.is_running() => 5,
        Error::Transport(_) | Error::Timeout(_) => 6,
        _ => 1,
    }
}

fn show(id: &str, refresh: bool) -> Result<String> {
    let project = Project::from_env()?;
    let insight = if refresh {
        project.insight_refreshed(id, Refresh::Blocking)?
    } else {
        project.insight(id)?
    };
    Ok(match read(&insight)? {
        // One number alone, for scripts; an error explains why there is none.
        InsightResult::Totals(totals) if totals.len() == 1 => {
            format!("{}\n", aggregated_value(&insight)?)
        }
        InsightResult::Totals(totals) => align(totals.iter().map(|total| {
            vec![name(&total.label, &total.breakdown, &total.compare), number(total.value)]
        })),
        InsightResult::Series(lines) => align(lines.iter().map(|line| {
            let last = line.data.last().copied().flatten();
            let name = name(&line.label, &line.breakdown, &line.compare);
            vec![name, sparkline(&line.data), number(last)]
        })),
        InsightResult::Funnel(steps) => align(steps.iter().map(|step| {
            let percent = format!("{:.1} %", step.conversion * 100.0);
            vec![name(&step.name, &step.breakdown, &None), step.count.to_string(), percent]
        })),
        InsightResult::Retention(cohorts) => align(cohorts.iter().map(|cohort| {
            let values = cohort.values.iter().copied().map(number);
            let name = name(&cohort.label, &cohort.breakdown, &None);
            [name, cohort.date.clone()].into_iter().chain(values).collect()
        })),
        InsightResult::Paths(edges) => align(edges.iter().map(|edge| {
            vec![edge.source.clone(), "->".to_owned(), edge.target.clone(), number(edge.value)]
        })),
        InsightResult::TimeToConvert(times) => align(
            times.bins.iter().map(|(from, count)| vec![format!("{from:.0} s"), number(*count)]),
        ),
        InsightResult::Table(table) => {
            let text =
                |row: &Vec<Value>| row.iter().map(|v| display_text(v).into_owned()).collect();
            align([table.columns].into_iter().chain(table.rows.iter().map(text)))
        }
        other => format!("{other:#?}\n"),
    })
}

fn name(label: &str, breakdown: &Option<Value>, compare: &Option<String>) -> String {
    let breakdown = breakdown.as_ref().map(|value| format!(", {}", display_text(value)));
    let compare = compare.as_ref().map(|period| format!(", {period}"));
    format!("{label}{}{}", breakdown.unwrap_or_default(), compare.unwrap_or_default())
}

fn number(value: Option<f64>) -> String {
    value.map_or("-".to_owned(), |value| value.to_string())
}

fn sparkline(data: &[Option<f64>]) -> String {
    let most = data.iter().flatten().fold(f64::MIN_POSITIVE, |most, value| most.max(*value));
    let bar = |value: &Option<f64>| match value {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // from 0 to 7
        Some(value) => {
            ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'][(value.max(0.0) / most * 7.0).round() as usize]
        }
        None => ' ',
    };
    data.iter().map(bar).collect()
}

/// Rows as lines with aligned columns. Control characters are left out: any visitor of a site can
/// write what a terminal would obey.
fn align(rows: impl Iterator<Item = Vec<String>>) -> String {
    let rows: Vec<Vec<String>> = rows
        .map(|row| row.iter().map(|cell| cell.replace(char::is_control, " ")).collect())
        .collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let line = |row: &Vec<String>| {
        let cells = row.iter().enumerate().map(|(column, cell)| {
            let width = width(column);
            if cell.parse::<f64>().is_ok() {
                format!("{cell:>width$}")
            } else {
                format!("{cell:width$}")
            }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}
