//! Proves that a redirect is followed only within the origin, with the right method, and that no
//! other place gets the key.
use crate::support::expect::{api, decode, redirect, transport};
use crate::support::{
    AT_ONCE, Act, End, KEY, Server, Way, agent, builder, client, error, error_in, within,
};
use posthog_api::ureq::{Agent, Proxy};
use posthog_api::{Auth, RetryPolicy};
use serde_json::json;

const STATUSES: [u16; 5] = [301, 302, 303, 307, 308];

fn to(status: u16, location: impl Into<String>) -> Act {
    Act::status(status).header("Location", location)
}

fn good() -> Act {
    Act::json(200, &json!({"here": true}))
}

#[test]
fn a_redirect_of_a_get_is_followed_within_the_origin() {
    for status in STATUSES {
        for (name, location, target) in [
            ("a path", "/api/y/?a=b%20c".to_owned(), "/api/y/?a=b%20c&old=1"),
            ("a whole URL", "{}/api/y/".to_owned(), "/api/y/?old=1"),
            ("without a scheme", "//{host}/api/y/".to_owned(), "/api/y/?old=1"),
            ("in capitals", "HTTP://{host}/api/y/".to_owned(), "/api/y/?old=1"),
            ("a relative path", "y/?a=1".to_owned(), "/api/x/y/?a=1&old=1"),
            ("a query alone", "?a=1".to_owned(), "/api/x/?a=1&old=1"),
            ("a fragment behind it", "/api/y/#there".to_owned(), "/api/y/?old=1"),
            ("the key echoed", format!("/api/y/?personal_api_key={KEY}&a=1"), "/api/y/?a=1&old=1"),
            ("a project token in it", "/api/y/?token=phc_other".to_owned(), "/api/y/?old=1"),
            ("the parameter itself", "/api/y/?old=1&a=2".to_owned(), "/api/y/?old=1&a=2"),
        ] {
            let server = Server::start(move |request, n| match n {
                0 => {
                    let host = request.header("host").unwrap();
                    let location = location.replace("{host}", host);
                    to(status, location.replace("{}", &format!("http://{host}")))
                }
                _ => good(),
            });
            let answer = client(&server).get("/api/x/").param("old", 1).send();
            let answer = answer.unwrap_or_else(|e| panic!("{name} {status}: {e}"));
            assert_eq!(answer, json!({"here": true}));
            let second = &server.requests()[1];
            assert_eq!((second.method.as_str(), second.target.as_str()), ("GET", target), "{name}");
            let bearer = format!("Bearer {KEY}");
            assert_eq!(second.header("authorization"), Some(bearer.as_str()), "{name}");
        }
    }
}

#[test]
fn a_307_or_308_keeps_method_and_body() {
    for status in [307, 308] {
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            let server = Server::script([to(status, "/api/y/"), good()]);
            let client = client(&server);
            let request = match method {
                "POST" => client.post("/api/x/"),
                "PUT" => client.put("/api/x/"),
                "PATCH" => client.patch("/api/x/"),
                _ => client.delete("/api/x/"),
            };
            let body = json!({"a": [1, 2]});
            let request = if method == "DELETE" { request } else { request.json(&body) };
            request.send().unwrap();
            let second = &server.requests()[1];
            assert_eq!((second.method.as_str(), second.path()), (method, "/api/y/"));
            if method == "DELETE" {
                assert!(second.body.is_empty());
            } else {
                assert_eq!(second.json(), body, "{method} {status}");
                assert_eq!(second.header("content-type"), Some("application/json"));
            }
        }
    }
}

#[test]
fn a_301_or_302_of_a_write_is_not_followed() {
    for status in [301, 302] {
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            let server = Server::script([to(status, "/api/y/")]);
            let client = client(&server);
            let request = match method {
                "POST" => client.post("/api/x/"),
                "PUT" => client.put("/api/x/"),
                "PATCH" => client.patch("/api/x/"),
                _ => client.delete("/api/x/"),
            };
            let failed = error(request.send());
            assert_eq!(failed.status(), Some(status));
            assert_eq!(redirect(&failed).0, "/api/y/");
            assert!(failed.to_string().contains(method), "{failed}");
        }
    }
}

