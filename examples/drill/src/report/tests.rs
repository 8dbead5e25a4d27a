use std::collections::BTreeMap;

use super::*;
use crate::forecast::Forecast;
use crate::record::{Acked, Arrived, Header, Records, SCHEMA, sha256_hex};
use crate::series;
use crate::verdict::{GatewayLedger, Observed, judge};

const STARTED_AT: i64 = 1_795_184_400_000;

/// A drill as it could have been: real payloads, an outage, a backlog, copies, and suppressed readings.
fn synthetic(seconds: u64) -> Report {
    let story = Story::new(7, seconds);
    let outages: Vec<(i64, i64)> =
        story.outages().map(|p| (STARTED_AT + p.from_ms as i64, STARTED_AT + p.to_ms as i64)).collect();
    let (records, published) = traffic(&story, &outages);
    let timeline = Timeline {
        killed_at: Some(STARTED_AT + story.kill_ms as i64),
        accepting_at: Some(STARTED_AT + story.restart_ms as i64 + 300),
        outages,
    };
    let verdict = judge(&records, &timeline, &published);
    let observed = Observed {
        wan_up_bytes: 612_345,
        wan_down_bytes: 48_120,
        json_bytes: 901_222,
        flash_bytes_written: 1_304_992,
        gateway_rss_kib_max: 11_264,
        kills: 1,
        waiting_at_return: Some((1_250, 140_000)),
        stall_noticed_ms: Some(3_900),
        ledger: Some(GatewayLedger {
            accepted: verdict.acknowledged,
            delivered: verdict.delivered_unique,
            queued: 0,
            dropped: verdict.represented,
        }),
        ..Observed::default()
    };
    let events = vec![Event { at_ms: story.kill_ms, name: "gateway.killed", text: "signal 9 <here>".into() }];
    Report {
        samples: waiting(&story, &records),
        story,
        records,
        timeline,
        verdict,
        observed,
        events,
        forecast: Some(Forecast {
            link_bytes: 700_000,
            store_bytes: 1_200_000,
            waiting: (1_300, 150_000),
            catch_up: None,
        }),
        started_at: STARTED_AT,
        gateway: "edge-gateway 0.1.0".into(),
        stack: "built-in hub".into(),
        command: "edge-gateway drill --seed 7".into(),
    }
}

/// Messages of the story with their acknowledgements and arrivals, and how many each sensor published.
fn traffic(story: &Story, outages: &[(i64, i64)]) -> (Records, BTreeMap<String, u64>) {
    let sensors = series::sensors().unwrap();
    let (mut acks, mut hub, mut last) = (Vec::new(), Vec::new(), BTreeMap::<String, f64>::new());
    let mut published = BTreeMap::<String, u64>::new();
    for (n, due_ms) in (0_u64..).map_while(|n| story.due_ms(n).map(|ms| (n, ms))) {
        let sensor = &sensors[n as usize % sensors.len()];
        let sent = STARTED_AT + due_ms as i64;
        let message = sensor.message(n / sensors.len() as u64, sent + (n % 3) as i64);
        *published.entry(sensor.name.clone()).or_default() += 1;
        let ack = Acked {
            class: sensor.class,
            client: sensor.name.clone(),
            topic: sensor.topic.clone(),
            sha256: sha256_hex(&message.payload),
            first_sent: sent,
            time: sent + 300 + (n % 90) as i64 * 8,
            reading: message.reading.clone(),
        };
        let keep = match (&message.reading, sensor.tolerance) {
            (Some(reading), Some(tolerance)) => {
                let kept = last.get(&sensor.name).is_none_or(|v| (v - reading.value).abs() > tolerance);
                if kept {
                    last.insert(sensor.name.clone(), reading.value);
                }
                kept
            }
            _ => true,
        };
        if keep {
            let back =
                outages.iter().find(|(from, to)| (*from - 400..*to).contains(&sent)).map(|(_, to)| *to);
            let time =
                back.map_or(sent + 420 + (n % 41) as i64 * 7, |back| back + 900 + (sent - back + 14_000) / 6);
            let arrived = Arrived {
                class: sensor.class,
                client: Some(sensor.name.clone()),
                topic: format!("site7/{}", sensor.topic),
                sha256: ack.sha256.clone(),
                time,
                id: Some(format!("1-0-1-{n}")),
                pd: false,
                reading: message.reading,
            };
            if n % 500 == 3 && back.is_some() {
                hub.push(Arrived { time: time + 40, ..arrived.clone() });
            }
            hub.push(arrived);
        }
        acks.push(ack);
    }
    let tolerance = sensors.iter().filter_map(|s| s.tolerance.map(|t| (s.name.clone(), t))).collect();
    let unfiltered = sensors.iter().filter(|s| s.is_unfiltered()).map(|s| s.name.clone()).collect();
    let header = Header { schema: SCHEMA, seed: 7, raw_prefix: "site7/".into(), tolerance, unfiltered };
    (Records { header, acks, hub }, published)
}

