//! Proves how a client reads environment variables and uses the proxies that they name. Each case
//! runs in its own process.
use crate::support::{Act, KEY, Server, shows_key};
use posthog_api::{Client, Project, RetryPolicy};
use serde_json::json;
use std::ffi::{OsStr, OsString};
use std::process::Command;
use std::time::Duration;

/// Names the task of the child process, which prints the outcome.
const TASK: &str = "POSTHOG_FAULTS_TASK";

/// Not a test by itself: the tests below run it in a separate process, because all threads of a
/// process share its environment.
#[test]
#[ignore = "run by the other tests here, in a process of its own"]
fn child() {
    let outcome = match std::env::var(TASK).as_deref() {
        Ok("client") => Client::from_env().map(|client| format!("{client:?}")),
        Ok("project") => Project::from_env().map(|project| format!("{project:?}")),
        Ok(url) => Client::builder(KEY)
            .host(url)
            .allow_http(true)
            .timeout(Duration::from_secs(5))
            .connect_timeout(Duration::from_secs(5))
            .retry(RetryPolicy::none())
            .build()
            .and_then(|client| client.me())
            .map(|me| me.to_string()),
        Err(_) => return,
    };
    match outcome {
        Ok(words) => println!("outcome: {words}"),
        Err(failed) => {
            crate::support::check_error(&failed);
            println!("outcome: {}: {failed} {failed:?}", failed.kind());
        }
    }
}

/// The outcome of `task` with these variables, and no others of their kind.
fn outcome(task: &str, variables: &[(&str, &OsStr)]) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["environment::child", "--exact", "--ignored", "--nocapture"]).env(TASK, task);
    for name in ["POSTHOG_PERSONAL_API_KEY", "POSTHOG_HOST", "POSTHOG_PROJECT_ID"] {
        command.env_remove(name);
    }
    for name in ["ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"] {
        command.env_remove(name);
        command.env_remove(name.to_ascii_lowercase());
    }
    let done = command.envs(variables.iter().copied()).output().unwrap();
    let text = String::from_utf8(done.stdout).unwrap();
    let words = text.split_once("outcome: ").unwrap_or_else(|| {
        panic!("no outcome: {text}{}", String::from_utf8_lossy(&done.stderr));
    });
    assert!(done.status.success(), "{text}");
    assert!(!shows_key(text.as_bytes()) && !shows_key(&done.stderr), "{text}");
    words.1.lines().next().unwrap().to_owned()
}

fn os(text: &str) -> OsString {
    text.into()
}

#[cfg(unix)]
fn no_text() -> OsString {
    std::os::unix::ffi::OsStringExt::from_vec(b"phx_\xff\xfe".to_vec())
}

#[cfg(windows)]
fn no_text() -> OsString {
    std::os::windows::ffi::OsStringExt::from_wide(&[0xd800])
}

#[test]
fn a_missing_empty_or_invalid_variable_is_named() {
    let key = Some(os(KEY));
    let project = "project";
    for (name, task, key, host, id, words) in [
        ("no key", "client", None, None, None, "POSTHOG_PERSONAL_API_KEY"),
        ("an empty key", "client", Some(os("")), None, None, "POSTHOG_PERSONAL_API_KEY"),
        ("a blank key", "client", Some(os(" \n")), None, None, "POSTHOG_PERSONAL_API_KEY"),
        (
            "a key that is no text",
            "client",
            Some(no_text()),
            None,
            None,
            "POSTHOG_PERSONAL_API_KEY",
        ),
        ("a key that cannot be one", "client", Some(os("phx_a b")), None, None, "space"),
        ("a project key", "client", Some(os("phc_ab")), None, None, "phc_"),
        ("an empty host", "client", key.clone(), Some(os("")), None, "POSTHOG_HOST"),
        ("a host that is no text", "client", key.clone(), Some(no_text()), None, "POSTHOG_HOST"),
        (
            "a host without a scheme",
            "client",
            key.clone(),
            Some(os("eu.posthog.com")),
            None,
            "https://",
        ),
        (
            "an ingestion host",
            "client",
            key.clone(),
            Some(os("https://eu.i.posthog.com")),
            None,
            "https://eu.posthog.com",
        ),
        ("no project", project, key.clone(), None, None, "POSTHOG_PROJECT_ID"),
        ("an empty project", project, key.clone(), None, Some(os("")), "POSTHOG_PROJECT_ID"),
        (
            "a project that is no text",
            project,
            key.clone(),
            None,
            Some(no_text()),
            "POSTHOG_PROJECT_ID",
        ),
        (
            "a project that is no number",
            project,
            key.clone(),
            None,
            Some(os("main")),
            "POSTHOG_PROJECT_ID",
        ),
        ("project 0", project, key.clone(), None, Some(os("0")), "POSTHOG_PROJECT_ID"),
        ("a negative project", project, key.clone(), None, Some(os("-1")), "POSTHOG_PROJECT_ID"),
        (
            "a project over 64 bits",
            project,
            key.clone(),
            None,
            Some(os("99999999999999999999")),
            "POSTHOG_PROJECT_ID",
        ),
    ] {
        let variables: Vec<(&str, &OsStr)> = [
            ("POSTHOG_PERSONAL_API_KEY", &key),
            ("POSTHOG_HOST", &host),
            ("POSTHOG_PROJECT_ID", &id),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.as_deref()?)))
        .collect();
        let got = outcome(task, &variables);
        assert!(got.contains(words) && got.starts_with("config: "), "{name}: {got}");
    }
}

