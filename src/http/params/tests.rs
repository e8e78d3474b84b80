use super::*;

#[test]
fn of_a_link_only_the_query_counts() {
    for (link, query) in [
        ("http://evil.example/api?limit=3&offset=3", Some("limit=3&offset=3")),
        ("?limit=100&offset=100", Some("limit=100&offset=100")),
        ("x?a=b+c&a%5B%5D=%7e#f", Some("a=b%20c&a%5B%5D=~")),
        ("x?cursor=cD0%3D&personal_api_key=phx_1&token=phc_1&api_key=z", Some("cursor=cD0%3D")),
        ("x?%70ersonal_api_key=phx_1&o=1", Some("o=1")),
        ("x?a=\u{e9} \n\"", Some("a=%C3%A9%20%0A%22")),
        ("", None),
        ("garbage", None),
        ("http://h/p?", None),
    ] {
        let found = Params::of_link(link).map(|p| p.encoded());
        assert_eq!(found.as_deref(), query, "{link}");
    }
}

#[test]
fn a_lost_parameter_is_put_back_and_a_changed_one_is_an_error() {
    let params = |query: &str| Params::of_link(&format!("?{query}")).unwrap_or_default();
    let first = params("search=a&properties=[{\"k\":1}]&limit=2");
    for (next, kept) in [
        ("offset=2", Ok("offset=2&search=a&properties=%5B%7B%22k%22%3A1%7D%5D")),
        ("properties=[{\"k\": 1}]&search=a", Ok("properties=%5B%7B%22k%22%3A%201%7D%5D&search=a")),
        ("search=b", Err("search".to_owned())),
        ("search=a&properties=[]", Err("properties".to_owned())),
    ] {
        let mut params = params(next);
        let kept_now = params.keep(&first, &["limit", "offset"]).map(|()| params.encoded());
        assert_eq!(kept_now, kept.map(str::to_owned), "{next}");
    }
}
