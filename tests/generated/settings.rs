//! Proves that keys, user agents and hosts are used as they were given, or are refused.
use crate::KEY;
use crate::check;
use crate::generate::*;
use crate::home::{Home, answer, ok, query_pairs};
use crate::rules::*;
use posthog_api::Auth;
use proptest::collection::vec;
use proptest::prelude::{Strategy, any};
use proptest::sample::select;
use proptest::{option, prop_assert, prop_assert_eq, prop_oneof};

#[test]
fn keys_and_user_agents_arrive_as_they_were_or_are_refused() {
    let server = Home::start();
    let keys = prop_oneof![
        3 => "[ \t\n]?phx_[!-~]{12,30}[ \r\n]?",
        1 => text(),
        1 => "phc_[a-z]{12}",
        1 => "phx_[a-z]{12}.[a-z]{2}",
    ];
    let products = option::of(prop_oneof!["[ -~]{0,12}", text()]);
    let ways = select(&[Auth::Bearer, Auth::Body, Auth::Query][..]);
    check(500, &(keys, products, ways), |(key, product, auth)| {
        server.answer(&answer(404, "", key.as_bytes()));
        let mut builder = server.builder_with(&key).auth(auth);
        let printed = format!("{builder:?}");
        prop_assert!(key.trim().len() < 8 || !printed.contains(key.trim()));
        if let Some(product) = &product {
            builder = builder.user_agent(product.as_str());
        }
        let trimmed = key.trim();
        let agent = product.as_deref().map(str::trim);
        let right = !trimmed.is_empty()
            && !trimmed.starts_with("phc_")
            && trimmed.bytes().all(|b| (b'!'..=b'~').contains(&b))
            && agent.is_none_or(|a| !a.is_empty() && a.bytes().all(|b| (b' '..=b'~').contains(&b)));
        let client = match builder.build() {
            Ok(client) => client,
            Err(error) => {
                prop_assert!(error.kind() == posthog_api::ErrorKind::Config && !right, "{}", error);
                return if key.trim().len() < 8 { Ok(()) } else { hides_key(&error, key.trim()) };
            }
        };
        prop_assert!(right);
        let error = client.get("/api/x/").send().unwrap_err();
        prop_assert_eq!(error.status(), Some(404));
        let seen = &server.seen()[0];
        let version = "posthog-api/";
        let expected = agent.map_or(version.to_owned(), |a| format!("{a} {version}"));
        prop_assert!(seen.header("user-agent").is_some_and(|sent| sent.starts_with(&expected)));
        let carried = match auth {
            Auth::Bearer => seen.header("authorization").map(|v| v.replacen("Bearer ", "", 1)),
            Auth::Body => from_bytes(&seen.body)
                .and_then(|body| body["personal_api_key"].as_str().map(str::to_owned)),
            _ => query_pairs(seen)?.pop().map(|(_, value)| value),
        };
        prop_assert_eq!(carried.as_deref(), Some(trimmed));
        // A shorter key could be part of any text.
        if trimmed.len() >= 8 {
            hides_key(&error, trimmed)?;
            let printed = format!("{client:?} {:?}", client.project(1));
            prop_assert!(!printed.contains(trimmed));
        }
        Ok(())
    });
}

#[test]
fn any_host_gets_the_connection_or_is_refused() {
    let server = Home::start();
    let (allow, path) = (any::<bool>(), "(/[a-z%]{0,3}){0,2}");
    let likely = ("(?i:https?)", "[a-z0-9.é_-]{1,9}|\\[::1?\\]", "(:[0-9]{1,6})?", path)
        .prop_map(|(scheme, name, port, path)| format!("{scheme}://{name}{port}{path}"));
    let tokens = vec(select(HOST), 0..8).prop_map(|t| t.concat());
    check(1_500, &(prop_oneof![likely, tokens, text()], allow), |(host, allow)| {
        server.answer(&ok("{}"));
        let origin = origin(&host, allow);
        let right = origin.is_some();
        let built = server.builder().host(&host).allow_http(allow).build();
        let client = match built {
            Ok(client) => client,
            Err(error) => {
                prop_assert!(error.kind() == posthog_api::ErrorKind::Config && !right, "{}", error);
                return hides_key(&error, KEY);
            }
        };
        if let Err(error) = client.get("/api/x/").send() {
            prop_assert!(
                [
                    posthog_api::ErrorKind::Dns,
                    posthog_api::ErrorKind::Connect,
                    posthog_api::ErrorKind::Tls,
                    posthog_api::ErrorKind::Proxy,
                    posthog_api::ErrorKind::Broken,
                    posthog_api::ErrorKind::NotHttp,
                    posthog_api::ErrorKind::Config
                ]
                .contains(&error.kind()),
                "{}",
                error
            );
            hides_key(&error, KEY)?;
        }
        prop_assert_eq!(server.asked(), Vec::from_iter(origin));
        Ok(())
    });
}
