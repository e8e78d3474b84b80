//! The table of recordings: how each is requested, and what its answer means.

use std::fmt;

use posthog_api::{Auth, Error, Page};
use serde_json::Value;

use crate::ask::Ask;
use crate::check;
use crate::standin::recordings::{self, Recorded};
use crate::standin::{self, Replay};

/// What a call returned.
pub enum Got {
    Json(Value),
    Page(Page),
    /// The one row of a list.
    Row(Value),
    Found(Option<Value>),
    Text(String),
}

pub type Asked = Result<Got, Error>;

/// What an answer means.
#[derive(Clone, Copy, PartialEq)]
pub enum Means {
    /// The value, the page, the one row or the text that the body holds.
    Body,
    /// A page behind which more come, though the body has no word for it.
    More,
    /// A 2xx without a body.
    Nothing,
    /// An error with the fields of the body, of this class.
    Refused(Class),
    /// A list without the row that was looked for.
    Absent,
    /// A 2xx that cannot be read; the message has this key word.
    Unreadable(&'static str),
}

/// What a program can find out about an error status.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Class {
    Other,
    /// The key is missing or wrong.
    Key,
    Forbidden,
    Missing,
    /// Too many requests; the number of seconds to wait, if the answer says it.
    Throttled(Option<u64>),
    /// The URL is too long for the server.
    TooLong,
}

pub struct Row {
    pub year: &'static str,
    pub name: &'static str,
    ask: Ask,
    means: Means,
    /// Why the request differs from the recorded one. The answer is read all the same.
    differs: Option<&'static str>,
}

#[derive(Default)]
pub struct Table {
    pub rows: Vec<Row>,
    /// Recordings that have tests of their own.
    pub apart: Vec<(&'static str, &'static str)>,
}

impl Table {
    /// Adds recordings of these years that are requested in the same way and mean the same.
    pub fn add(&mut self, years: &'static str, means: Means, ask: Ask, names: &'static str) {
        self.push(years, means, ask, names, None);
    }

    /// The same where the crate cannot send, or refuses to send, the recorded request.
    pub fn add_different(
        &mut self,
        reason: &'static str,
        years: &'static str,
        means: Means,
        ask: Ask,
        names: &'static str,
    ) {
        self.push(years, means, ask, names, Some(reason));
    }

    fn push(
        &mut self,
        years: &'static str,
        means: Means,
        ask: Ask,
        names: &'static str,
        differs: Option<&'static str>,
    ) {
        for year in years.split(' ') {
            let names = names.split_whitespace();
            self.rows.extend(names.map(|name| Row { year, name, ask, means, differs }));
        }
    }

    pub fn apart(&mut self, year: &'static str, names: &'static str) {
        self.apart.extend(names.split_whitespace().map(|name| (year, name)));
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.year, self.name)
    }
}

impl Row {
    pub fn recorded(&self) -> &'static Recorded {
        recordings::one(self.year, self.name)
    }

    /// Requests the recording and checks the request and what the call returned.
    pub fn check(&self) {
        let recorded = self.recorded();
        let replay = Replay::recorded(&[recorded]);
        let what = self.to_string();
        let client = standin::client_builder(&replay.url()).auth(auth(recorded)).build().unwrap();
        let got = (self.ask)(&client, recorded);
        let requests = replay.requests();
        if self.differs.is_none() {
            check::request(&requests[0], recorded);
        }
        match (self.means, got) {
            (Means::Body, Ok(got)) => check::body(got, recorded, &what),
            (Means::More, Ok(Got::Page(page))) => {
                check::page(&page, &check::json_of(recorded), true, &what);
            }
            (Means::Nothing, Ok(Got::Json(value))) => {
                assert_eq!((value, recorded.body.len()), (Value::Null, 0), "{what}");
            }
            (Means::Absent, Err(error)) => check::absent(&error, &what),
            (Means::Refused(class), Err(error)) => check::refused(&error, recorded, class, &what),
            (Means::Unreadable(word), Err(error)) => {
                check::unreadable(&error, recorded, word, &what);
            }
            (_, Ok(_)) => panic!("{what}: an answer"),
            (_, Err(error)) => panic!("{what}: {error}"),
        }
    }

    /// The error that the call returns.
    pub fn error(&self) -> Error {
        let recorded = self.recorded();
        let replay = Replay::recorded(&[recorded]);
        match (self.ask)(&standin::client(&replay.url()), recorded) {
            Err(error) => error,
            Ok(_) => panic!("{self}: an answer"),
        }
    }
}

/// Where the recorded request has the key.
fn auth(recorded: &Recorded) -> Auth {
    const NAME: &str = "personal_api_key";
    let in_body = recorded.request_body.as_deref().is_some_and(|body| body.contains(NAME));
    if in_body {
        Auth::Body
    } else if recorded.params().iter().any(|(name, _)| name == NAME) {
        Auth::Query
    } else {
        Auth::Bearer
    }
}
