//! The page as text: what it holds, what it must not hold, how large it is.

use crate::run::status::snapshot::Need;
use crate::run::status::snapshot::history::SLOTS;
use crate::run::status::snapshot::test_snapshots::{
    delivering, figures, golden, outage, recorder, snapshot, storing,
};

use super::*;

fn slots() -> Vec<Slot> {
    recorder(&outage()).history().slots().copied().collect()
}

/// The body without style and script.
fn body(page: &str) -> &str {
    let (_, body) = page.split_once("<body>").unwrap();
    body.split_once("<script>").unwrap().0
}

#[test]
fn the_page_stays() {
    let page = html(&storing(), &slots());
    golden("storing.html", body(&page));
}

/// Every element that needs one is closed, and every identifier is there once.
#[test]
fn the_elements_fit_into_each_other() {
    for snapshot in [delivering(), storing()] {
        let page = html(&snapshot, &slots());
        let mut open: Vec<&str> = Vec::new();
        for tag in body(&page).split('<').skip(1) {
            let (tag, _) = tag.split_once('>').unwrap();
            let name = tag.trim_start_matches('/').split(' ').next().unwrap();
            if tag.starts_with('/') {
                assert_eq!(open.pop(), Some(name), "{tag}");
            } else if !tag.ends_with('/') {
                open.push(name);
            }
        }
        assert_eq!(open, [""; 0]);
        let mut ids: Vec<_> =
            page.split(" id=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count, "{ids:?}");
        for id in texts(&snapshot).keys() {
            assert!(ids.contains(&id.as_str()), "{id} of /status.json has no place on the page");
        }
    }
}

/// Colour is never alone, and a reader of the page alone has title, language, headings and names of drawings.
#[test]
fn it_can_be_read_without_colours_and_without_eyes() {
    let page = html(&storing(), &slots());
    for part in [
        "<html lang=\"en\">",
        "<title>Storing · site7</title>",
        "<h1>site7</h1>",
        "role=\"status\">Storing</b>",
        "Skip to the status",
        "scope=\"col\"",
        "scope=\"row\"",
        "role=\"img\" aria-label=\"Messages waiting, at most",
    ] {
        assert!(page.contains(part), "{part} is missing");
    }
    assert_eq!(page.matches("role=\"status\"").count(), 1, "only the verdict speaks by itself");
    assert_eq!(
        page.matches("<svg").count(),
        page.matches("role=\"img\"").count() + 1,
        "the verdict's shape has its word beside it"
    );
}

#[test]
fn nothing_comes_from_outside_and_the_policy_lets_in_what_is_there() {
    let page = html(&storing(), &slots());
    for outside in
        ["http:", "https:", "//", "@import", "url(", "src=", "style=\"", "onclick=\"", "javascript:"]
    {
        let inside = page.replace("<!doctype html>", "");
        assert!(!inside.contains(outside), "{outside}");
    }
    let policy = content_security_policy();
    for (tag, kind) in [("style", "style-src"), ("script", "script-src")] {
        let (_, rest) = page.split_once(&format!("<{tag}>")).unwrap();
        let (text, _) = rest.split_once(&format!("</{tag}>")).unwrap();
        let hash = base64::encode(&Sha256::digest(text));
        assert!(policy.contains(&format!("{kind} 'sha256-{hash}'")), "{policy}");
    }
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
}

#[test]
fn foreign_text_is_text() {
    let mut hostile = storing();
    let text = "<script>alert(1)</script>\"'&\u{202e}\u{1b}";
    hostile.gateway = text.to_owned();
    hostile.link.cause = Some(text.to_owned());
    hostile.sentence = text.to_owned();
    hostile.events[0].cause = Some(text.to_owned());
    hostile.queue.lanes[0].name = text.to_owned();
    hostile.needs =
        vec![Need { level: Level::Act, id: "x".to_owned(), text: text.to_owned(), action: text.to_owned() }];
    for route in &mut hostile.routes {
        (route.filter, route.to, route.lane) = (text.to_owned(), text.to_owned(), text.to_owned());
    }
    hostile.bytes.wan.insert(text.to_owned(), 1);
    hostile.room.lane = Some(text.to_owned());
    if let Some(ledger) = &mut hostile.ledger {
        ledger.dropped.insert(text.to_owned(), 1);
    }
    let page = html(&hostile, &slots());
    assert_eq!(page.matches("<script>").count(), 1);
    assert!(!page.contains(['\u{202e}', '\u{1b}']) && page.contains("&lt;script&gt;alert(1)"));
}

/// 16 routes, a day that never stood still, and much that needs a person.
#[test]
fn the_page_has_at_most_30_kb() {
    let mut figures = outage();
    figures.sample.refused.parked = 12_408;
    figures.sample.refused.last = Some("not authorized (0x87)".to_owned());
    figures.sample.counts.unrouted = 99_999;
    figures.sample.clock_synced = false;
    let mut large = snapshot(&figures);
    let route = large.routes[1].clone();
    large.routes = vec![route; 16];
    let event = large.events[0].clone();
    large.events = vec![event; 16];
    let slot = |at: u64| Slot {
        index: at,
        accepted: at * 7_919 % 100_000,
        delivered: at * 104_729 % 100_000,
        waiting_max: at * 1_299_709 % 1_000_000,
        seen_ms: 300_000,
        up_ms: at % 3 * 150_000,
    };
    let slots: Vec<_> = (0..SLOTS as u64).map(slot).collect();
    let page = html(&large, &slots);
    assert!(page.len() <= 30_000, "{} bytes", page.len());
}

#[test]
fn a_gateway_without_losses_shows_none_in_red() {
    assert!(!html(&delivering(), &slots()).contains("class=\"n bad\""));
    let mut figures = figures();
    figures.sample.given_up = 1;
    assert!(html(&snapshot(&figures), &slots()).contains("class=\"n bad\""));
}

/// A list stands only where there is something for it, a sentence too.
#[test]
fn the_page_says_what_is_not_there() {
    let good = html(&delivering(), &slots());
    assert!(good.contains("<p>Nothing.</p></section>") && !good.contains("class=\"todo\""), "{good}");
    assert!(good.contains("clock synchronised") && !good.contains("are not listed"), "{good}");
    let mut other = delivering();
    (other.clock_synced, other.more_routes, other.queue.cause) = (false, 1, Some("disk full".to_owned()));
    let other = html(&other, &slots());
    for part in ["clock not trusted", "1 more are not listed.", "Not open: disk full"] {
        assert!(other.contains(part), "{part} is missing");
    }
}
