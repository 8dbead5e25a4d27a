//! Names of the sensors whose silence is watched, kept on disk, so that the next process reports those that do not come back after a kill.
//!
//! ```text
//! edge-gateway watched 1 SHA-256-OF-THE-REST
//! [{"match": "plant/#", "sensors": [["t", "Cel"], …]}, …]
//! ```
//! To spare flash, the file is written only when its content changes: for a new sensor at most once a minute and seldom enough for
//! [`BYTES_PER_S`], for a sensor that was reported at most once an hour, and at the start after a clean stop. A kill in between forgets the new
//! sensor, or makes the other one be reported again.

#![allow(clippy::disallowed_methods, reason = "a shell: one small file, and a task that writes it")]

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use edge_bridge::net::Clock;
use serde::{Deserialize, Serialize};

use crate::run::sensors::ingest::GatewayIngest;

use super::silence::Changed;
use edge_state::checksummed as checksummed_file;

const FILE: &str = "watched";
const VERSION: &str = "edge-gateway watched 1 ";
/// Most bytes of names and units in the list; further sensors are left out.
const BYTES_MAX: usize = 1 << 20;
/// Pause between two checks for changes.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Shortest pause between two writes.
const PAUSE_MS: u64 = 60_000;
/// Most bytes per second that are written on average, when new sensors come all the time.
const BYTES_PER_S: u64 = 256;
/// Pause before a write that only removes sensors from the list.
const SHRINK_MS: u64 = 3_600_000;

/// Watched sensors of one filter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Watched {
    /// The route's `match`.
    #[serde(rename = "match")]
    pub(crate) filter_topic: String,
    /// Pairs of a sensor's name and its unit.
    pub(crate) sensors: Vec<(Box<str>, Box<str>)>,
}

/// Reads the list of the last process. Returns it with the pace of the next writes. A damaged list is logged and counts as empty. `up_ms`: the
/// present time.
pub(crate) fn read(state: &Path, up_ms: u64) -> (Vec<Watched>, Pace) {
    let path = state.join(FILE);
    let body = match checksummed_file::read(state, FILE, VERSION, 2 * BYTES_MAX as u64) {
        Ok(body) => body,
        Err(error) => {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::warn!(path = %path.display(), %error, "sensors that fell silent before this start are not reported");
            }
            Vec::new()
        }
    };
    let lists = serde_json::from_slice(&body).unwrap_or_default();
    let (changed, shrink_ms) = (Changed::default(), up_ms.saturating_add(SHRINK_MS));
    (lists, Pace { written: body, changed, grow_ms: 0, shrink_ms })
}

/// Writes the list of restored sensors where it differs, while the mark of the clean stop still has them: from then on a kill would forget them.
pub(crate) fn keep_restored(state: &Path, lists: Vec<Watched>, pace: &mut Pace, up_ms: u64) {
    let Some(body) = pace.next(up_ms, body(lists).0) else { return };
    match checksummed_file::replace(state, FILE, VERSION, &body) {
        Ok(()) => pace.written = body,
        Err(error) => {
            tracing::warn!(%error, "the list of watched sensors is not kept: a kill forgets new ones");
            pace.note(Changed { grew: true, shrank: false });
        }
    }
}

/// Writes changes of the list to disk for as long as it is polled.
pub(crate) async fn keep(state: PathBuf, clock: Clock, ingest: GatewayIngest, mut pace: Pace) {
    let mut is_told = false;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let up_ms = clock.now().up_ms;
        pace.note(ingest.take_watch_changes());
        if !pace.is_due(up_ms) {
            continue;
        }
        let (body, left_out) = body(ingest.watched());
        if left_out > 0 && !is_told {
            is_told = true;
            tracing::warn!(left_out, "too many sensors are watched for silence: a kill forgets some");
        }
        let Some(body) = pace.next(up_ms, body) else { continue };
        let path = state.clone();
        let written = tokio::task::spawn_blocking(move || {
            checksummed_file::replace(&path, FILE, VERSION, &body).map(|()| body)
        });
        match written.await {
            Ok(Ok(body)) => pace.written = body,
            Ok(Err(error)) => {
                tracing::warn!(%error, "the list of watched sensors is not kept: a kill forgets new ones");
                pace.note(Changed { grew: true, shrank: false });
            }
            Err(_) => return,
        }
    }
}

/// Returns the longest list of whole names that is not too large, and the number of sensors that it lacks. It is empty if no sensor is watched.
fn body(mut lists: Vec<Watched>) -> (Vec<u8>, usize) {
    let (mut room, mut left_out) = (BYTES_MAX, 0);
    for list in &mut lists {
        let all = list.sensors.len();
        list.sensors.retain(|(name, unit)| {
            // With quotes and brackets.
            let bytes = json_bytes(name) + json_bytes(unit) + 8;
            let fits = bytes <= room;
            room = if fits { room - bytes } else { 0 };
            fits
        });
        left_out += all - list.sensors.len();
    }
    let body = if lists.is_empty() { Vec::new() } else { serde_json::to_vec(&lists).unwrap_or_default() };
    (body, left_out)
}

