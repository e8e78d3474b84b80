use super::*;
use serde_json::json;

#[test]
fn each_form_of_an_insights_id_is_read() {
    let number = |n: u64| Some((n.to_string(), true));
    let short = |id: &str| Some((id.to_owned(), false));
    let found = |id: InsightId| id.in_project(1).ok().map(|i| (i.id, i.is_number));
    for (text, key) in [
        ("28", number(28)),
        (" 28 ", number(28)),
        ("VdpVGSw3", short("VdpVGSw3")),
        ("https://us.posthog.com/project/1/insights/VdpVGSw3", short("VdpVGSw3")),
        ("https://posthog.example/sub/project/1/insights/VdpVGSw3/edit?a=b#c", short("VdpVGSw3")),
        ("https://eu.posthog.com/insights/VdpVGSw3", short("VdpVGSw3")),
        ("us.posthog.com/project/1/insights/12345678/", short("12345678")),
        ("https://h.example/insights/project/1/insights/VdpVGSw3", short("VdpVGSw3")),
        ("/api/projects/1/insights/28/", number(28)),
        ("/API/Environments/1/Insights/28/", number(28)),
        ("h.example/%70roject/%31/insigh%74s/VdpV%47Sw3", short("VdpVGSw3")),
        ("h.example/project/1/environments/1/insights/V-d_pV", short("V-d_pV")),
        ("h.example/environments/2/insights/VdpVGSw3", None),
        ("h.example/Project/2/insights/VdpVGSw3", None),
        ("h.example/project/%32/insights/VdpVGSw3", None),
        ("h.example/project/2/environments/1/insights/VdpVGSw3", None),
        ("h.example/project/1/environments/2/insights/VdpVGSw3", None),
        ("h.example/project/1/insights/foo%20bar", None),
        ("h.example/project/1/insights/a%2Fb", None),
        ("h.example/project/1/insights/NEW", None),
        ("foo bar", None),
        ("VdpVGSw\u{e9}", None),
        ("VdpV%47Sw3", None),
        ("https://us.posthog.com/project/2/insights/VdpVGSw3", None),
        ("https://us.posthog.com/project/1/insights/new", None),
        ("https://us.posthog.com/project/1/insights/", None),
        ("https://us.posthog.com/project/1/dashboard/5", None),
        ("", None),
        ("99999999999999999999", None),
    ] {
        assert_eq!(found(InsightId::from(text)), key, "{text}");
    }
    for (value, key) in [
        (json!(28), number(28)),
        (json!("VdpVGSw3"), short("VdpVGSw3")),
        (json!({"id": 28, "short_id": "x"}), number(28)),
        (json!(-1), None),
        (json!(1.5), None),
        (json!(null), None),
        (json!({}), None),
        (json!({"id": {"id": 1}}), None),
        (json!({"id": -5}), None),
    ] {
        assert_eq!(found(InsightId::from(&value)), key, "{value}");
    }
}

#[test]
fn an_address_keeps_its_overrides_and_its_dashboard() {
    let params = |address: &str| InsightId::from(address).in_project(1).unwrap().params;
    let address = "h.example/project/1/insights/VdpVGSw3?dashboard=5&x=1\
        &filters_override=%7B%22date_from%22%3A%22-7d%22%7D&variables_override={}#a?dashboard=6";
    let filters = r#"{"date_from":"-7d"}"#.to_owned();
    assert_eq!(
        params(address),
        [
            ("from_dashboard", "5".to_owned()),
            ("filters_override", filters),
            ("variables_override", "{}".to_owned())
        ]
    );
    assert_eq!(params("h.example/insights/VdpVGSw3"), []);
}

#[test]
fn each_form_of_a_persons_id_is_read() {
    let uuid = "0190f3a8-0000-7000-8000-00000000abCD";
    let bare = uuid.replace('-', "");
    for (value, id) in [
        (json!(5), Some("5")),
        (json!("5"), Some("5")),
        (json!(uuid), Some(uuid)),
        (json!(bare), Some(bare.as_str())),
        (json!("1".repeat(32)), Some("11111111111111111111111111111111")),
        (json!({"uuid": uuid, "id": 5}), Some(uuid)),
        (json!({"uuid": null, "id": 5}), Some("5")),
        (json!("did-0"), None),
        (json!("../5"), None),
        (json!(""), None),
        (json!({"id": null}), None),
        (json!([5]), None),
    ] {
        assert_eq!(PersonId::from(&value).segment().ok().as_deref(), id, "{value}");
    }
}