/// Numbers of waiting messages, second by second.
fn waiting(story: &Story, records: &Records) -> Vec<Sample> {
    let sent_at: BTreeMap<&str, i64> =
        records.acks.iter().map(|a| (a.sha256.as_str(), a.first_sent)).collect();
    let stays: Vec<(i64, i64)> = records.hub.iter().map(|a| (sent_at[a.sha256.as_str()], a.time)).collect();
    (0..=story.publish_ms + 4000)
        .step_by(1000)
        .map(|at_ms| {
            let now = STARTED_AT + at_ms as i64;
            let waiting = stays.iter().filter(|(from, to)| (*from..*to).contains(&now)).count() as u64;
            Sample { at_ms, waiting, link: "flowing".into() }
        })
        .collect()
}

fn failed(seconds: u64) -> Report {
    let mut report = synthetic(seconds);
    let (from, _) = report.timeline.outages[0];
    let in_cut = |sent: i64| (from + 3000..from + 5000).contains(&sent);
    let dropped: Vec<String> =
        report.records.acks.iter().filter(|a| in_cut(a.first_sent)).map(|a| a.sha256.clone()).collect();
    report.records.hub.retain(|arrived| !dropped.contains(&arrived.sha256));
    let published = report.verdict.per_client.iter().map(|(k, v)| (k.clone(), v.published)).collect();
    report.verdict = judge(&report.records, &report.timeline, &published);
    report
}

/// Every element that is opened is closed in order; void elements apart.
fn assert_well_formed(html: &str) {
    const VOID: [&str; 3] = ["meta", "link", "!doctype"];
    let mut open: Vec<String> = Vec::new();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        let end = at + rest[at..].find('>').expect("a tag that never ends");
        let tag = &rest[at + 1..end];
        assert!(!tag.contains('<'), "< inside a tag: {tag}");
        let name: String =
            tag.trim_start_matches('/').chars().take_while(|c| !c.is_whitespace() && *c != '/').collect();
        rest = &rest[end + 1..];
        if tag.starts_with('/') {
            assert_eq!(open.pop().as_deref(), Some(name.as_str()), "closed out of order");
        } else if !tag.ends_with('/') && !VOID.contains(&name.as_str()) {
            if name == "style" || name == "script" {
                rest = &rest[rest.find(&format!("</{name}")).unwrap()..];
            }
            open.push(name);
        }
    }
    assert!(open.is_empty(), "never closed: {open:?}");
}

#[test]
fn the_page_is_well_formed_small_and_asks_for_nothing_from_outside() {
    for report in [synthetic(40), failed(40), synthetic(300)] {
        let page = html::page(&report);
        assert_well_formed(&page);
        assert!(page.len() < 300_000, "{} bytes", page.len());
        let without_namespace = page.replace("http://www.w3.org/2000/svg", "");
        for outside in ["http:", "https:", "src=", "@import", "url(", "//cdn"] {
            assert!(!without_namespace.contains(outside), "{outside}");
        }
        for number in ["NaN", "inf", "Infinity"] {
            assert!(
                !page.contains(&format!("\"{number}")) && !page.contains(&format!(" {number} ")),
                "{number}"
            );
        }
    }
}

#[test]
fn a_passed_drill_says_so_and_shows_no_failure() {
    let report = synthetic(40);
    let page = html::page(&report);
    assert!(report.passed());
    assert!(page.contains("<em>Passed.</em> None of 7\u{202f}680 acknowledged readings is lost."));
    assert!(!page.contains("class=\"fail\"") && !page.contains(">broken<"));
    assert!(!page.contains("class=\"lost\""));
}

#[test]
fn promise_1_a_failed_drill_says_what_is_lost_before_the_first_plot() {
    let report = failed(40);
    let lost = report.verdict.lost.len();
    assert!(lost > 10);
    let page = html::page(&report);
    assert!(
        page.contains(&format!("<em>Failed.</em> {lost} of 7\u{202f}680 acknowledged readings are lost."))
    );
    assert!(page.find("class=\"fail\"").unwrap() < page.find("<svg").unwrap());
    assert!(page.contains("no message with this hash and topic"));
    assert!(page.contains("class=\"lost\"") && page.contains("<i class=x title="));
    assert!(page.contains("edge-gateway drill --seed 7 --record ./evidence"));
}

