//! Prints an insight: a number, lines, a funnel, a table, or what else it shows.
//!
//! ```console
//! $ cargo run --example insight -- VdpVGSw3             # a short id, a number, or the address in the browser
//! $ cargo run --example insight -- --refresh VdpVGSw3   # waits until PostHog has computed it, unless its result is fresh
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
use posthog_api::{Error, ErrorKind, Project, Result, aggregated_value, display_text, read};
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
            // Without its hint, which can name functions of the crate.
            let advice = match error.kind() {
                ErrorKind::NotComputed | ErrorKind::Running => "; use --refresh",
                _ => "",
            };
            eprintln!("{}{advice}", error.message());
            ExitCode::from(exit_code(&error))
        }
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

fn show(id: &str, refresh: bool) -> Result<String> {
    let project = Project::from_env()?;
    let insight = if refresh { project.insight_computed(id)? } else { project.insight(id)? };
    Ok(match read(&insight)? {
        // One number alone, for scripts; an error explains why there is none.
        InsightResult::Totals(totals) if totals.len() == 1 => {
            format!("{}\n", aggregated_value(&insight)?)
        }
        InsightResult::Totals(totals) => align(totals.iter().map(|total| {
            vec![
                name(&total.label, total.breakdown.as_ref(), total.compare.as_deref()),
                number(total.value),
            ]
        })),
        InsightResult::Series(lines) => align(lines.iter().map(|line| {
            let last = line.data.last().copied().flatten();
            let name = name(&line.label, line.breakdown.as_ref(), line.compare.as_deref());
            vec![name, sparkline(&line.data), number(last)]
        })),
        InsightResult::Funnel(steps) => align(steps.iter().map(|step| {
            let percent = format!("{:.1} %", step.conversion * 100.0);
            vec![name(&step.name, step.breakdown.as_ref(), None), step.count.to_string(), percent]
        })),
        InsightResult::Retention(cohorts) => align(cohorts.iter().map(|cohort| {
            let values = cohort.values.iter().copied().map(number);
            let name = name(&cohort.label, cohort.breakdown.as_ref(), None);
            [name, cohort.date.clone()].into_iter().chain(values).collect()
        })),
        InsightResult::Paths(edges) => align(edges.iter().map(|edge| {
            vec![edge.source.clone(), "->".to_owned(), edge.target.clone(), number(edge.value)]
        })),
        InsightResult::TimeToConvert(times) => align(times.bins.iter().map(|(from, count)| {
            let from = format!("from {from:.0} s");
            vec![from, number(*count)]
        })),
        InsightResult::Table(table) => {
            let text =
                |row: &Vec<Value>| row.iter().map(|v| display_text(v).into_owned()).collect();
            align([table.columns].into_iter().chain(table.rows.iter().map(text)))
        }
        _ => format!("{:#}\n", insight["result"]),
    })
}

/// A label often ends in the value of the breakdown.
fn name(label: &str, breakdown: Option<&Value>, compare: Option<&str>) -> String {
    let breakdown = breakdown.map(display_text).filter(|text| !label.ends_with(&**text));
    let parts = [Some(label), breakdown.as_deref(), compare];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn number(value: Option<f64>) -> String {
    value.map_or("-".to_owned(), |value| value.to_string())
}

fn sparkline(data: &[Option<f64>]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let low = data.iter().flatten().copied().fold(0.0, f64::min);
    let high = data.iter().flatten().copied().fold(f64::MIN_POSITIVE, f64::max);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // from 0 to 7
    let bar = |value: f64| BARS[((value - low) / (high - low) * 7.0).round() as usize];
    data.iter().map(|value| value.map_or(' ', bar)).collect()
}

/// Lines with aligned columns. Control characters are left out, because a terminal obeys them, and
/// any visitor of a site can send them.
fn align(rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let clean = |cell: &String| -> String {
        let mut text: String = cell.replace(char::is_control, " ");
        if let Some((end, _)) = text.char_indices().nth(60) {
            text.replace_range(end.., "…");
        }
        text
    };
    let rows: Vec<Vec<String>> =
        rows.into_iter().map(|row| row.iter().map(clean).collect()).collect();
    let mut widths = vec![0; rows.iter().map(Vec::len).max().unwrap_or(0)];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| match cell.parse::<f64>() {
            Ok(_) => format!("{cell:>width$}"),
            Err(_) => format!("{cell:width$}"),
        });
        text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
    }
    text
}
