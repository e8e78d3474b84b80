use super::*;

#[test]
fn each_rule_says_what_comes_next() {
    let link = |query: &str| Next::Link(format!("http://elsewhere.example/api/?{query}"));
    let other = |next: &str| Next::Unreadable(next.to_owned());
    let absent = || Next::Absent;
    let large = u64::MAX.to_string();
    let large = format!("offset={large}");
    // The query, `next`, `has_more`, `next_cursor`, `count`, rows; the next query or a word.
    let table = [
        ("limit=2", Next::Null, None, None, Some(9), 2, Ok(None)),
        ("limit=2", Next::Null, Some(false), None, None, 2, Ok(None)),
        ("limit=2", Next::Null, Some(true), None, None, 2, Err("null")),
        ("search=a", link("offset=2"), Some(false), None, None, 2, Ok(Some("offset=2&search=a"))),
        ("search=a", link("offset=2&search=b"), None, None, None, 2, Err("search")),
        ("limit=2", link("limit=3&offset=2"), None, None, None, 2, Ok(Some("limit=3&offset=2"))),
        ("limit=2", link("limit=2"), None, None, None, 2, Err("already read")),
        ("limit=2", link("k=phx_0123456789"), None, None, None, 2, Err("key")),
        ("limit=2", link("k=phx_01234567"), None, None, None, 2, Ok(Some("k=phx_01234567"))),
        ("limit=2", Next::Link("x".to_owned()), None, None, None, 2, Err("no query")),
        ("limit=2", other("5"), None, None, None, 2, Err("not a link")),
        ("limit=2", absent(), Some(false), None, Some(9), 2, Ok(None)),
        ("limit=2&offset=3", absent(), Some(true), None, None, 1, Ok(Some("limit=2&offset=5"))),
        ("limit=2", absent(), Some(true), None, None, 3, Ok(Some("limit=2&offset=3"))),
        ("limit=2", absent(), Some(true), None, None, 0, Ok(Some("limit=2&offset=2"))),
        ("a=1", absent(), Some(true), None, None, 0, Err("no rows")),
        (&large, absent(), Some(true), None, None, 1, Err("offset")),
        ("limit=2&offset=3", absent(), Some(true), Some("c"), None, 2, Ok(Some("limit=2&after=c"))),
        ("page=2", absent(), Some(true), None, None, 2, Err("no link")),
        ("limit=2&offset=2", absent(), None, None, Some(5), 2, Ok(Some("limit=2&offset=4"))),
        ("limit=2&offset=2", absent(), None, None, Some(4), 2, Ok(None)),
        ("before=x", absent(), None, None, Some(4), 2, Err("no link")),
        ("limit=2", absent(), None, None, None, 2, Ok(Some("limit=2&offset=2"))),
        ("limit=2", absent(), None, None, None, 3, Ok(None)),
        ("limit=2", absent(), None, None, None, 1, Ok(None)),
        ("cursor=x&limit=2", absent(), None, None, None, 2, Err("no link")),
        ("a=1", absent(), None, None, None, 2, Ok(None)),
    ];
    let key = Key::new("phx_0123456789".to_owned());
    for (at, (first, next, has_more, cursor, count, rows, expected)) in
        table.into_iter().enumerate()
    {
        let query = Params::of_link(&format!("?{first}")).unwrap();
        let next_cursor = cursor.map(str::to_owned);
        let page = Frame { received: rows, count, next, has_more, next_cursor };
        let all = Completeness::new(&query);
        let mut walk = Walk::new(query.clone(), "after", true);
        let got = walk.after(&query, &page, &all, false, &key);
        match (got, expected) {
            (Ok(got), Ok(expected)) => {
                assert_eq!(got.map(|p| p.encoded()).as_deref(), expected, "row {at}: {first}");
            }
            (Err(got), Err(word)) => assert!(got.contains(word), "row {at}: {got}"),
            (got, expected) => panic!("row {at}: {got:?} instead of {expected:?}"),
        }
    }
}