#[test]
fn a_302_of_a_query_is_not_followed() {
    let server = Server::script([to(302, "/api/y/")]);
    let failed = error(client(&server).project(1).hogql("SELECT 1 LIMIT 1").send());
    redirect(&failed);
}

#[test]
fn a_303_of_a_write_is_followed_with_a_get() {
    let server = Server::script([to(303, "/api/y/"), good()]);
    let sent = client(&server).post("/api/x/").json(json!({"a": 1})).send();
    assert_eq!(sent.unwrap(), json!({"here": true}));
    let second = &server.requests()[1];
    assert_eq!((second.method.as_str(), second.path()), ("GET", "/api/y/"));
    assert!(second.body.is_empty());
}

#[test]
fn after_a_303_only_the_get_is_retried() {
    let server =
        Server::script([to(303, "/api/y/"), Act::status(503).header("Retry-After", "0"), good()]);
    let client = crate::support::trying(&server, 1);
    client.post("/api/x/").json(json!({"a": 1})).send().unwrap();
    let methods: Vec<String> = server.requests().into_iter().map(|r| r.method).collect();
    assert_eq!(methods, ["POST", "GET", "GET"]);
}

#[test]
fn a_redirect_to_another_origin_is_not_followed() {
    let stranger = Server::stranger();
    let other = stranger.address();
    for status in STATUSES {
        for (name, location) in [
            ("another port", format!("http://{other}/api/x/")),
            ("another port without a scheme", format!("//{other}/api/x/")),
            ("another port with userinfo", format!("http://127.0.0.1@{other}/")),
            ("the other scheme", format!("https://{other}/api/x/")),
            ("another host", "https://evil.example/api/x/".to_owned()),
            ("another host without a scheme", "//evil.example/".to_owned()),
            ("a host behind a backslash", "/\\evil.example/..".to_owned()),
            ("a script", "javascript:alert(1)//x/../y".to_owned()),
            ("a file", "file:///etc/passwd".to_owned()),
            ("no host", "http:///api/x/".to_owned()),
            ("a port of nothing", "http://127.0.0.1:/api/".to_owned()),
            ("a port too large", "http://127.0.0.1:70000/api/".to_owned()),
            (
                "the same port in another spelling of the host",
                format!("http://127.1:{}/", other.port()),
            ),
            ("dots that leave", "/api/../../x".to_owned()),
            ("encoded dots", "/api/%2e%2e/x".to_owned()),
        ] {
            let server = Server::script([to(status, &location)]);
            let failed = error_in(name, client(&server).me());
            assert_eq!(failed.status(), Some(status), "{name}");
            let (shown, reason) = redirect(&failed);
            assert_eq!(shown, location, "{name}");
            assert!(reason.contains(&server.url()), "{name}: {reason}");
        }
    }
    assert_eq!(stranger.connections(), 0);
}

#[test]
fn the_same_port_of_another_name_for_this_machine_is_another_origin() {
    let server = Server::start(|request, n| {
        assert_eq!(n, 0);
        let host = request.header("host").unwrap();
        to(302, format!("http://{}/api/", host.replace("127.0.0.1", "localhost")))
    });
    redirect(&error(client(&server).me()));
}

#[test]
fn https_on_the_same_host_and_port_is_another_origin() {
    let server = Server::start(|request, n| {
        assert_eq!(n, 0);
        to(301, format!("https://{}/api/", request.header("host").unwrap()))
    });
    let failed = error(client(&server).me());
    let (location, reason) = redirect(&failed);
    assert!(location.starts_with("https:") && reason.contains("http://127.0.0.1"), "{failed}");
}

