//! The persons routes: 250 recorded persons, listed, filtered, paged and retrieved as in August 2023.
use super::http::{Answer, Request, invalid};
use super::properties::{self, Refusal, SERVER_ERROR, like};
use super::recordings::{self, Recorded, raw_field};
use super::sql::Table;
use serde_json::Value;

pub(crate) struct Person {
    /// The list item, as the server wrote it.
    pub raw: String,
    pub value: Value,
    /// The properties alone, as they were written.
    pub properties: String,
    /// The integer id of the retrieved person: persons were numbered as they were created.
    pub id: usize,
}

impl Person {
    pub(crate) fn uuid(&self) -> &str {
        self.value["uuid"].as_str().unwrap()
    }

    fn retrieved(&self) -> String {
        let [name, distinct_ids, created_at, uuid] =
            ["name", "distinct_ids", "created_at", "uuid"].map(|field| &self.value[field]);
        let (id, properties) = (self.id, &self.properties);
        format!(
            "{{\"id\":{id},\"name\":{name},\"distinct_ids\":{distinct_ids},\
             \"properties\":{properties},\"created_at\":{created_at},\"uuid\":{uuid}}}"
        )
    }
}

/// The persons of project 1, newest first, which is the list's order.
pub(crate) fn table(recorded: &[Recorded]) -> Vec<Person> {
    let pages = ["persons_walk", "persons_walk__p2", "persons_walk__p3"];
    let bodies = pages.map(|name| &recorded.iter().find(|r| r.name == name).unwrap().body);
    let rows: Vec<_> = bodies.iter().flat_map(|body| recordings::results(body)).collect();
    let count = rows.len();
    let person = |(at, (raw, value)): (usize, (String, Value))| {
        let properties = raw_field(&raw, "properties").to_owned();
        Person { id: count - at, raw, value, properties }
    };
    rows.into_iter().enumerate().map(person).collect()
}

/// The persons as HogQL sees them.
pub(crate) fn rows(persons: &[Person]) -> Table {
    let row = |person: &Person| {
        let [uuid, created, name] = ["uuid", "created_at", "name"].map(|f| person.value[f].clone());
        vec![uuid, created, name, person.properties.clone().into()]
    };
    Table {
        columns: ["id", "created_at", "name", "properties"].map(str::to_owned).to_vec(),
        types: vec!["UUID", "DateTime64(6, 'UTC')", "String", "String"],
        rows: persons.iter().map(row).collect(),
    }
}

/// The list, or the name of a recorded error answer.
pub(crate) fn list(request: &Request, persons: &[Person]) -> Result<Answer, Refusal> {
    let limit = match whole(request, "limit")? {
        0 => 100,
        limit => limit,
    };
    let offset = whole(request, "offset")?;
    let found = matching(request, persons)?;
    if request.param("format").as_deref() == Some("csv") {
        return Ok(csv(&found));
    }
    let page: Vec<&str> = found.iter().skip(offset).take(limit).map(|p| p.raw.as_str()).collect();
    // Set whenever the page is full, so the last page can be empty.
    let next = (page.len() == limit).then(|| link(request, offset + limit));
    // Offset 0 is never written into the link, so the second page's `previous` is itself.
    let previous = (offset > 0).then(|| link(request, offset.saturating_sub(limit)));
    let count = match request.param("include_total").as_deref() {
        Some("true") => format!(",\"count\":{}", found.len()),
        _ => String::new(),
    };
    let body = format!(
        "{{\"results\":[{}],\"next\":{},\"previous\":{}{count}}}",
        page.join(","),
        Value::from(next),
        Value::from(previous)
    );
    Ok(Answer::json(200, &body))
}

fn whole(request: &Request, name: &str) -> Result<usize, Refusal> {
    match request.param(name).as_deref().map(str::trim) {
        None | Some("") => Ok(0),
        Some(number) => number.parse().map_err(|_| SERVER_ERROR),
    }
}

fn matching<'a>(request: &Request, persons: &'a [Person]) -> Result<Vec<&'a Person>, Refusal> {
    let given = |name| request.param(name).filter(|value| !value.is_empty());
    let (search, email) = (given("search"), given("email"));
    let distinct_id = given("distinct_id");
    let filter = properties::filter(&given("properties").unwrap_or_default())?;
    let has = |person: &Person, id: &str| {
        let ids = person.value["distinct_ids"].as_array().unwrap();
        ids.iter().any(|own| own == id)
    };
    let fits = |person: &&Person| {
        let own = person.value["properties"].as_object().unwrap();
        let address = properties::text(own, "email");
        let searched = |text: &String| {
            // A search for `%` must not find persons without an address.
            (!address.is_empty() && like(text, &address))
                || has(person, text)
                || person.uuid() == text
        };
        search.as_ref().is_none_or(searched)
            && email.as_ref().is_none_or(|text| *text == address)
            && distinct_id.as_ref().is_none_or(|id| has(person, id))
            && filter(own)
    };
    Ok(persons.iter().filter(fits).collect())
}

/// The URL of the request with another offset: all other parameters come back, a key included.
fn link(request: &Request, offset: usize) -> String {
    let mut pairs: Vec<String> = request.query().split('&').map(str::to_owned).collect();
    pairs.retain(|pair| !pair.is_empty());
    let new = format!("offset={offset}");
    match pairs.iter_mut().find(|pair| pair.starts_with("offset=")) {
        Some(_) if offset == 0 => {}
        Some(pair) => *pair = new,
        None => pairs.push(new),
    }
    format!("{}{}?{}", origin(request), request.path(), pairs.join("&"))
}

/// The server as the request named it: PostHog trusts these headers, not its configuration.
pub(crate) fn origin(request: &Request) -> String {
    let scheme = request.header("x-forwarded-proto").unwrap_or("http");
    format!("{scheme}://{}", request.header("host").unwrap_or("localhost"))
}

fn csv(persons: &[&Person]) -> Answer {
    let mut body = String::from("created_at,distinct_ids.0,id,name\r\n");
    for person in persons {
        let field = |value: &Value| value.as_str().unwrap_or_default().replace('"', "\"\"");
        let [created, first, uuid, name] = ["/created_at", "/distinct_ids/0", "/uuid", "/name"]
            .map(|at| person.value.pointer(at).map_or(String::new(), field));
        body += &format!("{created},\"{first}\",{uuid},\"{name}\"\r\n");
    }
    Answer::new(200, "Content-Type: text/csv; charset=utf-8\r\n", &body)
}

/// One person by integer id or UUID; a distinct id is a 400 that names the right route.
pub(crate) fn retrieve(key: &str, persons: &[Person]) -> Result<Answer, Refusal> {
    let bare = key.to_lowercase().replace('-', "");
    let is_uuid = bare.len() == 32 && bare.bytes().all(|b| b.is_ascii_hexdigit());
    let found = match key.parse::<usize>() {
        Ok(id) => persons.iter().find(|p| p.id == id),
        Err(_) if is_uuid => persons.iter().find(|p| p.uuid().replace('-', "") == bare),
        Err(_) => {
            return Ok(invalid(&format!(
                "The ID provided does not look like a personID. If you are using a distinctId, \
                 please use /persons?distinct_id={key} instead."
            )));
        }
    };
    let found = found.ok_or("person_missing_id")?;
    Ok(Answer::json(200, &found.retrieved()))
}
