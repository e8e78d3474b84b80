use super::*;

#[test]
fn paths() {
    for (path, out) in [
        ("/api/users/@me/", "/api/users/@me/"),
        ("/api/x y/\u{e9}", "/api/x%20y/%C3%A9"),
        ("/a%2Fb", "/a%2Fb"),
        ("/a/...", "/a/..."),
    ] {
        assert_eq!(checked_path(path).unwrap(), out);
    }
    for path in [
        "", "api", "/a//b", "/a/./b", "/a/../b", "/%2e%2E/", "/.%2e", "/a?b", "/a#b", "/a%",
        "/a%2", "/a%zz",
    ] {
        let error = checked_path(path).unwrap_err();
        assert_eq!(error.kind(), crate::error::ErrorKind::Config, "{path}");
    }
    assert_eq!(segment("a/b?c#\u{0}").unwrap(), "a%2Fb%3Fc%23%00");
    for id in ["", ".", "..", "%2e%2e"] {
        assert!(segment(id).is_err(), "{id}");
    }
}
