//! The fleet as a table for a terminal, and as JSON. Pure; control characters in text from the hub are replaced, in JSON escaped.

use std::fmt::{self, Write};

use edge_page::count;

use crate::run::status::control_answers::add;
use crate::run::status::outputs::terminal::printable;
use crate::run::status::outputs::units::duration;

use super::overview::{Fleet, Gateway, Standing};

/// Longest id and longest cause in the table, in characters.
const ID_CHARS: usize = 24;
const WHY_CHARS: usize = 60;

/// Returns the fleet as one line of JSON.
pub(super) fn json(fleet: &Fleet) -> String {
    let mut line = String::new();
    add(&mut line, fleet);
    line
}

/// Returns the fleet as a table: the number of gateways in each state, then a line for each gateway. A version or configuration that differs from the most
/// frequent one has a `*`.
pub(super) fn table(fleet: &Fleet) -> String {
    let mut out = String::with_capacity(128 * (fleet.gateways.len() + 2));
    // Writing to a `String` cannot fail.
    let written = write_all(&mut out, fleet);
    debug_assert!(written.is_ok());
    out
}

/// Titles of the columns.
pub(super) const TITLES: [&str; 9] =
    ["state", "gateway", "since", "waiting", "room left", "lost", "version", "config", "why"];

/// Returns the number of gateways, and of those in each state.
pub(super) fn summary(fleet: &Fleet) -> String {
    let gateways = fleet.gateways.len();
    let mut out = format!("{} gateway{}", count(gateways as u64), if gateways == 1 { "" } else { "s" });
    let mut before = ": ";
    for standing in Standing::ALL {
        let number = fleet.gateways.iter().filter(|gateway| gateway.standing == standing).count();
        if number > 0 {
            out += &format!("{before}{} {}", count(number as u64), standing.word());
            before = ", ";
        }
    }
    out
}

/// Returns sentences about what the table does not show.
pub(super) fn notes(fleet: &Fleet) -> Vec<String> {
    let mut notes = Vec::new();
    if fleet.gateways.is_empty() {
        let how = "gateways say it with [status] to_hub = true";
        notes.push(format!("Nothing is kept below edge/status/ and edge/alive/: {how}."));
    }
    if fleet.left_out > 0 {
        let left_out = count(fleet.left_out);
        notes.push(format!("{left_out} messages were left out: too many gateways, or too long names."));
    }
    notes
}

/// Returns the cells of each gateway, in the order of the titles.
pub(super) fn rows(fleet: &Fleet) -> impl Iterator<Item = [String; 9]> {
    let version = fleet.usual(|gateway| gateway.version.as_deref());
    let config = fleet.usual(|gateway| gateway.config.as_deref());
    fleet.gateways.iter().map(move |gateway| cells(gateway, version, config))
}

fn write_all(out: &mut String, fleet: &Fleet) -> fmt::Result {
    writeln!(out, "{}", summary(fleet))?;
    notes(fleet).iter().try_for_each(|note| writeln!(out, "{note}"))?;
    if !fleet.gateways.is_empty() {
        line(out, TITLES.map(str::to_owned))?;
    }
    rows(fleet).try_for_each(|cells| line(out, cells))
}

fn cells(gateway: &Gateway, version: Option<&str>, config: Option<&str>) -> [String; 9] {
    let unknown = || "?".to_owned();
    let marked = |own: &Option<String>, usual: Option<&str>| match own {
        Some(own) => cut(own, 12) + if Some(own.as_str()) == usual { "" } else { "*" },
        None => unknown(),
    };
    let is_last_word = matches!(gateway.standing, Standing::Away | Standing::Silent);
    let room = match gateway.room_s {
        Some(room) => format!("{}{}", if is_last_word { "\u{2264} " } else { "" }, duration(room)),
        None => unknown(),
    };
    // Of one that is away: since when it is, as far as is known.
    let since = if is_last_word { gateway.age_s } else { gateway.since_s };
    let said = gateway.verdict.as_deref().filter(|_| is_last_word);
    let why = match (said, gateway.why.as_deref()) {
        (Some(said), Some(why)) => format!("last words: {said}, {why}"),
        (Some(said), None) => format!("last words: {said}"),
        (None, why) => why.unwrap_or_default().to_owned(),
    };
    [
        gateway.standing.word().to_owned(),
        cut(&gateway.id, ID_CHARS),
        since.map_or_else(unknown, duration),
        gateway.waiting.map_or_else(unknown, count),
        room,
        gateway.lost.map_or_else(unknown, count),
        marked(&gateway.version, version),
        marked(&gateway.config, config),
        cut(&why, WHY_CHARS),
    ]
}

fn line(out: &mut String, cells: [String; 9]) -> fmt::Result {
    let [state, id, since, waiting, room, lost, version, config, why] = cells;
    let text = format!(
        "{state:<11}  {id:<ID_CHARS$}  {since:<13}  {waiting:>11}  {room:<15}  {lost:>9}  {version:<9}  {config:<9}  {why}"
    );
    writeln!(out, "{}", text.trim_end())
}

/// Returns at most `chars` characters of the text, with control characters replaced.
fn cut(text: &str, chars: usize) -> String {
    let text = printable(text);
    match text.char_indices().nth(chars) {
        Some(_) => text.chars().take(chars.saturating_sub(1)).chain(['\u{2026}']).collect(),
        None => text,
    }
}

#[cfg(test)]
mod tests;
