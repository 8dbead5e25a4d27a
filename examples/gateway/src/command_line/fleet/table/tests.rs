#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

use super::super::overview::Overview;
use super::*;

const NOW_S: i64 = 1_700_000_000;

fn overview(gateways: &[(&str, &str, &str, i64, bool)]) -> Overview {
    let mut overview = Overview::default();
    for (id, verdict, version, ago_s, is_connected) in gateways {
        let status = serde_json::json!({
            "v": 1, "time_ms": (NOW_S - ago_s) * 1_000, "verdict": verdict, "since_s": 60, "why": "the hub refused its certificate",
            "waiting": 90_972, "room_s": 166_400, "lost": 12_408, "clock_synced": true, "version": version, "config": "9c41e0d2",
        });
        overview.take(&format!("edge/status/{id}"), status.to_string().as_bytes());
        overview.take(&format!("edge/alive/{id}"), if *is_connected { b"1" } else { b"0" });
    }
    overview
}

#[test]
fn the_table_counts_and_then_names_each() {
    let gateways = [
        ("gw-014", "delivering", "0.2.0", 10, true),
        ("gw-015", "delivering", "0.2.0", 10, true),
        ("gw-131", "losing", "0.1.0", 3_540, true),
        ("gw-077", "delivering", "0.2.0", 30_000, false),
    ];
    let text = table(&overview(&gateways).at(NOW_S));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "4 gateways: 1 losing, 1 away, 2 delivering");
    assert!(lines[1].starts_with("state        gateway"), "{}", lines[1]);
    let words = |line: &str| {
        line.split("  ").map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    let why = "the hub refused its certificate";
    assert_eq!(
        words(lines[2]),
        ["losing", "gw-131", "1 h", "90\u{202f}972", "1 d 22 h", "12\u{202f}408", "0.1.0*", "9c41e0d2", why]
    );
    let last = "last words: delivering, the hub refused its certificate";
    assert_eq!(
        words(lines[3]),
        [
            "away",
            "gw-077",
            "8 h 20 min",
            "90\u{202f}972",
            "\u{2264} 1 d 13 h",
            "12\u{202f}408",
            "0.2.0",
            "9c41e0d2",
            last
        ]
    );
    assert!(lines[4].starts_with("delivering   gw-014") && lines[5].starts_with("delivering   gw-015"));
    assert_eq!(lines.len(), 6);
    let json: serde_json::Value = serde_json::from_str(&json(&overview(&gateways).at(NOW_S))).unwrap();
    assert_eq!(
        (json["gateways"][0]["standing"].as_str(), json["left_out"].as_u64()),
        (Some("losing"), Some(0))
    );
    assert_eq!(json["gateways"][1]["room_s"], 136_400);
}

#[test]
fn nobody_is_said_to_be_nobody() {
    let text = table(&Overview::default().at(NOW_S));
    assert!(text.starts_with("0 gateways\nNothing is kept"), "{text}");
}

/// A name or a cause cannot move the cursor, colour the screen, turn the text around or begin a line.
#[test]
fn nothing_foreign_speaks_to_the_terminal() {
    let id = "g\u{1b}[2J\n\u{202e}x";
    let mut overview = overview(&[(id, "lo\u{7}sing", "9\r9", 0, true)]);
    overview.take("edge/status/other", b"{\"v\":1,\"why\":\"\\u001b]0;x\\u0007\"}");
    let text = table(&overview.at(NOW_S));
    assert_eq!(text.lines().count(), 4, "{text:?}");
    assert!(!text.chars().any(|c| c != '\n' && edge_page::is_hidden(c)), "{text:?}");
    let long = "x".repeat(256);
    let text = table(&self::overview(&[(&long, "delivering", &long, 0, true)]).at(NOW_S));
    assert!(text.lines().all(|line| line.chars().count() < 240), "{text}");
}

/// Any reader of JSON gets the same text back.
#[test]
fn nothing_foreign_in_json_speaks_to_the_terminal() {
    let id = "g\u{1b}[2J\u{9b}31m\u{85}\u{202e}\u{2066}\u{7f}x";
    let line = json(&overview(&[(id, "losing", "9\u{9b}9", 0, true)]).at(NOW_S));
    assert!(!line.trim_end_matches('\n').chars().any(edge_page::is_hidden), "{line:?}");
    let read: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(read["gateways"][0]["id"], id);
}