#[test]
fn a_redirect_of_the_old_cloud_host_names_the_new_one() {
    // A proxy plays app.posthog.com, so that no name is looked up.
    let cloud = Server::script([
        Act::raw("HTTP/1.1 200 Connected\r\n\r\n"),
        to(302, "https://us.posthog.com/api/users/@me/").body("text/html", ""),
    ])
    .named("app.posthog.com");
    let settings = Agent::config_builder().proxy(Some(Proxy::new(&cloud.url()).unwrap()));
    let client = builder("http://app.posthog.com")
        .allow_http(true)
        .agent(settings.build().new_agent())
        .build()
        .unwrap();
    let failed = error(client.me());
    let line = failed.to_string();
    assert!(line.contains("https://us.posthog.com"), "{line}");
    let requests = cloud.requests();
    assert_eq!(requests[0].target, "app.posthog.com:80");
    assert_eq!(requests[1].path(), "/api/users/@me/");
}

#[test]
fn a_redirect_without_a_location_is_an_error() {
    for status in STATUSES {
        for (name, act) in [
            ("none", Act::status(status)),
            ("empty", to(status, "")),
            (
                "not ASCII",
                Act::raw(format!(
                    "HTTP/1.1 {status} x\r\nLocation: /caf\u{e9}/\r\nContent-Length: 0\r\n\r\n"
                )),
            ),
        ] {
            let server = Server::script([act]);
            let failed = error_in(name, client(&server).me());
            assert_eq!(failed.status(), Some(status), "{name}");
            redirect(&failed);
        }
    }
}

#[test]
fn a_location_too_long_for_a_url_is_an_error() {
    // The longest `Location` that a header can hold. With the path before it, it is too long for a
    // URL.
    let act = format!("HTTP/1.1 302 x\r\nLocation: {}\r\n\r\n", "x".repeat(65_500));
    let server = Server::script([Act::raw(act).then(End::Close)]);
    redirect(&error(client(&server).me()));
}

#[test]
fn a_redirect_loop_ends_after_five() {
    for (name, places) in [("on itself", 1), ("over two", 2), ("ever on", usize::MAX)] {
        let server = Server::start(move |_, n| to(302, format!("/api/{}/", n % places)));
        let failed = within(AT_ONCE, || error_in(name, client(&server).me()));
        assert!(redirect(&failed).1.contains('5'), "{name}: {failed}");
        assert_eq!(server.count(), 6, "{name}");
    }
}

#[test]
fn five_redirects_are_followed() {
    let acts = (0..5).map(|n| to(302, format!("/api/{n}/")));
    let server = Server::script(acts.chain([good()]));
    client(&server).me().unwrap();
}

#[test]
fn retries_do_not_reset_the_count_of_redirects() {
    let server = Server::start(|_, n| match n % 2 {
        0 => to(302, "/api/x/"),
        _ => Act::status(503).header("Retry-After", "0"),
    });
    let policy = RetryPolicy::default().max_retries(100);
    let client = builder(server.url()).retry(policy).build().unwrap();
    redirect(&error(client.me()));
    assert_eq!(server.count(), 11);
}

#[test]
fn a_redirect_out_of_the_path_of_the_host_is_not_followed() {
    for (location, fine) in [
        ("/posthog/api/y/", true),
        ("y/", true),
        ("/api/y/", false),
        ("/posthog", false),
        ("/posthog2/api/y/", false),
        ("/", false),
    ] {
        let server = Server::start(move |_, n| if n == 0 { to(302, location) } else { good() });
        let client = builder(format!("{}/posthog/", server.url())).build().unwrap();
        let got = client.me();
        if fine {
            got.unwrap();
            assert!(server.requests()[1].path().starts_with("/posthog/api/"), "{location}");
        } else {
            assert!(redirect(&error_in(location, got)).1.contains("/posthog"), "{location}");
            assert_eq!(server.count(), 1, "{location}");
        }
    }
}

