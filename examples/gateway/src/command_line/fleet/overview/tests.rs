#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

use super::*;

const NOW_S: i64 = 1_700_000_000;

fn status(verdict: &str, ago_s: i64) -> serde_json::Value {
    serde_json::json!({
        "v": 1, "time_ms": (NOW_S - ago_s) * 1_000, "verdict": verdict, "since_s": 60, "why": null, "waiting": 5,
        "room_s": 100_000, "lost": 0, "parked": 0, "flash_mb": 1, "link_kb": 1, "memory_mb": 13,
        "certificate_days": null, "clock_synced": true, "version": "0.1.0", "config": "9c41e0d2",
    })
}

fn say(overview: &mut Overview, id: &str, status: &serde_json::Value) {
    overview.take(&format!("{STATUS}{id}"), status.to_string().as_bytes());
}

fn standings(fleet: &Fleet) -> Vec<(&str, Standing)> {
    fleet.gateways.iter().map(|gateway| (gateway.id.as_str(), gateway.standing)).collect()
}

#[test]
fn the_worst_is_first_and_one_that_is_away_is_not_well_whatever_it_said() {
    let mut overview = Overview::default();
    for verdict in ["delivering", "losing", "storing", "degraded", "catching-up"] {
        say(&mut overview, verdict, &status(verdict, 10));
        overview.take(&format!("{ALIVE}{verdict}"), b"1");
    }
    assert!(!overview.at(NOW_S).is_well());
    say(&mut overview, "gone", &status("delivering", 50_000));
    overview.take("edge/alive/gone", b"0");
    say(&mut overview, "stuck", &status("delivering", 7_800));
    overview.take("edge/alive/stuck", b"1");
    say(&mut overview, "later", &serde_json::json!({ "v": 2 }));
    overview.take("edge/alive/mute", b"1");
    let fleet = overview.at(NOW_S);
    assert_eq!(
        standings(&fleet),
        [
            ("losing", Standing::Losing),
            ("degraded", Standing::Degraded),
            ("gone", Standing::Away),
            ("stuck", Standing::Silent),
            ("later", Standing::Unclear),
            ("mute", Standing::Unclear),
            ("storing", Standing::Storing),
            ("catching-up", Standing::CatchingUp),
            ("delivering", Standing::Delivering),
        ]
    );
    let find = |id: &str| fleet.gateways.iter().find(|gateway| gateway.id == id).unwrap();
    // Of the time that it had left it has used what has passed; one that is there uses none.
    assert_eq!((find("gone").room_s, find("gone").age_s), (Some(50_000), Some(50_000)));
    assert_eq!((find("stuck").room_s, find("storing").room_s), (Some(92_200), Some(100_000)));
    assert_eq!(find("storing").since_s, Some(70));
    assert_eq!(find("later").why.as_deref(), Some("status of version 2, this program reads 1"));
    assert!(!fleet.is_well());
}

#[test]
fn all_is_well_when_all_are_and_there_is_one() {
    let mut overview = Overview::default();
    assert!(!overview.at(NOW_S).is_well(), "nobody");
    for verdict in ["delivering", "storing", "catching-up"] {
        say(&mut overview, verdict, &status(verdict, 7_799));
    }
    assert!(overview.at(NOW_S).is_well());
    assert!(!overview.at(NOW_S + 1).is_well(), "silent for too long");
    overview.take("edge/alive/delivering", b"0");
    assert!(!overview.at(NOW_S).is_well(), "away");
    overview.take("edge/alive/delivering", b"");
    assert!(overview.at(NOW_S).is_well(), "taken away");
    // One of which nothing is known may be losing.
    let left_out = Fleet { left_out: 1, ..overview.at(NOW_S) };
    assert!(!left_out.is_well(), "left out");
    overview.take("edge/status/delivering", b"");
    assert_eq!(overview.at(NOW_S).gateways.len(), 2, "decommissioned: both are cleared");
}

