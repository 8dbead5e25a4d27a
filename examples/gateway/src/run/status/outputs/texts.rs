//! Texts of the page's cells. The HTML is made from them and `/status.json` has them, so that a refreshed page shows the same as a newly loaded
//! one. Pure.

use std::collections::BTreeMap;

use edge_page::count;

use crate::run::status::snapshot::ledger::balance;
use crate::run::status::snapshot::{LinkStatus, RouteStatus, Snapshot};

use super::units::{bytes, counted, duration, rate};

/// Texts by the `id` of their HTML element.
pub(super) type Texts = BTreeMap<String, String>;

/// Returns the verdict in the form for a heading.
pub(super) fn heading(verdict: &str) -> &'static str {
    match verdict {
        "delivering" => "Delivering",
        "storing" => "Storing",
        "catching-up" => "Catching up",
        "losing" => "Losing messages",
        _ => "Degraded",
    }
}

/// Returns the text of every cell that changes with the figures.
pub(super) fn texts(snapshot: &Snapshot) -> Texts {
    let (queue, link, rates) = (&snapshot.queue, &snapshot.link, &snapshot.rates);
    let oldest = match queue.messages {
        0 => "nothing waits".to_owned(),
        _ => format!("the oldest for {}", duration(queue.oldest_ms / 1_000)),
    };
    let clock = if snapshot.clock_synced { "clock synchronised" } else { "clock not trusted" };
    let mut texts = Texts::new();
    let mut put = |id: &str, text: String| _ = texts.insert(id.to_owned(), text);
    put("sentence", snapshot.sentence.clone());
    put("since", format!("for {}", duration(snapshot.since_s)));
    put("up", format!("up {}, {clock}", duration(snapshot.up_s)));
    put("lost", count(snapshot.lost));
    put("waiting", count(queue.messages));
    put("oldest", oldest);
    put("room", room(snapshot));
    put("room_of", room_of(snapshot));
    put("link", if link.is_up { "Up" } else { "Down" }.to_owned());
    put("link_of", link_of(snapshot));
    put("in", rate(rates.accepted_per_s));
    put("held_back", rate(rates.suppressed_per_s));
    put("out", rate(rates.delivered_per_s));
    put("not_queued", count(queue.not_queued));
    put("queue_bytes", bytes(queue.bytes));
    put("store_bytes", bytes(snapshot.bytes.store_written));
    put("wan_bytes", bytes(snapshot.bytes.wan.values().sum()));
    for (at, wan) in snapshot.bytes.wan.values().enumerate() {
        put(&format!("wan{at}"), bytes(*wan));
    }
    for (at, lane) in queue.lanes.iter().enumerate() {
        let max = lane.max_messages.map_or_else(String::new, |max| format!(" of {}", count(max)));
        put(&format!("lane{at}_messages"), count(lane.messages) + &max);
        put(&format!("lane{at}_bytes"), format!("{} of {}", bytes(lane.bytes), bytes(lane.max_bytes)));
        put(&format!("lane{at}_full"), format!("{} %", lane.percent()));
    }
    for (at, route) in snapshot.routes.iter().enumerate() {
        put(&format!("route{at}_messages"), count(route.messages));
        put(&format!("route{at}_suppressed"), suppressed(route));
    }
    if let Some(ledger) = &snapshot.ledger {
        put("accepted", count(ledger.accepted));
        put("delivered", count(ledger.delivered));
        put("queued", count(ledger.waiting));
        put("parked", count(ledger.parked));
        put("balance", balance(ledger));
        for (at, dropped) in ledger.dropped.values().enumerate().filter(|(_, dropped)| **dropped > 0) {
            put(&format!("dropped{at}"), count(*dropped));
        }
    }
    texts
}

fn suppressed(route: &RouteStatus) -> String {
    match route.readings.zip(route.suppressed) {
        Some((readings, suppressed)) => {
            let percent = suppressed.saturating_mul(100).checked_div(readings).unwrap_or(0);
            format!("{percent} % of {}", count(readings))
        }
        None => "no filter".to_owned(),
    }
}

fn room(snapshot: &Snapshot) -> String {
    match snapshot.room.seconds {
        None => "Not known".to_owned(),
        Some(0) if !snapshot.room.is_of_age() => "None".to_owned(),
        Some(seconds) => duration(seconds),
    }
}

/// Returns the limit that is reached first, or the reason why none is named.
fn room_of(snapshot: &Snapshot) -> String {
    match (&snapshot.room.limit, &snapshot.room.lane) {
        _ if snapshot.room.is_of_age() && snapshot.room.seconds == Some(0) => {
            "max_age is reached: the oldest expires unsent".to_owned()
        }
        (Some(limit), Some(lane)) => format!("{limit} of lane {lane} is reached first"),
        _ if !snapshot.queue.open => "there is no queue".to_owned(),
        _ => "too little came in, or waited, to tell".to_owned(),
    }
}

/// Returns the link's state, and the time for which it is up or down. The state itself may be younger: a link that is up for days turns `idle`.
pub(super) fn link_since(link: &LinkStatus) -> String {
    let side = if link.is_up { "up" } else { "down" };
    format!("{}, {side} for {}", link.state, duration(link.since_s))
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
    format!("{}{answers}{unacked}", link_since(link))
}
