//! Phrases that are alike in every command.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::config::StoreKind;
use crate::gap::Gap;
use crate::inspect::Inspection;
use crate::row::{Lane, StoredRow};
use crate::store::Lost;
use crate::transfer::LaneTotals;

/// The store in one line.
pub(super) fn headline(found: &Inspection) -> String {
    let state = found.state();
    format!(
        "{} store format {}, {} lanes, gateway {:016x}, last epoch {}, {}",
        store(found.store_kind()),
        found.format(),
        state.lanes,
        state.gateway,
        found.epoch(),
        if found.is_clean() { "closed cleanly" } else { "not closed" }
    )
}

pub(super) fn store(kind: StoreKind) -> &'static str {
    match kind {
        StoreKind::Ring => "ring",
        StoreKind::Redb => "redb",
        StoreKind::Memory => "memory",
    }
}

pub(super) fn lane(lane: usize, totals: &LaneTotals) -> String {
    let LaneTotals { rows, weight, bytes } = totals;
    format!("lane {lane}: {rows} rows, weight {weight}, {}", size(*bytes))
}

pub(super) fn lost(lane: Lane, lost: &Lost) -> String {
    let Lost { first, last, rows, .. } = lost;
    format!("lane {}: {rows} rows lost, numbers {first} to {last}", lane.0)
}

pub(super) fn gap(consumer: &str, gap: &Gap) -> String {
    format!(
        "lane {}: {} will not get {} rows between {} and {}: {}; not reported yet",
        gap.lane.0,
        consumer.escape_debug(),
        gap.count,
        gap.first_seq,
        gap.last_seq,
        gap.reason.name()
    )
}

/// Writes JSON as one line that is safe on a terminal: characters that control it, end a line or turn text around are escaped,
/// which JSON allows in all its texts.
pub(super) fn json_line(value: &Value) -> String {
    let mut line = String::new();
    for c in value.to_string().chars() {
        match c {
            '\u{7f}'..='\u{9f}'
            | '\u{61c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}' => {
                let _ = write!(line, "\\u{:04x}", u32::from(c));
            }
            c => line.push(c),
        }
    }
    line
}

/// Writes a number of bytes with a binary unit.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
        _ => format!("{:.1} GiB", bytes as f64 / 1_073_741_824.0),
    }
}

pub(super) fn headline_json(found: &Inspection) -> Map<String, Value> {
    let state = found.state();
    let value = json!({
        "store": store(found.store_kind()),
        "format": found.format(),
        "lanes": state.lanes,
        "gateway": format!("{:016x}", state.gateway),
        "epoch": found.epoch(),
        "clean": found.is_clean(),
        "tail_uncertain": found.tail_uncertain(),
        "damage": found.damage(),
    });
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

pub(super) fn lane_json(lane: usize, totals: &LaneTotals) -> Value {
    json!({ "lane": lane, "rows": totals.rows, "weight": totals.weight, "bytes": totals.bytes })
}

pub(super) fn lost_json(lane: Lane, lost: &Lost) -> Value {
    json!({ "lane": lane.0, "first": lost.first, "last": lost.last, "rows": lost.rows, "weight": lost.weight })
}

pub(super) fn gap_json(consumer: &str, gap: &Gap) -> Value {
    json!({
        "consumer": consumer,
        "lane": gap.lane.0,
        "first": gap.first_seq,
        "last": gap.last_seq,
        "first_ms": gap.first_ms,
        "last_ms": gap.last_ms,
        "count": gap.count,
        "reason": gap.reason.name(),
    })
}

/// Returns a row's identity as the user property `edge-id` carries it.
pub(super) fn id(gateway: u64, row: &StoredRow) -> String {
    format!("{gateway:016x}-{:x}-{:x}-{:x}", row.lane.0, row.epoch, row.seq)
}

/// Puts `name` into the map as text, or `name_base64` where the bytes are no text.
pub(super) fn put_bytes(map: &mut Map<String, Value>, name: &str, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => map.insert(name.to_owned(), text.into()),
        Err(_) => map.insert(format!("{name}_base64"), base64(bytes).into()),
    };
}

/// Encodes bytes in base64 (RFC 4648, section 4).
pub(super) fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word =
            chunk.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let letter = ALPHABET.get((word >> (18 - 6 * place)) as usize & 63).copied().unwrap_or(b'=');
            let _infallible = out.write_char(if place > chunk.len() { '=' } else { char::from(letter) });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        let pairs = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
            ("\u{7ff}", "378="),
        ];
        pairs.iter().for_each(|(bytes, text)| assert_eq!(base64(bytes.as_bytes()), *text));
    }

    #[test]
    fn sizes_have_binary_units() {
        assert_eq!(
            [size(1023), size(1536), size(64 << 20), size(3 << 30)],
            ["1023 B", "1.5 KiB", "64.0 MiB", "3.0 GiB"]
        );
    }
}