#[test]
fn the_body_of_a_redirect_is_not_read_completely() {
    for act in [
        to(302, "/api/y/").body("text/html", "<p>moved"),
        to(302, "/api/y/").body("text/html", "x".repeat(3_000_000)),
        to(302, "/api/y/").body("text/html", "<p>moved").cut(3),
        to(302, "/api/y/").body("text/html", "<p>moved").chunked().cut(3).then(End::Reset),
        Act::raw("HTTP/1.1 302 Found\r\nLocation: /api/y/\r\n\r\n")
            .repeat("x".repeat(8192), u64::MAX),
    ] {
        let server = Server::script([act, good()]);
        within(AT_ONCE, || client(&server).me()).unwrap();
        assert!(server.sent() < 40 << 20, "{}", server.sent());
    }
}

#[test]
fn a_list_continues_after_a_redirect() {
    let server = Server::script([
        to(307, "/api/projects/1/other/?limit=2"),
        Act::page(&json!([1, 2]), &json!("?limit=2&offset=2")),
        Act::page(&json!([3]), &json!(null)),
    ]);
    let rows = client(&server).project(1).list("things").all().unwrap();
    assert_eq!(rows, [1, 2, 3]);
}

#[test]
fn an_error_after_a_redirect_names_the_new_path() {
    let server = Server::script([
        to(308, "/api/y/?a=1"),
        Act::error(404, "invalid_request", "not_found", "No."),
    ]);
    let failed = error(client(&server).get("/api/x/").send());
    assert_eq!(api(&failed).call(), Some(("GET", "/api/y/")));
    assert!(failed.to_string().starts_with("GET /api/y/: 404"), "{failed}");
}

#[test]
fn a_login_page_after_a_redirect_is_an_error() {
    let login = Act::status(200).body("text/html", "<!doctype html><title>Log in</title>");
    let server = Server::script([to(302, "/login?next=/insights"), login]);
    let failed = error(client(&server).get("/insights").send());
    decode(&failed);
    assert!(failed.to_string().contains("text/html"), "{failed}");
}

#[test]
fn other_3xx_statuses_are_error_statuses() {
    for status in [300, 304, 305, 306, 309, 399] {
        let server = Server::script([to(status, "/api/y/")]);
        let failed = error(client(&server).me());
        assert_eq!(api(&failed).status(), Some(status));
    }
}

#[test]
fn a_followed_redirect_sends_the_key_once() {
    for (auth, way) in [(Auth::Query, Way::Query), (Auth::Body, Way::Body)] {
        for (status, post) in [(302, false), (307, false), (303, true), (308, true)] {
            let location = format!("/api/y/?personal_api_key={KEY}&a=1");
            let server = Server::script([to(status, location), good()]).expects(way);
            let client = builder(server.url()).auth(auth).build().unwrap();
            let call = if post {
                client.post("/api/x/").json(json!({"b": 2}))
            } else {
                client.get("/api/x/")
            };
            call.send().unwrap();
            let second = &server.requests()[1];
            assert_eq!(second.param("a").as_deref(), Some("1"), "{auth:?} {status}");
            let names = second.query().matches("personal_api_key").count();
            assert_eq!(names, usize::from(auth == Auth::Query), "{auth:?} {status}");
            let key = |n: usize| if auth == Auth::Query { n } else { 0 };
            assert_eq!(second.query().matches(KEY).count(), key(1), "{auth:?} {status}");
            match (auth, status) {
                (Auth::Body, 308) => {
                    assert_eq!(second.json(), json!({"personal_api_key": KEY, "b": 2}));
                }
                (Auth::Body, _) => assert_eq!(second.json(), json!({"personal_api_key": KEY})),
                (_, 308) => assert_eq!(second.json(), json!({"b": 2})),
                _ => assert!(second.body.is_empty(), "{auth:?} {status}"),
            }
        }
    }
}

#[test]
fn a_key_in_a_refused_location_is_not_shown() {
    for location in [
        format!("https://evil.example/?personal_api_key={KEY}"),
        format!("https://{KEY}@evil.example/"),
        format!("https://{KEY}.evil.example/"),
        format!("https://evil.example/{KEY}/"),
    ] {
        let server = Server::script([to(302, location)]);
        redirect(&error(client(&server).me()));
    }
}

