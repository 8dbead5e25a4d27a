//! Status as text for a terminal, in the order of the page. Pure: the caller decides about colours, and control characters in foreign text are
//! replaced.

use std::fmt::{self, Write};

use edge_page::{count, is_hidden};

use crate::run::status::snapshot::ledger::balance;
use crate::run::status::snapshot::{Level, Snapshot};

use super::texts::link_since;
use super::units::{bytes, counted, duration, rate};

/// Most changes of the state that are shown.
const EVENTS: usize = 5;

/// Returns foreign text with control characters replaced.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if is_hidden(c) { '\u{fffd}' } else { c }).collect()
}

/// Returns the status as lines of text. `colours`: with ANSI colours.
pub(crate) fn terminal(snapshot: &Snapshot, colours: bool) -> String {
    let mut out = String::with_capacity(2_048);
    // Writing to a `String` cannot fail.
    let written = write_all(&mut out, snapshot, colours);
    debug_assert!(written.is_ok());
    out
}

fn write_all(out: &mut String, snapshot: &Snapshot, colours: bool) -> fmt::Result {
    let (begin, end) = if colours { (colour(&snapshot.verdict), "\u{1b}[0m") } else { ("", "") };
    let word = printable(&snapshot.verdict).to_uppercase();
    writeln!(
        out,
        "{begin}{word}{end}  {}   {}",
        printable(&snapshot.gateway),
        printable(&snapshot.sentence)
    )?;
    link(out, snapshot)?;
    queue(out, snapshot)?;
    ledger(out, snapshot)?;
    let rates = &snapshot.rates;
    writeln!(
        out,
        "rates     {} in, {} to the hub, {} suppressed by filters, per s over {}",
        rate(rates.accepted_per_s),
        rate(rates.delivered_per_s),
        rate(rates.suppressed_per_s),
        duration(rates.over_s)
    )?;
    let wan = snapshot.bytes.wan.values().sum();
    let (up, clock) =
        (duration(snapshot.up_s), if snapshot.clock_synced { "synchronised" } else { "not trusted" });
    let store = bytes(snapshot.bytes.store_written);
    writeln!(
        out,
        "gateway   up {up}, clock {clock}, {} over the link and {store} to the store since the start",
        bytes(wan)
    )?;
    writeln!(out)?;
    match snapshot.needs.is_empty() {
        true => writeln!(out, "Nothing needs a person.")?,
        false => writeln!(out, "Needs a person")?,
    }
    for need in &snapshot.needs {
        let level = if need.level == Level::Act { "act " } else { "look" };
        writeln!(out, "  {level}  {}\n        {}", printable(&need.text), printable(&need.action))?;
    }
    lanes(out, snapshot)?;
    events(out, snapshot)
}

fn colour(verdict: &str) -> &'static str {
    match verdict {
        "delivering" => "\u{1b}[1;32m",
        "storing" | "catching-up" => "\u{1b}[1;36m",
        "losing" => "\u{1b}[1;31m",
        _ => "\u{1b}[1;33m",
    }
}

fn link(out: &mut String, snapshot: &Snapshot) -> fmt::Result {
    let link = &snapshot.link;
    write!(out, "link      {}", printable(&link_since(link)))?;
    if let Some(ms) = link.round_trip_ms {
        write!(out, ", round trip {ms} ms")?;
    }
    write!(out, ", {} without answer", counted(link.unacked, "message"))?;
    match link.cause.as_deref().filter(|_| !link.is_up) {
        Some(cause) => writeln!(out, ": {}", printable(cause)),
        None => writeln!(out),
    }
}

fn queue(out: &mut String, snapshot: &Snapshot) -> fmt::Result {
    let queue = &snapshot.queue;
    if !queue.open {
        return writeln!(
            out,
            "queue     not open: {}",
            printable(queue.cause.as_deref().unwrap_or("no cause"))
        );
    }
    let oldest = duration(queue.oldest_ms / 1_000);
    write!(out, "queue     {} waiting, {}", counted(queue.messages, "message"), bytes(queue.bytes))?;
    if queue.messages > 0 {
        write!(out, ", the oldest for {oldest}")?;
    }
    match (snapshot.room.seconds, &snapshot.room.limit) {
        (Some(seconds), Some(limit)) => {
            writeln!(out, "; room for {} more ({})", duration(seconds), printable(limit))
        }
        _ => writeln!(out, "; room left is not known yet"),
    }
}

fn ledger(out: &mut String, snapshot: &Snapshot) -> fmt::Result {
    let lost = count(snapshot.lost);
    let Some(ledger) = &snapshot.ledger else {
        return writeln!(out, "ledger    not known yet; lost {lost}");
    };
    write!(
        out,
        "ledger    {} accepted = {} delivered + {} waiting + {} parked",
        count(ledger.accepted),
        count(ledger.delivered),
        count(ledger.waiting),
        count(ledger.parked)
    )?;
    for (reason, dropped) in ledger.dropped.iter().filter(|(_, dropped)| **dropped > 0) {
        write!(out, " + {} {}", count(*dropped), printable(reason))?;
    }
    writeln!(out, "\n          {} Lost: {lost}.", balance(ledger))
}

fn lanes(out: &mut String, snapshot: &Snapshot) -> fmt::Result {
    if snapshot.queue.lanes.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{:<20} {:>12} {:>12} {:>6}", "lane", "waiting", "bytes", "full")?;
    for lane in &snapshot.queue.lanes {
        let (name, percent) = (printable(&lane.name), lane.percent());
        writeln!(out, "{name:<20} {:>12} {:>12} {percent:>4} %", count(lane.messages), bytes(lane.bytes))?;
    }
    Ok(())
}

fn events(out: &mut String, snapshot: &Snapshot) -> fmt::Result {
    writeln!(out)?;
    for event in snapshot.events.iter().take(EVENTS) {
        let times = if event.times > 1 { format!(", {} times", event.times) } else { String::new() };
        let cause =
            event.cause.as_deref().map_or_else(String::new, |cause| format!(": {}", printable(cause)));
        let (verdict, link) = (printable(&event.verdict), printable(&event.link));
        writeln!(out, "{:>14} ago  {verdict}, link {link}{times}{cause}", duration(event.ago_s))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::run::status::snapshot::test_snapshots;

    use super::*;

    #[test]
    fn the_text_stays() {
        test_snapshots::golden("storing.txt", &terminal(&test_snapshots::storing(), false));
    }

    #[test]
    fn colours_are_there_if_they_are_wanted_and_foreign_text_drives_no_terminal() {
        assert!(terminal(&test_snapshots::storing(), true).starts_with("\u{1b}[1;36mSTORING\u{1b}[0m"));
        let mut hostile = test_snapshots::storing();
        let text = "\u{1b}[2J\u{202e}\n\u{9b}x";
        hostile.link.cause = Some(text.to_owned());
        hostile.gateway = text.to_owned();
        hostile.needs[0].text = text.to_owned();
        hostile.queue.lanes[0].name = text.to_owned();
        let lines = terminal(&test_snapshots::storing(), false).lines().count();
        let said = terminal(&hostile, false);
        assert!(!said.contains(['\u{1b}', '\u{202e}', '\u{9b}']), "{said:?}");
        assert_eq!(said.lines().count(), lines, "no line of its own");
    }
}