#[test]
fn names_from_outside_cannot_break_the_page() {
    let mut report = failed(40);
    let evil = "</script><img src=x onerror=alert(1)>\"'&";
    for ack in &mut report.records.acks {
        ack.client = evil.into();
    }
    report.verdict.per_client.insert(evil.into(), Default::default());
    report.command = evil.into();
    report.stack = evil.into();
    report.gateway = evil.into();
    report.events[0].text = evil.into();
    let page = html::page(&report);
    assert!(!page.contains("<img"));
    assert_well_formed(&page);
}

#[test]
fn an_empty_drill_still_makes_a_page() {
    let mut report = synthetic(30);
    report.records.acks.clear();
    report.records.hub.clear();
    report.samples.clear();
    report.timeline = Timeline::default();
    report.verdict = judge(&report.records, &report.timeline, &BTreeMap::new());
    report.observed = Observed::default();
    assert!(!report.passed());
    assert_well_formed(&html::page(&report));
}

#[test]
fn report_json_holds_every_pinned_field() {
    let report = synthetic(40);
    let dir = tempfile::tempdir().unwrap();
    report.write(&dir.path().join("a/b")).unwrap();
    let text = std::fs::read_to_string(dir.path().join("a/b").join(JSON_FILE)).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let numbers = "schema acknowledged published delivered_unique lost duplicates duplicates_recognised wan_bytes \
        json_bytes flash_bytes_written gateway_rss_kib_max outage_seconds catch_up_seconds kills";
    for name in numbers.split_whitespace() {
        assert!(json[name].is_number(), "{name}");
    }
    assert_eq!((&json["lost"], &json["outage_seconds"]), (&0.into(), &22.0.into()));
    let rows = &json["forecast"]["waiting_rows"];
    assert_eq!(
        (&rows["predicted"], &rows["measured"], &rows["ratio"]),
        (&1_300.0.into(), &1_250.0.into(), &1.04.into())
    );
    assert!(json["forecast"]["catch_up_seconds"]["predicted"].is_null());
    assert_eq!(json["per_client"].as_object().unwrap().len(), 16);
    assert_eq!(json["events"][0]["event"], "gateway.killed");
    assert!(dir.path().join("a/b").join(HTML_FILE).exists());
}

/// Set `DRILL_PREVIEW` to a folder to look at the two pages in a browser.
#[test]
fn both_outcomes_can_be_written_for_a_look() {
    let kept = std::env::var_os("DRILL_PREVIEW").map(std::path::PathBuf::from);
    let dir = tempfile::tempdir().unwrap();
    let base = kept.as_deref().unwrap_or(dir.path());
    synthetic(40).write(&base.join("pass")).unwrap();
    failed(40).write(&base.join("fail")).unwrap();
    assert!(base.join("pass").join(HTML_FILE).exists() && base.join("fail").join(JSON_FILE).exists());
}

#[test]
fn what_was_predicted_stands_beside_what_was_measured_or_not_at_all() {
    let mut report = synthetic(40);
    let page = sections::forecast(&report);
    assert!(page.contains("<td class=r>1300</td><td class=r>1250</td><td class=r>1.04</td>"), "{page}");
    assert!(crate::verdict_text(&report, Path::new("r")).contains(
        "  sizing  rows waiting when the link came back: predicted 1300, measured 1250, ratio 1.04\n"
    ));
    report.forecast = None;
    assert_eq!(sections::forecast(&report), "");
    assert!(!crate::verdict_text(&report, Path::new("r")).contains("sizing"));
}

#[test]
fn the_ledger_is_red_only_where_something_is_missing() {
    let ledger = |report: &Report| sections::ledger(report);
    let mut report = synthetic(40);
    report.verdict.duplicates = 40;
    let own = report.observed.ledger.unwrap();
    for (accepted, delivered, said) in [(40, 40, "40 copies"), (0, 0, "agree")] {
        report.observed.ledger = Some(GatewayLedger {
            accepted: own.accepted + accepted,
            delivered: own.delivered + delivered,
            ..own
        });
        let html = ledger(&report);
        assert!(html.contains(said), "{html}");
        let row = html.lines().find(|line| line.contains("<td>Delivered<small>")).unwrap();
        assert!(!row.contains("p n"), "{row}");
    }
    report.observed.ledger =
        Some(GatewayLedger { delivered: own.delivered - 7, accepted: own.accepted - 7, ..own });
    assert!(ledger(&report).contains("7 before the kill"), "{}", ledger(&report));
    report.observed.ledger = Some(GatewayLedger { delivered: own.delivered + 41, ..own });
    assert!(ledger(&report).contains("p n\">differ by 41"), "{}", ledger(&report));
    let mut lost = failed(40);
    lost.observed.ledger = Some(GatewayLedger { delivered: own.delivered - 7, ..own });
    assert!(ledger(&lost).contains("p n\">differ by"), "{}", ledger(&lost));
}