/// A gateway whose clock was never set is not silent since 1970.
#[test]
fn a_clock_that_is_not_right_says_nothing_of_an_age() {
    let mut overview = Overview::default();
    let mut status = status("delivering", NOW_S);
    status["clock_synced"] = false.into();
    say(&mut overview, "g", &status);
    let fleet = overview.at(NOW_S);
    assert_eq!((fleet.gateways[0].standing, fleet.gateways[0].age_s), (Standing::Delivering, None));
    overview.take("edge/alive/g", b"0");
    assert_eq!(overview.at(NOW_S).gateways[0].room_s, None, "nobody knows how long it is away");
}

/// For a person who has never seen this program's source.
#[test]
fn what_is_no_status_and_a_verdict_that_nobody_knows_are_told_in_plain_words() {
    let mut overview = Overview::default();
    let mut why = |payload: &str| {
        overview.take(&format!("{STATUS}g"), payload.as_bytes());
        let gateway = overview.at(NOW_S).gateways.remove(0);
        assert_eq!(gateway.standing, Standing::Unclear, "{payload}");
        gateway.why.unwrap()
    };
    assert_eq!(why("no JSON"), "no status: it is not JSON");
    assert_eq!(why("[]"), "no status: it is JSON, and no object");
    assert_eq!(why("{}"), "no status: it has no version (v)");
    assert_eq!(why("{\"v\":1}"), "no status: time_ms is missing");
    let with = |key: &str, value: serde_json::Value| {
        let mut status = status("delivering", 10);
        status[key] = value;
        status.to_string()
    };
    let names =
        ["time_ms", "verdict", "since_s", "why", "waiting", "room_s", "lost", "clock_synced", "version"];
    for name in names.into_iter().chain(["config"]) {
        let wrong = why(&with(name, serde_json::json!([])));
        assert!(wrong.starts_with(&format!("no status: {name} is not ")), "{wrong}");
    }
    assert_eq!(why(&with("waiting", (-1).into())), "no status: waiting is not a whole number from 0");
    assert_eq!(why(&with("verdict", "ok".into())), "unknown verdict \"ok\"");
    let mut both = status("ok", 10);
    both["why"] = "All is fine.".into();
    assert_eq!(why(&both.to_string()), "unknown verdict \"ok\": All is fine.");
}

/// Writers at the hub cannot make it grow, nor hide the others.
#[test]
fn what_is_kept_is_bounded() {
    let mut overview = Overview::default();
    say(&mut overview, "first", &status("losing", 0));
    for n in 0..GATEWAYS_MAX + 50 {
        overview.take(&format!("{ALIVE}{n}"), b"1");
    }
    overview.take(&format!("{ALIVE}{}", "x".repeat(ID_MAX + 1)), b"1");
    overview.take(ALIVE, b"1");
    overview.take("edge/other/g", b"1");
    say(&mut overview, "first", &serde_json::json!({ "v": 1, "why": "x".repeat(STATUS_MAX) }));
    let fleet = overview.at(NOW_S);
    assert_eq!((fleet.gateways.len(), fleet.left_out), (GATEWAYS_MAX, 51 + 2));
    let first = fleet.gateways.iter().find(|gateway| gateway.id == "first").unwrap();
    assert!(first.why.as_deref().unwrap().contains("too many for a status"), "{first:?}");
    for garbage in [&b"\xff\xfe"[..], b"[]", b"{}", b"null", b"{\"v\":1}", b"2", b"11"] {
        overview.take("edge/status/first", garbage);
        overview.take("edge/alive/first", garbage);
        assert_eq!(overview.at(NOW_S).gateways[0].standing, Standing::Unclear);
    }
}

#[test]
fn what_differs_from_most_is_known() {
    let mut overview = Overview::default();
    for (id, version) in [("a", "0.1.0"), ("b", "0.2.0"), ("c", "0.2.0")] {
        let mut status = status("delivering", 0);
        status["version"] = version.into();
        say(&mut overview, id, &status);
    }
    let fleet = overview.at(NOW_S);
    assert_eq!(fleet.usual(|gateway| gateway.version.as_deref()), Some("0.2.0"));
    assert_eq!(fleet.usual(|_| None), None);
}
