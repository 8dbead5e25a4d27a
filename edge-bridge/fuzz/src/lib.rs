//! Targets of edge-bridge. Each takes one input and holds it against promise 12 with the asserts of the tests' own loops.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

#[path = "../../tests/listener_support/mod.rs"]
mod listener_support;
#[path = "../../tests/wire_support/mod.rs"]
mod wire_support;

use edge_bridge::wire::Version;
use listener_support::visits::{Others, Visit};
use wire_support::BOTH;

/// Packets as a connection carries them: the first byte chooses the version.
pub fn packets(input: &[u8]) {
    if let Some((version, bytes)) = input.split_first() {
        wire_support::any_bytes::swallow(bytes, version_of(*version));
    }
}

/// A client of the listener, which others must not notice. The first byte chooses the version, whether a CONNECT goes before, and the end; the
/// second the length of the first part.
pub fn listener(input: &[u8]) {
    let Some(([how, length], bytes)) = input.split_first_chunk() else { return };
    // Who takes the name of another client takes its session: that is no fault.
    if ["quiet", "publisher"].iter().any(|name| bytes.windows(name.len()).any(|part| part == name.as_bytes()))
    {
        return;
    }
    let (first, second) = bytes.split_at(bytes.len().min(usize::from(*length)));
    let mut others = Others::new();
    others.visited_by(&Visit {
        version: version_of(*how),
        name: (how & 2 > 0).then(|| "evil".to_owned()),
        parts: vec![first.to_vec(), second.to_vec()],
        is_cut: how & 4 > 0,
        passes: (how & 8 > 0).then_some(10_000),
    });
    others.end();
}

fn version_of(byte: u8) -> Version {
    BOTH[usize::from(byte & 1)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made() -> Vec<(&'static str, Vec<u8>)> {
        let mut made = Vec::new();
        for (nth, version) in (0_u8..).zip(BOTH) {
            let all = wire_support::samples(version);
            for few in all.chunks(8) {
                let bytes: Vec<u8> = few.iter().flat_map(|p| wire_support::encoded(p, version)).collect();
                made.push(("packets", [&[nth], &bytes[..]].concat()));
                for how in [nth, nth | 2, nth | 2 | 4 | 8] {
                    made.push(("listener", [&[how, 40], &bytes[..]].concat()));
                }
            }
        }
        made
    }
    #[test]
    fn the_committed_seeds_pass() {
        let targets: [fuzz_replay::Target; 2] = [("packets", packets), ("listener", listener)];
        fuzz_replay::replay_seeds(env!("CARGO_MANIFEST_DIR"), &targets, &made());
    }
}