#[test]
fn a_key_in_posthog_host_is_not_shown() {
    let variables: [(&str, &OsStr); 2] =
        [("POSTHOG_PERSONAL_API_KEY", KEY.as_ref()), ("POSTHOG_HOST", KEY.as_ref())];
    assert!(outcome("client", &variables).starts_with("config: "));
}

#[test]
fn valid_variables_make_a_client_and_a_project() {
    let key = os(&format!(" {KEY}\n"));
    let variables: [(&str, &OsStr); 3] = [
        ("POSTHOG_PERSONAL_API_KEY", &key),
        ("POSTHOG_HOST", "https://eu.posthog.com/".as_ref()),
        ("POSTHOG_PROJECT_ID", " 42 ".as_ref()),
    ];
    assert!(outcome("client", &variables[..1]).contains("https://us.posthog.com"));
    assert!(outcome("client", &variables[..2]).contains("https://eu.posthog.com"));
    let project = outcome("project", &variables);
    assert!(project.contains("42") && project.contains("https://eu.posthog.com"), "{project}");
}

/// A proxy that accepts one CONNECT and then answers as the server behind it.
fn tunnel(to: &str) -> Server {
    let connected = Act::raw("HTTP/1.1 200 Connected\r\n\r\n");
    Server::script([connected, Act::json(200, &json!({"behind": "a proxy"}))]).named(to)
}

#[test]
fn each_proxy_variable_is_used() {
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"] {
        let proxy = tunnel("posthog.example");
        let url = os(&proxy.url());
        let got = outcome("http://posthog.example", &[(name, &url)]);
        assert!(got.contains("a proxy"), "{name}: {got}");
        let requests = proxy.requests();
        assert_eq!(
            (requests[0].method.as_str(), requests[0].target.as_str()),
            ("CONNECT", "posthog.example:80"),
            "{name}"
        );
        assert_eq!(requests[1].path(), "/api/users/@me/");
    }
}

#[test]
fn a_host_in_no_proxy_is_called_directly() {
    for hosts in ["127.0.0.1", "*", "other.example,127.0.0.1"] {
        let proxy = Server::stranger();
        let server = Server::script([Act::json(200, &json!({"behind": "nothing"}))]);
        let url = os(&proxy.url());
        let got = outcome(&server.url(), &[("HTTP_PROXY", &url), ("NO_PROXY", hosts.as_ref())]);
        assert!(got.contains("nothing"), "{hosts}: {got}");
    }
}

#[test]
fn a_host_that_is_not_in_no_proxy_uses_the_proxy() {
    let proxy = tunnel("posthog.example");
    let url = os(&proxy.url());
    let variables: [(&str, &OsStr); 2] =
        [("HTTP_PROXY", &url), ("NO_PROXY", "127.0.0.1,other.example".as_ref())];
    let got = outcome("http://posthog.example", &variables);
    assert!(got.contains("a proxy"), "{got}");
}

#[test]
fn a_proxy_variable_without_a_url_is_ignored() {
    for garbage in ["", " ", "what?", "http://", "gopher://h:1"] {
        let server = Server::script([Act::json(200, &json!({"behind": "nothing"}))]);
        let got = outcome(&server.url(), &[("HTTP_PROXY", garbage.as_ref())]);
        assert!(got.contains("nothing"), "{garbage:?}: {got}");
    }
}

#[test]
fn an_unreachable_proxy_is_an_error_without_its_password() {
    let variables: [(&str, &OsStr); 1] = [("HTTP_PROXY", "http://me:secret@127.0.0.1:1".as_ref())];
    let got = outcome("http://posthog.example", &variables);
    assert!(got.starts_with("connect: ") && !got.contains("secret"), "{got}");
}

#[test]
fn the_password_goes_to_the_proxy_and_the_key_to_the_server() {
    let proxy = tunnel("posthog.example");
    let url = os(&proxy.url().replace("://", "://me:secret@"));
    let got = outcome("http://posthog.example", &[("HTTP_PROXY", &url)]);
    assert!(got.contains("a proxy"), "{got}");
    let requests = proxy.requests();
    assert!(requests[0].header("proxy-authorization").is_some());
    assert!(requests[0].header("authorization").is_none());
    assert!(requests[1].header("proxy-authorization").is_none());
}