/// A redirect can lead to a path with the key in it. Errors of that call show the path.
#[test]
fn a_key_in_the_path_of_a_followed_location_is_not_sent_or_shown() {
    let location = format!("/api/{KEY}/");
    for (name, then) in [
        ("an error status", Act::status(404)),
        ("a web page", Act::status(200).body("text/html", "<p>")),
        ("a connection that breaks", Act::status(200).length(5).then(End::Close)),
        ("another origin", to(302, "https://evil.example/")),
        ("an answer", good()),
    ] {
        let server = Server::script([to(302, &location), then]);
        if let Err(failed) = client(&server).me() {
            crate::support::seen(failed);
        } else {
            assert_eq!(name, "an answer");
        }
    }
}

#[test]
fn a_proxy_does_not_get_the_key_of_an_https_host() {
    let proxy = Server::script([Act::raw("HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n")]);
    let settings = Agent::config_builder().proxy(Some(Proxy::new(&proxy.url()).unwrap()));
    let client =
        builder("https://posthog.example").agent(settings.build().new_agent()).build().unwrap();
    let failed = error(client.me());
    transport(&failed);
    assert_eq!(proxy.requests()[0].target, "posthog.example:443");
}

#[test]
fn an_agent_of_the_caller_follows_no_redirects_by_itself() {
    // The client overrides the agent's settings for redirects and statuses.
    let stranger = Server::stranger();
    let settings = Agent::config_builder()
        .proxy(None)
        .max_redirects(10)
        .redirect_auth_headers(posthog_api::ureq::config::RedirectAuthHeaders::SameHost);
    let server = Server::script([to(302, stranger.url()), Act::status(500)]);
    let client = builder(server.url()).agent(settings.build().new_agent()).build().unwrap();
    redirect(&error(client.me()));
    let failed = error(client.me());
    api(&failed);
    drop(agent());
}

#[test]
fn a_redirect_out_of_a_project_is_not_followed() {
    let there = [
        "/api/person/",
        "/api/projects/2/x/",
        "/api/Projects/2/x/",
        "/api/project/2/x/",
        "/api/environments/%32/x/",
        "/api/projects/@current/x/",
        "/login",
    ];
    for location in there {
        let server = Server::script([to(307, location)]);
        let failed = error_in(location, client(&server).project(1).get("x/").send());
        assert!(redirect(&failed).1.contains("project"), "{failed}");
    }
    for location in ["/api/Project/1/y/", "/api/environments/%31/y/"] {
        let server = Server::script([to(307, location), Act::json(200, &json!([1]))]);
        assert_eq!(client(&server).project(1).get("x/").send().unwrap(), json!([1]), "{location}");
    }
}

#[test]
fn a_redirect_of_the_current_project_may_name_it() {
    let server = Server::script([to(307, "/api/projects/7/"), Act::json(200, &json!({"id": 7}))]);
    let current = client(&server).get("/api/projects/@current/").send().unwrap();
    assert_eq!(current, json!({"id": 7}));
}

#[test]
fn a_write_whose_answer_is_elsewhere_and_fails_may_have_been_done() {
    let server = Server::script([to(303, "/api/y/"), Act::status(502)]);
    let failed = error(client(&server).post("/api/x/").json(json!({"a": 1})).send());
    assert_eq!(failed.call(), Some(("GET", "/api/y/")));
    assert!(failed.may_have_been_done());
}

#[test]
fn a_write_whose_answer_is_on_another_host_may_have_been_done() {
    for (status, may) in [(303, true), (307, false)] {
        let server = Server::script([to(status, "https://elsewhere.example/")]);
        let failed = error(client(&server).post("/api/x/").json(json!({"a": 1})).send());
        assert_eq!(failed.may_have_been_done(), may, "{status}");
    }
}

#[test]
fn a_redirect_that_shows_the_key_is_not_followed() {
    for location in [format!("/api/y/?old={KEY}"), format!("/api/{KEY}/"), format!("/y?{KEY}=1")] {
        let server = Server::script([to(307, &location)]);
        let failed = error(client(&server).get("/api/x/").send());
        assert!(redirect(&failed).1.contains("contains the key"), "{failed}");
    }
}
