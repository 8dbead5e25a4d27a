//! docs/dashboard.json: Grafana can import it, and it names no data source of somebody else.

use std::collections::BTreeSet;

use serde_json::Value;

use super::read;

/// Source that a panel may have: whoever imports chooses it.
const SOURCE: &str = "${datasource}";

fn dashboard() -> Value {
    serde_json::from_str(&read("dashboard.json")).unwrap()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().unwrap_or_else(|| panic!("no list {key} in {value}"))
}

fn targets(dashboard: &Value) -> impl Iterator<Item = &Value> {
    list(dashboard, "panels").iter().flat_map(|panel| list(panel, "targets"))
}

/// Expressions of the panels and of the choice of gateways.
pub fn expressions() -> Vec<String> {
    let dashboard = dashboard();
    let choices = list(&dashboard["templating"], "list").iter().filter(|choice| choice["type"] == "query");
    let choices = choices.map(|choice| {
        // The second argument is a label.
        let definition = choice["definition"].as_str().unwrap();
        definition.replace(", instance)", ")")
    });
    let shown = targets(&dashboard).map(|target| target["expr"].as_str().unwrap().to_owned());
    shown.chain(choices).collect()
}

/// Left, top, right and bottom of a panel.
fn place(panel: &Value) -> [u64; 4] {
    let [x, y, w, h] = ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().unwrap());
    [x, y, x + w, y + h]
}

#[test]
fn every_panel_has_a_title_a_place_of_its_own_and_the_source_that_is_chosen() {
    let dashboard = dashboard();
    let choices = list(&dashboard["templating"], "list");
    assert_eq!(
        (choices[0]["name"].as_str(), choices[0]["type"].as_str()),
        (Some("datasource"), Some("datasource"))
    );
    assert!(dashboard.get("id").is_none() && dashboard["uid"].is_string(), "an id is of one installation");
    let panels = list(&dashboard, "panels");
    assert!(panels.len() >= 12);
    let (mut ids, mut titles) = (BTreeSet::new(), BTreeSet::new());
    for (at, panel) in panels.iter().enumerate() {
        let title = panel["title"].as_str().unwrap();
        assert!(titles.insert(title) && ids.insert(panel["id"].as_u64().unwrap()), "{title}");
        assert!(panel["description"].as_str().is_some_and(|text| text.ends_with('.')), "{title}");
        assert!(!list(panel, "targets").is_empty(), "{title}");
        let [left, top, right, bottom] = place(panel);
        assert!(right <= 24, "{title}");
        for other in &panels[..at] {
            let [x, y, to_x, to_y] = place(other);
            assert!(
                left >= to_x || right <= x || top >= to_y || bottom <= y,
                "{title} lies on {}",
                other["title"]
            );
        }
    }
    let sources = panels.iter().chain(targets(&dashboard)).map(|part| &part["datasource"]["uid"]);
    assert!(sources.into_iter().all(|source| source == SOURCE));
    assert_eq!(choices[1]["datasource"]["uid"], SOURCE);
    let of_one = targets(&dashboard)
        .filter(|target| !target["expr"].as_str().unwrap().contains("instance=~\"$instance\""));
    assert_eq!(of_one.count(), 0, "the choice of gateways is for every panel");
}
