//! JSON of the status, for `/status.json`, the control socket and `edge-gateway status --json`: the snapshot, the texts of the page, and a tag by
//! which a reader detects a change. Pure.

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::run::status::control_answers;
use crate::run::status::snapshot::Snapshot;

use super::texts::{Texts, texts};

#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    snapshot: &'a Snapshot,
    /// Tag that changes when a loaded page has to be reloaded; `texts` has all other changes.
    page: String,
    texts: Texts,
}

/// Returns the status as one line of JSON, with control characters escaped.
pub(crate) fn json(snapshot: &Snapshot) -> String {
    let mut line = String::with_capacity(4_096);
    let texts = texts(snapshot);
    control_answers::add(&mut line, &Document { snapshot, page: page(snapshot, &texts), texts });
    line
}

/// Returns the tag of a snapshot. Two snapshots with one tag differ at most in times, by less than a minute.
pub(crate) fn tag(snapshot: &Snapshot) -> String {
    let mut same = snapshot.clone();
    same.time_ms = 0;
    for seconds in [&mut same.up_s, &mut same.since_s, &mut same.link.since_s] {
        *seconds /= 60;
    }
    same.queue.oldest_ms /= 60_000;
    same.rates.over_s = 0;
    same.load.iter_mut().for_each(|load| load.over_s = 0);
    same.events.iter_mut().for_each(|event| event.ago_s /= 60);
    hash(&same)
}

/// Returns the tag of the parts of a page that are not in `texts`. It is valid for at most a minute.
fn page(snapshot: &Snapshot, texts: &Texts) -> String {
    let events: Vec<_> =
        snapshot.events.iter().map(|event| (&event.verdict, &event.link, event.times)).collect();
    let ids: Vec<_> = texts.keys().collect();
    hash(&(&snapshot.verdict, &snapshot.needs, events, ids, snapshot.up_s / 60))
}

fn hash(value: &impl Serialize) -> String {
    let digest = Sha256::digest(serde_json::to_vec(value).unwrap_or_default());
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use crate::run::status::snapshot::test_snapshots;

    use super::*;

    /// The names are those of docs/reference/status.md: a changed one is a new version.
    #[test]
    fn the_names_stay() {
        let json = json(&test_snapshots::storing());
        test_snapshots::golden("storing.json", &test_snapshots::pretty(&json));
        let read: Snapshot = serde_json::from_str(&json).unwrap();
        assert_eq!(read, test_snapshots::storing(), "what a reader has is what was said");
    }

    #[test]
    fn foreign_text_stays_text() {
        let mut hostile = test_snapshots::storing();
        hostile.link.cause = Some("\"},\n\u{1b}[2J\u{202e}".to_owned());
        let json = json(&hostile);
        assert!(json.ends_with("}\n") && !json.trim_end().contains(['\n', '\u{1b}', '\u{202e}']), "{json}");
        assert_eq!(serde_json::from_str::<Snapshot>(&json).unwrap(), hostile);
    }

    #[test]
    fn a_tag_lasts_while_nothing_changes_and_a_minute_at_most() {
        let one = test_snapshots::delivering();
        let name = |snapshot: &Snapshot| page(snapshot, &texts(snapshot));
        let later = |seconds: u64| {
            let mut later = one.clone();
            (later.up_s, later.since_s) = (one.up_s / 60 * 60 + seconds, one.since_s / 60 * 60 + seconds);
            later.time_ms += seconds as i64 * 1_000;
            later
        };
        assert_eq!(tag(&later(0)), tag(&later(59)));
        assert_ne!(tag(&later(0)), tag(&later(60)));
        let mut other = later(0);
        other.lost += 1;
        assert_ne!(tag(&later(0)), tag(&other));
        assert_eq!(name(&later(0)), name(&other), "a figure is in the texts");
        other.needs.clear();
        other.needs.push(test_snapshots::storing().needs[0].clone());
        assert_ne!(name(&later(0)), name(&other), "a list is not");
    }
}
