//! Hosts, paths and whole URLs: their rules.

use std::net::{IpAddr, Ipv6Addr};

use percent_encoding::{
    AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode, percent_encode_byte,
};

use crate::error::{Error, Result, excerpt};

/// PostHog's cloud in the United States.
pub const US: &str = "https://us.posthog.com";
/// PostHog's cloud in the European Union.
pub const EU: &str = "https://eu.posthog.com";

/// The longest URL that the HTTP layer can hold.
const MAX_URL: usize = 65_534;

/// The longest query of a list: a URL has room for it, a host and a path.
pub(crate) const MAX_QUERY: usize = MAX_URL - 1_000;

/// All but the unreserved characters of RFC 3986.
pub(super) const VALUE: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

fn config<T>(message: impl Into<String>) -> Result<T> {
    Err(Error::config(message.into()))
}

/// The scheme, host and port of a URL.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    /// `scheme://host[:port]`, lower case, without the scheme's own port.
    pub(crate) text: String,
    pub(crate) https: bool,
    /// A name, or an address without brackets.
    host: String,
}

impl Origin {
    /// Whether the host is a name that must be looked up, not an address.
    pub(crate) fn is_named(&self) -> bool {
        self.host.parse::<IpAddr>().is_err()
    }

    pub(crate) fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

/// The configured server: the key is sent to it only.
#[derive(Debug, Clone)]
pub(crate) struct Base {
    pub(crate) origin: Origin,
    /// The sub-path under which PostHog is served, without a slash at its end; usually empty.
    pub(crate) prefix: String,
}

impl Base {
    /// Reads a caller's host.
    pub(crate) fn parse(host: &str, allow_http: bool) -> Result<Base> {
        let url = host.trim();
        if url.is_empty() {
            return config("the host is empty; give posthog_api::US, EU or your own https://...");
        }
        let Some((scheme, rest)) = url.split_once("://") else {
            return config("the host has no scheme; begin it with https://");
        };
        if rest.contains(['?', '#']) {
            return config("the host has a query or a fragment; end it with its port or sub-path");
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if authority.contains('@') {
            return config("the host contains a user or a password; give Client::builder the key");
        }
        let Some(origin) = origin(scheme, authority) else {
            let hint =
                "write http:// or https://, a name or an address, and a port from 1 to 65535";
            return config(format!("the host {:?} is not valid; {hint}", excerpt(url)));
        };
        let name = &origin.host;
        if let Some(region) = name.trim_end_matches('.').strip_suffix(".i.posthog.com") {
            let right = if region.starts_with("eu") { EU } else { US };
            let why = "is PostHog's address for sending events; for the private API use";
            return config(format!("{name} {why} {right}"));
        }
        if matches!(name.trim_end_matches('.'), "posthog.com" | "www.posthog.com") {
            return config(format!("{name} is PostHog's website; use {US} or {EU}"));
        }
        if !origin.https && !allow_http && !origin.is_loopback() {
            let why = "would send the key unencrypted; use https, or allow_http(true)";
            return config(format!("plain http to {name} {why}"));
        }
        let path = path.trim_end_matches('/');
        if names_a_project(path) {
            return config(
                "the host has the path of a project; give its number to Client::project",
            );
        }
        if path.rsplit('/').next().is_some_and(|last| last.eq_ignore_ascii_case("api")) {
            return config("the host ends with /api; leave that out: each path begins with it");
        }
        let prefix = if path.is_empty() { String::new() } else { checked_path(path)? };
        Ok(Base { origin, prefix })
    }
}

/// Whether a path was copied from the address of a project, such as `/project/1/insights`.
fn names_a_project(path: &str) -> bool {
    let mut segments = path.split('/');
    let found = segments.any(|segment| matches!(segment, "project" | "projects"));
    let id = segments.next().unwrap_or_default();
    found && id.bytes().all(|b| b.is_ascii_digit())
}

pub(super) fn origin(scheme: &str, authority: &str) -> Option<Origin> {
    let https = scheme.eq_ignore_ascii_case("https");
    if !https && !scheme.eq_ignore_ascii_case("http") {
        return None;
    }
    let authority = authority.to_ascii_lowercase();
    // A colon inside brackets is a part of an IPv6 address.
    let parts = authority.rsplit_once(':').filter(|(_, port)| !port.contains(']'));
    let (name, port) = parts.map_or((&*authority, None), |(name, port)| (name, Some(port)));
    let in_name = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    let host = match name.strip_prefix('[') {
        Some(v6) => v6.strip_suffix(']').filter(|v6| v6.parse::<Ipv6Addr>().is_ok())?,
        None => Some(name).filter(|name| !name.is_empty() && name.bytes().all(in_name))?,
    };
    let (scheme, default) = if https { ("https", 443) } else { ("http", 80) };
    let port: u16 = match port {
        None => default,
        Some(port) if port.starts_with('+') => return None,
        Some(port) => port.parse().ok().filter(|port| *port > 0)?,
    };
    let port = if port == default { String::new() } else { format!(":{port}") };
    let text = format!("{scheme}://{name}{port}");
    Some(Origin { text, https, host: host.to_owned() })
}

/// A caller's path, checked and encoded; what is already encoded stays as it is.
pub(crate) fn checked_path(path: &str) -> Result<String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'_' | b'-' | b'@');
    if path.starts_with('/') && path.bytes().all(plain) && !path.contains("//") {
        return Ok(path.to_owned()); // almost every path: checking it costs nothing
    }
    let wrong = |why: &str| config(format!("the path {:?} {why}", excerpt(path)));
    if !path.starts_with('/') {
        return wrong("does not begin with a slash");
    }
    if path.contains(['?', '#']) {
        return wrong("contains '?' or '#'; give parameters with .param(name, value)");
    }
    if path.contains("//") {
        return wrong("has an empty segment (//)");
    }
    let is_hex = |after: &str| after.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    if !path.split('%').skip(1).all(is_hex) {
        return wrong("contains a '%' without two hex digits; write %25 for the character itself");
    }
    path.split('/').try_for_each(check_segment)?;
    // What RFC 3986 allows in a path, and what is encoded already, stay as they are.
    let stays = |b: u8| plain(b) || b"%.~!$&'()*+,;=:".contains(&b);
    let encode = |b| if stays(b) { char::from(b).into() } else { percent_encode_byte(b).into() };
    Ok(path.bytes().map::<String, _>(encode).collect())
}

