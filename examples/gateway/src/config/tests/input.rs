//! `input` of a route: the form of its payloads.

use super::*;

#[test]
fn the_input_of_a_route_is_read_and_held_against_its_fields() {
    use edge_codec::influx::Precision;
    let route = |keys: &str| parse(&format!("{SMALL}to = \"x\"\nformat = \"json\"\n{keys}\n"));
    for (keys, input) in [
        ("", Input::Json(Fields::default())),
        ("input = \"json\"", Input::Json(Fields::default())),
        (
            "fields = { numbers_in_text = true }",
            Input::Json(Fields { numbers_in_text: true, ..Fields::default() }),
        ),
        ("input = \"number\"", Input::Number),
        ("input = \"senml\"", Input::Senml),
        ("input = \"influx-line\"", Input::Lines(Precision::Nanoseconds)),
        ("input = \"influx-line\"\nfields = {}", Input::Lines(Precision::Nanoseconds)),
        (
            "input = \"influx-line\"\nfields = { time_unit = \"milliseconds\" }",
            Input::Lines(Precision::Milliseconds),
        ),
        ("input = \"influx-line\"\nfields = { time_unit = \"seconds\" }", Input::Lines(Precision::Seconds)),
    ] {
        let (config, findings) = route(keys).unwrap();
        assert_eq!((&config.routes[0].input, findings.to_string().as_str()), (&input, ""), "{keys}");
    }
    let needless = route("max_births = \"1MiB\"").unwrap().1.to_string();
    assert!(needless.contains("warning: route[1].max_births: without effect"), "{needless}");
    let of_sparkplug = |keys: &str| {
        let small = SMALL.replace("plant/#", "spBv1.0/#");
        assert_ne!(small, SMALL);
        parse(&format!("{small}to = \"x\"\nformat = \"json\"\ninput = \"sparkplug\"\n{keys}\n"))
    };
    for (keys, births_max) in [("", 2 << 20), ("max_births = \"64KiB\"", 64 << 10)] {
        let (config, findings) = of_sparkplug(keys).unwrap();
        let input = Input::Sparkplug(births_max);
        assert_eq!((&config.routes[0].input, findings.to_string().as_str()), (&input, ""), "{keys}");
    }
    let said = of_sparkplug("fields = {}").unwrap_err().to_string();
    assert!(said.contains("names parts of JSON"), "{said}");
    for (keys, expected) in [
        ("input = \"numbers\"", "did you mean \"number\"?"),
        ("input = \"number\"\nfields = { value = \"v\" }", "error: route[1].fields: names parts of JSON"),
        ("input = \"senml\"\nfields = {}", "error: route[1].fields: names parts of JSON"),
        (
            "input = \"sparkplug\"",
            "error: route[1].match: \"plant/#\": topics of Sparkplug begin with spBv1.0/",
        ),
        (
            "input = \"influx-line\"\nfields = { value = \"v\" }",
            "error: route[1].fields: of lines only `time_unit`",
        ),
        (
            "input = \"influx-line\"\nfields = { time_unit = \"rfc3339\" }",
            "error: route[1].fields: of lines only",
        ),
        ("input = \"influx-line\"\nfields = { numbers_in_text = 1 }", "expected true or false"),
    ] {
        let said = route(keys).unwrap_err().to_string();
        assert!(said.contains(expected), "{keys}: {said}");
    }
    let raw = parse(&format!("{SMALL}input = \"number\"\n")).unwrap_err().to_string();
    assert!(raw.contains("error: route[1].input: a raw route forwards payloads unseen"), "{raw}");
}
