use super::*;

#[test]
fn the_project_of_a_path_is_found_however_it_is_spelled() {
    for (path, id) in [
        ("/api/projects/2/x/", Some("2")),
        ("/api/Projects/2/", Some("2")),
        ("/api/project/2", Some("2")),
        ("/api/environments/%32/x/", Some("2")),
        ("/%61pi/projects/@current/", Some("@current")),
        ("/api/person/", None),
        ("/api/projects/", None),
        ("/projects/2/", None),
    ] {
        assert_eq!(project(path).as_deref(), id, "{path}");
    }
}

#[test]
fn redirects_stay_within_the_origin() {
    let base = Base::parse("https://h.example/sub", false).unwrap();
    for (location, to) in [
        ("/api/y/?a=1", Some("/api/y/?a=1")),
        ("https://H.example:443/api/y", Some("/api/y?")),
        ("//h.example/z", Some("/z?")),
        ("z?b=2&personal_api_key=k", Some("/sub/api/z?b=2")),
        ("http://h.example/api/y", None),
        ("https://h.example:444/api/y", None),
        ("https://h.example.evil/api", None),
        ("https://h.example@evil/api", None),
        ("//evil/api", None),
        ("/a/../b", None),
    ] {
        let there = target(&base, "/sub/api/x", location)
            .map(|(path, params)| format!("{path}?{}", params.encoded()));
        assert_eq!(there.as_deref(), to, "{location}");
    }
}
