//! Cells of the page in words: the HTML is made of them, and `/status.json` carries them, so that a page that is refreshed says what a page that is
//! loaded says. Pure.

use std::collections::BTreeMap;

use edge_page::count;

use super::ledger::balance;
use super::snapshot::Snapshot;
use super::units::{bytes, counted, duration, rate};

/// Texts by the identifier of their element.
pub(super) type Texts = BTreeMap<&'static str, String>;

/// Returns the verdict as a heading has it.
pub(super) fn heading(verdict: &str) -> &'static str {
    match verdict {
        "delivering" => "Delivering",
        "storing" => "Storing",
        "catching-up" => "Catching up",
        "losing" => "Losing messages",
        _ => "Degraded",
    }
}

/// Returns every cell that changes with the figures.
pub(super) fn texts(snapshot: &Snapshot) -> Texts {
    let (queue, link, rates) = (&snapshot.queue, &snapshot.link, &snapshot.rates);
    let oldest = match queue.messages {
        0 => "nothing waits".to_owned(),
        _ => format!("the oldest for {}", duration(queue.oldest_ms / 1_000)),
    };
    let clock = if snapshot.clock_synced { "clock synchronised" } else { "clock not trusted" };
    let mut texts = Texts::from([
        ("sentence", snapshot.sentence.clone()),
        ("since", format!("for {}", duration(snapshot.since_s))),
        ("up", format!("up {}, {clock}", duration(snapshot.up_s))),
        ("lost", count(snapshot.lost)),
        ("waiting", count(queue.messages)),
        ("oldest", oldest),
        ("room", room(snapshot)),
        ("room_of", room_of(snapshot)),
        ("link", if link.is_up { "Up" } else { "Down" }.to_owned()),
        ("link_of", link_of(snapshot)),
        ("in", rate(rates.accepted_per_s)),
        ("held_back", rate(rates.suppressed_per_s)),
        ("out", rate(rates.delivered_per_s)),
        ("not_queued", count(queue.not_queued)),
        ("queue_bytes", bytes(queue.bytes)),
        ("store_bytes", bytes(snapshot.bytes.store_written)),
        ("wan_bytes", bytes(snapshot.bytes.wan.values().sum())),
    ]);
    if let Some(ledger) = &snapshot.ledger {
        texts.extend([
            ("accepted", count(ledger.accepted)),
            ("delivered", count(ledger.delivered)),
            ("queued", count(ledger.waiting)),
            ("parked", count(ledger.parked)),
            ("balance", balance(ledger)),
        ]);
    }
    texts
}

fn room(snapshot: &Snapshot) -> String {
    match snapshot.room.seconds {
        None => "Not known".to_owned(),
        Some(0) => "None".to_owned(),
        Some(seconds) => duration(seconds),
    }
}

/// Limit that is reached first, or why none is named.
fn room_of(snapshot: &Snapshot) -> String {
    match (&snapshot.room.limit, &snapshot.room.lane) {
        (Some(limit), Some(lane)) => format!("{limit} of lane {lane} is reached first"),
        _ if !snapshot.queue.open => "there is no queue".to_owned(),
        _ => "too little came in, or waited, to tell".to_owned(),
    }
}

fn link_of(snapshot: &Snapshot) -> String {
    let link = &snapshot.link;
    let answers = match link.round_trip_ms.filter(|_| link.is_up) {
        Some(ms) => format!(", answers in {ms} ms"),
        None => String::new(),
    };
    let unacked = if link.is_up {
        format!(", {} without answer", counted(link.unacked, "message"))
    } else {
        String::new()
    };
    format!("{} for {}{answers}{unacked}", link.state, duration(link.since_s))
}
