//! Sentence that explains the verdict: the condition, its meaning, and how long it can last. Pure.

use crate::run::hub::link_trouble::LinkTrouble;
use crate::run::status::outputs::units::{counted, counted_were, duration};

use super::Snapshot;

/// Returns the sentence for the rest of the snapshot.
pub(in crate::run::status) fn sentence(snapshot: &Snapshot) -> String {
    match snapshot.verdict.as_str() {
        "delivering" => format!("Messages go to the hub as they come in. {}", losses(snapshot)),
        "storing" => storing(snapshot),
        "catching-up" => catching_up(snapshot),
        "losing" => format!("{} {}", first_need(snapshot, "Messages are being given up."), outlook(snapshot)),
        _ => format!("{} {}", first_need(snapshot, "It works, and needs a person."), losses(snapshot)),
    }
    .trim_end()
    .to_owned()
}

/// Returns the part about lost messages, and messages that expired.
fn losses(snapshot: &Snapshot) -> String {
    // Readings that the rules drop for their time are lost, and no message was given up.
    let drops_for_time = snapshot.needs.iter().any(|need| need.id == "time");
    let is_queue_gone = snapshot.needs.iter().any(|need| need.id == "queue_gone");
    let lost = match snapshot.lost {
        0 if drops_for_time => "No message was given up.".to_owned(),
        0 if is_queue_gone => "A queue was lost earlier, with an unknown number of messages.".to_owned(),
        0 => "Nothing has been lost.".to_owned(),
        lost => format!("{} lost earlier.", counted_were(lost, "message")),
    };
    let ended =
        |reason: &str| snapshot.ledger.as_ref().and_then(|ledger| ledger.dropped.get(reason)).copied();
    match ended("expired").filter(|expired| *expired > 0) {
        Some(expired) => format!("{lost} {} expired unsent.", counted(expired, "message")),
        None => lost,
    }
}

fn storing(snapshot: &Snapshot) -> String {
    format!("{} Messages are kept here. {} {}", no_link(snapshot), losses(snapshot), outlook(snapshot))
}

/// Returns the part about the link that is down: whether the hub refuses it or does not answer.
fn no_link(snapshot: &Snapshot) -> String {
    let link = &snapshot.link;
    let since = duration(link.since_s);
    match (link.cause.as_deref().and_then(LinkTrouble::of), link.cause.as_deref()) {
        (Some(LinkTrouble::Refused(why)), _) => {
            format!("The hub refuses the connection: {why}. There is none for {since}.")
        }
        (Some(LinkTrouble::Tls(why)), _) => {
            format!("TLS with the hub fails: {why}. There is no connection for {since}.")
        }
        (None, Some(why)) => format!("The hub has not answered for {since} ({why})."),
        (None, None) => format!("The hub has not answered for {since}."),
    }
}

/// Returns the part about the time until the queue is full, or until the oldest message expires, which keeps nothing out; empty if that is unknown.
fn outlook(snapshot: &Snapshot) -> String {
    match (snapshot.room.seconds, snapshot.room.is_of_age()) {
        (None, _) => String::new(),
        (Some(0), true) => "The oldest has reached max_age: it expires unsent when the hub is back, and takes its room until then.".to_owned(),
        (Some(left), true) => {
            format!("In {} the oldest reaches max_age, and expires unsent.", duration(left))
        }
        (Some(0), false) => "There is no room left.".to_owned(),
        (Some(left), false) => format!("At the present rate there is room for {} more.", duration(left)),
    }
}

fn catching_up(snapshot: &Snapshot) -> String {
    let are = if snapshot.queue.messages == 1 { "is on its" } else { "are on their" };
    let waiting = counted(snapshot.queue.messages, "message");
    let net = snapshot.rates.delivered_per_s - snapshot.rates.accepted_per_s;
    let time = if net > 0.0 {
        let left_s = (snapshot.queue.messages as f64 / net) as u64;
        format!(", about {} at the present rate", duration(left_s))
    } else {
        String::new()
    };
    format!("The hub answers, and {waiting} that had to wait {are} way{time}. {}", losses(snapshot))
}

fn first_need(snapshot: &Snapshot, otherwise: &str) -> String {
    snapshot.needs.first().map_or_else(|| otherwise.to_owned(), |need| need.text.clone())
}
