//! Redirects: which are followed, and to where.

use percent_encoding::percent_decode_str;

use super::Core;
use super::params::Params;
use super::request::{Effect, Request};
use super::transport::Answer;
use super::url::{Base, checked_path, origin};
use crate::error::{Error, ErrorKind, Result, excerpt};

const MAX_REDIRECTS: u32 = 5;

/// Sends the request to the place where a redirect points, if that is within the origin and the
/// request can be sent there unchanged.
pub(super) fn follow(request: &mut Request, answer: &Answer, count: u32) -> Result<()> {
    let location = answer.header("location").unwrap_or_default();
    next(request, answer.status, location, count).map_err(|why| {
        let key = &request.http.core.key;
        let shown = excerpt(&key.mask(location));
        let status = answer.status;
        let message = format!("{status} redirect to '{shown}' was not followed: {why}");
        let error = Error::from_text(ErrorKind::Redirect, &message).with_location(location);
        // A 303 leads to the answer of a write that was done.
        error.done(status == 303).with_answer(answer.for_error(&|text| key.shown(text)))
    })
}

fn next(
    request: &mut Request,
    status: u16,
    location: &str,
    count: u32,
) -> std::result::Result<(), String> {
    let Core { base, key, .. } = &*request.http.core;
    if count > MAX_REDIRECTS {
        return Err(format!("there were more than {MAX_REDIRECTS} redirects"));
    }
    if location.is_empty() {
        return Err("it has no Location header".to_owned());
    }
    if matches!(status, 301 | 302) && request.method != "GET" {
        let method = request.method;
        return Err(format!("the {method} and its body would be lost; call the new path yourself"));
    }
    let from = format!("{}{}", base.prefix, request.path);
    let (to, mut params) = target(base, &from, location).ok_or_else(|| {
        let origin = &base.origin.text;
        format!("the key is sent to {origin} only: if the other place is yours, set it as the host")
    })?;
    if key.is_in(&to) || params.contain(key) {
        return Err("it contains the key, which would be visible there".to_owned());
    }
    let path = match to.strip_prefix(base.prefix.as_str()) {
        Some(within) if within.starts_with('/') => within.to_owned(),
        _ => return Err(format!("it leaves the sub-path {} of the host", base.prefix)),
    };
    if let Some(here) = project(&request.path).filter(|here| here != "@current") {
        match project(&path) {
            Some(there) if there == here => {}
            Some(_) => return Err("it leads to another project".to_owned()),
            None => return Err("it leads out of the project".to_owned()),
        }
    }
    params.keep(&request.params, &[]).map_err(|name| {
        format!("it changes the parameter {:?}: the answer would be different", excerpt(&name))
    })?;
    let mut there = request.clone();
    (there.path, there.params) = (path, params);
    if status == 303 && request.method != "GET" {
        (there.method, there.effect, there.body) = ("GET", Effect::Done, None);
    }
    there.url().map_err(|_| "it is longer than a URL can be")?;
    *request = there;
    Ok(())
}

/// The project or environment that a path names, in any of the ways in which servers read it.
fn project(path: &str) -> Option<String> {
    let path = percent_decode_str(path).decode_utf8_lossy().to_ascii_lowercase();
    let mut segments = path.split('/').filter(|segment| !segment.is_empty());
    let is_api = segments.next()? == "api";
    let kind = segments.next()?;
    let kinds = ["project", "projects", "environment", "environments"];
    segments.next().filter(|_| is_api && kinds.contains(&kind)).map(str::to_owned)
}

/// Path and parameters of a location within the origin; `None` for any other.
fn target(base: &Base, from: &str, location: &str) -> Option<(String, Params)> {
    let location = location.trim();
    let location = location.split_once('#').map_or(location, |(location, _)| location);
    let (target, query) = location.split_once('?').unwrap_or((location, ""));
    let path = if let Some((scheme, rest)) = target.split_once("://") {
        within(base, scheme, rest)?
    } else if let Some(rest) = target.strip_prefix("//") {
        within(base, if base.origin.https { "https" } else { "http" }, rest)?
    } else if target.starts_with('/') {
        target.to_owned()
    } else if target.is_empty() {
        from.to_owned()
    } else {
        let folder = from.rfind('/').and_then(|at| from.get(..=at)).unwrap_or("/");
        format!("{folder}{target}")
    };
    let params = Params::of_link(&format!("?{query}")).unwrap_or_default();
    Some((checked_path(&path).ok()?, params))
}

/// The path of a URL whose origin is that of `base`.
fn within(base: &Base, scheme: &str, rest: &str) -> Option<String> {
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let there = origin(scheme, authority)?;
    let path = if path.is_empty() { "/" } else { path };
    (there.text == base.origin.text).then(|| path.to_owned())
}

#[cfg(test)]
mod tests;