/// A caller's id as one segment of a path.
pub(crate) fn segment(id: &str) -> Result<String> {
    if id.is_empty() {
        return config("the id is empty");
    }
    check_segment(id)?;
    Ok(percent_encode(id.as_bytes(), VALUE).to_string())
}

/// Servers and proxies resolve dot segments, also encoded ones: the request would go to another
/// path.
fn check_segment(segment: &str) -> Result<()> {
    let decoded: Vec<u8> = percent_decode_str(segment).collect();
    if decoded.split(|b| *b == b'/').any(|part| part == b"." || part == b"..") {
        let shown = excerpt(segment);
        let why = "is not allowed in a path: servers resolve dot segments";
        return config(format!("{shown:?} {why}"));
    }
    Ok(())
}

/// The URL of a call, in one allocation. `query` is encoded; `key` is added to it.
pub(crate) fn assemble(base: &Base, path: &str, query: &str, key: Option<&str>) -> Result<String> {
    let room = base.origin.text.len() + base.prefix.len() + path.len() + query.len() + 100;
    let mut url = String::with_capacity(room);
    url.extend([base.origin.text.as_str(), &base.prefix, path]);
    if !query.is_empty() {
        url.push('?');
        url.push_str(query);
    }
    if let Some(key) = key {
        url.push(if query.is_empty() { '?' } else { '&' });
        url.push_str("personal_api_key=");
        url.extend(percent_encode(key.as_bytes(), VALUE));
    }
    if url.len() > MAX_URL {
        let (bytes, hint) = (url.len(), "use HogQL, which sends the query in the body");
        return config(format!("the URL would have {bytes} bytes, the limit is {MAX_URL}; {hint}"));
    }
    Ok(url)
}

#[cfg(test)]
mod tests;
