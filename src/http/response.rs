//! The answer to a request: a 2xx, with its status, headers and body.

use serde::de::DeserializeOwned;

use super::request::Request;
use super::transport::Answer;
use super::{Key, debug, json};
use crate::error::{Error, Result};

/// The answer to a request, from [`Request::response`](crate::Request::response). Its status is
/// always a 2xx.
pub struct Response {
    pub(super) request: Request,
    pub(super) answer: Answer,
}

debug!(Response, |it| it.request.http, method: it.request.method, path: it.request.path,
    status: it.answer.status, bytes: it.answer.body.len());

impl Response {
    /// The HTTP status, from 200 to 299.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.answer.status
    }

    /// The value of a header, by its name in any case. `None` if it is absent or not ASCII.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.answer.header(name)
    }

    /// Reads the body as JSON; an empty one is read as `null`. Numbers stay exact, and `NaN` and
    /// `Infinity` are read as null.
    ///
    /// # Errors
    /// [`Decode`](crate::ErrorKind::Decode) where the body is not JSON, or not a `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        if self.answer.is_complete() {
            json::decode(self.body()).map_err(|e| {
                let error = self.unreadable(&e.to_string());
                let kind = self.content_type();
                let texts = ["jsonl", "ndjson", "csv", "text/plain"];
                if texts.iter().any(|text| kind.contains(text)) {
                    error.with_hint("read it with text()")
                } else {
                    error
                }
            })
        } else {
            Err(self.unreadable("the answer has no length and is not complete JSON: it may be cut"))
        }
    }

    /// Reads the body as text, such as CSV.
    ///
    /// # Errors
    /// [`Decode`](crate::ErrorKind::Decode) where the body is a web page, is not UTF-8, or has no
    /// length, so that nothing shows whether it is complete.
    pub fn text(mut self) -> Result<String> {
        self.check_whole()?;
        if self.content_type().contains("utf-16") {
            return Err(self.unreadable("the answer is UTF-16: only UTF-8 can be read"));
        }
        String::from_utf8(std::mem::take(&mut self.answer.body)).map_err(|e| {
            let why = e.to_string();
            self.answer.body = e.into_bytes();
            self.unreadable(&why)
        })
    }

    pub(crate) fn into_body(self) -> Vec<u8> {
        self.answer.body
    }

    /// Returns the body as it came, such as a file.
    ///
    /// # Errors
    /// [`Decode`](crate::ErrorKind::Decode) where the body is a web page, or has no length, so that
    /// nothing shows whether it is complete.
    pub fn bytes(self) -> Result<Vec<u8>> {
        self.check_whole()?;
        Ok(self.answer.body)
    }

    /// Whether the body is complete, and not a web page in place of what was asked for.
    fn check_whole(&self) -> Result<()> {
        let kind = self.content_type();
        let media_type = kind.split(';').next().unwrap_or_default().trim();
        if ["text/html", "application/xhtml+xml"].contains(&media_type) || is_web_page(self.body())
        {
            return Err(self.unreadable("the answer is a web page"));
        }
        if !self.answer.framed {
            return Err(self.unreadable("the answer has no length: it may be cut"));
        }
        Ok(())
    }

    /// In small letters.
    fn content_type(&self) -> String {
        self.header("content-type").unwrap_or_default().to_ascii_lowercase()
    }

    pub(crate) fn body(&self) -> &[u8] {
        &self.answer.body
    }

    pub(crate) fn key(&self) -> &Key {
        &self.request.http.core.key
    }

    pub(crate) fn unreadable(&self, message: &str) -> Error {
        let key = self.key();
        let answer = self.answer.for_error(&|text| key.shown(text));
        self.request.error(Error::of_unusable(message, answer))
    }
}

/// Whether a body begins like a web page, whatever its type says.
fn is_web_page(body: &[u8]) -> bool {
    let mut body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii_start();
    while let Some(comment) = body.strip_prefix(b"<!--") {
        let Some(end) = comment.windows(3).position(|end| end == b"-->") else { break };
        body = comment.get(end + 3..).unwrap_or_default().trim_ascii_start();
    }
    let begins = |tag: &str| {
        let start = body.get(..tag.len()).is_some_and(|s| s.eq_ignore_ascii_case(tag.as_bytes()));
        start && body.get(tag.len()).is_none_or(|byte| !byte.is_ascii_alphanumeric())
    };
    ["<!doctype html", "<html", "<head", "<body"].into_iter().any(begins)
}
