//! Targets of edge-codec. Each takes one input and holds it against promise 12 with the asserts of the tests' own loops.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

#[path = "../../tests/support/any_bytes.rs"]
mod any_bytes;
#[path = "../../tests/support/counting.rs"]
mod counting;
#[path = "../../tests/support/plant.rs"]
mod plant;
#[path = "../../tests/support/session.rs"]
mod session;
#[path = "../../tests/support/mod.rs"]
mod support;

use std::sync::LazyLock;

use session::{Reader, wide};
use support::KINDS;

/// A batch of any format but the compact one: the first byte chooses which.
pub fn batches(input: &[u8]) {
    if let Some((kind, batch)) = input.split_first() {
        let _ = any_bytes::consume(KINDS[usize::from(*kind) % KINDS.len()], batch);
    }
}

/// A compact batch beside a session table that it may refer to.
pub fn compact(input: &[u8]) {
    static READER: LazyLock<Reader> = LazyLock::new(|| plant::goods().0.reader());
    plant::consume_bounded(&READER, input);
}

/// A session table, which is used if it can be read.
pub fn tables(input: &[u8]) {
    if let Ok(table) = plant::read_table("any", input, &wide()) {
        plant::use_table(&table);
    }
}

/// JSON of a sensor.
pub fn json_import(input: &[u8]) {
    any_bytes::json_import(&any_bytes::field_map(), input);
}

/// Lines of the line protocol, and the same as a value alone.
pub fn text_import(input: &[u8]) {
    any_bytes::lines_import(input);
    any_bytes::plain_import(input);
}

/// A Sparkplug birth, whose length is in the first two bytes, and data by it.
pub fn sparkplug(input: &[u8]) {
    if let Some((length, rest)) = input.split_first_chunk() {
        let (birth, data) = rest.split_at(rest.len().min(usize::from(u16::from_le_bytes(*length))));
        any_bytes::sparkplug_birth(birth, data);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made() -> Vec<(&'static str, Vec<u8>)> {
        let kinds = KINDS.iter().enumerate();
        let batches =
            kinds.map(|(nth, kind)| ("batches", [&[nth as u8], &any_bytes::batch(*kind)[..]].concat()));
        let (session, goods) = plant::goods();
        let (birth, data) = any_bytes::sparkplug_session();
        let length = u16::try_from(birth.len()).unwrap().to_le_bytes();
        let others = [
            ("tables", session.announced().to_vec()),
            ("json_import", any_bytes::IMPORT.to_vec()),
            ("sparkplug", [&length[..], &birth, &data].concat()),
            ("text_import", any_bytes::LINES.to_vec()),
            ("text_import", any_bytes::PLAIN.to_vec()),
        ];
        batches.chain(goods.into_iter().map(|good| ("compact", good))).chain(others).collect()
    }
    #[test]
    fn the_committed_seeds_pass() {
        let targets: [fuzz_replay::Target; 6] = [
            ("batches", batches),
            ("compact", compact),
            ("tables", tables),
            ("json_import", json_import),
            ("text_import", text_import),
            ("sparkplug", sparkplug),
        ];
        fuzz_replay::replay_seeds(env!("CARGO_MANIFEST_DIR"), &targets, &made());
    }
}