/// Returns the most bytes of a text in JSON, without its quotes.
fn json_bytes(text: &str) -> usize {
    let escaped = |byte: u8| match byte {
        b'"' | b'\\' => 2,
        0..0x20 => 6,
        _ => 1,
    };
    text.bytes().map(escaped).sum()
}

/// Decides when the list is written next. Pure.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// Content on disk.
    written: Vec<u8>,
    changed: Changed,
    /// Earliest next write of a longer list; with that of a shorter list; as in `Now::up_ms`.
    grow_ms: u64,
    shrink_ms: u64,
}

impl Pace {
    fn note(&mut self, changed: Changed) {
        self.changed = self.changed.and(changed);
    }

    fn is_due(&self, up_ms: u64) -> bool {
        (self.changed.grew && up_ms >= self.grow_ms) || (self.changed.shrank && up_ms >= self.shrink_ms)
    }

    /// Returns the content to be written. `None`: it is on disk already.
    fn next(&mut self, up_ms: u64, body: Vec<u8>) -> Option<Vec<u8>> {
        self.changed = Changed::default();
        if body == self.written {
            return None;
        }
        let pause_ms = (body.len() as u64).saturating_mul(1_000) / BYTES_PER_S;
        self.grow_ms = up_ms.saturating_add(pause_ms.max(PAUSE_MS));
        self.shrink_ms = up_ms.saturating_add(pause_ms.max(SHRINK_MS));
        Some(body)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const GREW: Changed = Changed { grew: true, shrank: false };
    const SHRANK: Changed = Changed { grew: false, shrank: true };

    fn lists(sensors: usize, name_bytes: usize) -> Vec<Watched> {
        let sensor = |n: usize| (format!("{n:0name_bytes$}").into(), "Cel".into());
        vec![Watched { filter_topic: "a/#".to_owned(), sensors: (0..sensors).map(sensor).collect() }]
    }

    /// Bytes that a day of one change a second writes; each list is another one.
    fn day_of(changed: Changed, sensors: usize) -> (u64, u64) {
        let (mut pace, mut writes, mut bytes) = (Pace::default(), 0, 0);
        for s in 0..86_400_u64 {
            pace.note(changed);
            if pace.is_due(s * 1_000) {
                let names = body(lists(sensors + s as usize % 2, 20)).0;
                if let Some(body) = pace.next(s * 1_000, names) {
                    (writes, bytes) = (writes + 1, bytes + body.len() as u64);
                    pace.written = body;
                }
            }
        }
        (writes, bytes)
    }

    #[test]
    fn a_day_writes_little_whatever_changes() {
        let (writes, bytes) = day_of(GREW, 10);
        assert!(writes <= 1_440 && bytes <= 1_440 * 512, "{writes} writes of {bytes} bytes");
        let (writes, bytes) = day_of(GREW, 10_000);
        assert!(
            bytes <= 86_400 * BYTES_PER_S + (1 << 20) && writes >= 24,
            "{writes} writes of {bytes} bytes"
        );
        assert!(day_of(SHRANK, 10).0 <= 24);
        assert_eq!(day_of(Changed::default(), 10).0, 0);
    }

    /// One that is silent for longer than its time, again and again: the list on disk has it all the while.
    #[test]
    fn a_sensor_that_comes_back_within_the_hour_writes_nothing() {
        let mut pace = Pace::default();
        pace.note(GREW);
        pace.written = pace.next(0, body(lists(1, 9)).0).unwrap();
        for s in 61..3_600 {
            pace.note(if s % 2 == 0 { GREW } else { SHRANK });
            if pace.is_due(s * 1_000) {
                assert_eq!(pace.next(s * 1_000, body(lists(1, 9)).0), None);
            }
        }
    }

    #[test]
    fn the_list_is_bounded_and_comes_back_whole() {
        let (bytes, left_out) = body(lists(100, 16_384));
        assert!(bytes.len() <= BYTES_MAX + 100 && left_out == 100 - 63, "{left_out}");
        let dir = tempfile::tempdir().unwrap();
        assert!(read(dir.path(), 0).0.is_empty());
        let (bytes, _) = body(lists(3, 9));
        checksummed_file::replace(dir.path(), FILE, VERSION, &bytes).unwrap();
        let (found, pace) = read(dir.path(), 0);
        assert_eq!((found, pace.written), (lists(3, 9), bytes));
        let path = dir.path().join(FILE);
        let text = fs::read_to_string(&path).unwrap().replace("Cel", "cel");
        fs::write(&path, text).unwrap();
        assert!(read(dir.path(), 0).0.is_empty(), "damaged");
    }

    /// Clients choose the names, and JSON takes six bytes for a control character: one client must not cost the whole list.
    #[test]
    fn a_list_of_names_that_are_escaped_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let sensor = |n: usize| (format!("{n}{}", "\u{1}".repeat(500)).into(), "\"".into());
        let all = vec![Watched { filter_topic: "a/#".to_owned(), sensors: (0..2_000).map(sensor).collect() }];
        let (bytes, left_out) = body(all);
        checksummed_file::replace(dir.path(), FILE, VERSION, &bytes).unwrap();
        let kept: usize = read(dir.path(), 0).0.iter().map(|list| list.sensors.len()).sum();
        assert!(kept > 300 && kept + left_out == 2_000, "{kept} of {} bytes", bytes.len());
    }
}
