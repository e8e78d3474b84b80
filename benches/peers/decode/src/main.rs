//! `decode`: milliseconds for all persons, read as text without a decode, by `items`, and by `items_as` into a small struct.

use std::time::Instant;

use posthog_api::{Project, Result};
use serde::Deserialize;

#[derive(Deserialize)]
struct Person {
    properties: Properties,
}

#[derive(Deserialize)]
struct Properties {
    age: u64,
}

fn main() -> Result<()> {
    let project = Project::from_env()?;
    let (_, text) = timed(|| text(&project))?;
    let (ages, items) = timed(|| items(&project))?;
    let (typed_ages, typed) = timed(|| typed(&project))?;
    assert_eq!(ages, typed_ages);
    println!("{text} {items} {typed}");
    Ok(())
}

fn timed(job: impl Fn() -> Result<u64>) -> Result<(u64, f64)> {
    let start = Instant::now();
    Ok((job()?, start.elapsed().as_secs_f64() * 1e3))
}

fn text(project: &Project) -> Result<u64> {
    // The project's id is its number of pages.
    (0..project.id()).try_fold(0, |bytes, page| {
        let request = project.get("persons/").param("limit", 1_000).param("offset", page * 1_000);
        Ok(bytes + request.text()?.len() as u64)
    })
}

fn items(project: &Project) -> Result<u64> {
    project
        .persons()
        .items()
        .try_fold(0, |ages, person| Ok(ages + person?["properties"]["age"].as_u64().unwrap_or(0)))
}

fn typed(project: &Project) -> Result<u64> {
    project
        .persons()
        .items_as::<Person>()
        .try_fold(0, |ages, person| Ok(ages + person?.properties.age))
}
