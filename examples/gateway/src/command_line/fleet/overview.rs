//! Gateways by the messages that the hub retains of each, ordered from worst to best. Pure. Any client with write access at the hub can publish
//! this data, so everything is bounded.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::config::hub_topics::{ALIVE, STATUS};

/// Most gateways that are kept.
const GATEWAYS_MAX: usize = 10_000;
/// Longest id in bytes; with the longest status, which leaves room for additions of later versions.
const ID_MAX: usize = 256;
const STATUS_MAX: usize = 1_024;
/// Age in seconds from which a status is out of date; a gateway sends one each hour.
const SILENT_S: u64 = 2 * 3_600 + 600;

/// States of all gateways, as far as the hub retains them.
#[derive(Debug, Default)]
pub(super) struct Overview {
    gateways: BTreeMap<String, Kept>,
    /// Number of messages left out because of the limits.
    left_out: u64,
}

#[derive(Debug, Default)]
struct Kept {
    is_connected: Option<bool>,
    status: Option<Result<Status, String>>,
}

/// Status of a gateway as the hub retains it (docs/reference/status.md).
#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Status {
    time_ms: i64,
    verdict: String,
    since_s: u64,
    why: Option<String>,
    waiting: u64,
    room_s: Option<u64>,
    lost: u64,
    clock_synced: bool,
    version: String,
    config: String,
}

/// State of a gateway as the hub knows it, ordered from worst to best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Standing {
    Losing,
    Degraded,
    /// The hub has lost the connection to the gateway (its will was published).
    Away,
    /// The gateway is connected, as far as the hub knows, and has sent no status for two hours.
    Silent,
    /// The gateway has sent no status, or one of an unknown version.
    Unclear,
    Storing,
    CatchingUp,
    Delivering,
}

impl Standing {
    pub(super) const ALL: [Self; 8] = [
        Self::Losing,
        Self::Degraded,
        Self::Away,
        Self::Silent,
        Self::Unclear,
        Self::Storing,
        Self::CatchingUp,
        Self::Delivering,
    ];

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Losing => "losing",
            Self::Degraded => "degraded",
            Self::Away => "away",
            Self::Silent => "silent",
            Self::Unclear => "unclear",
            Self::Storing => "storing",
            Self::CatchingUp => "catching-up",
            Self::Delivering => "delivering",
        }
    }

    pub(super) fn is_well(self) -> bool {
        self >= Self::Storing
    }

    fn of_verdict(verdict: &str) -> Self {
        let verdicts = [Self::Losing, Self::Degraded, Self::Storing, Self::CatchingUp, Self::Delivering];
        verdicts.into_iter().find(|standing| standing.word() == verdict).unwrap_or(Self::Unclear)
    }
}

/// One gateway at one moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Gateway {
    pub(super) standing: Standing,
    pub(super) id: String,
    /// Seconds since the status was sent. `None`: there is no status, or the gateway's clock is not synchronised.
    pub(super) age_s: Option<u64>,
    /// Last verdict that the gateway sent; with the seconds for which it has held by now.
    pub(super) verdict: Option<String>,
    pub(super) since_s: Option<u64>,
    pub(super) waiting: Option<u64>,
    /// Seconds until the first limit of the gateway's queue is reached. For a gateway that is away or silent, at most the rest of the time in its
    /// last status.
    pub(super) room_s: Option<u64>,
    pub(super) lost: Option<u64>,
    pub(super) why: Option<String>,
    pub(super) version: Option<String>,
    pub(super) config: Option<String>,
}

/// All gateways at one moment, from worst to best.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Fleet {
    pub(super) gateways: Vec<Gateway>,
    /// Number of messages left out because of this program's limits.
    pub(super) left_out: u64,
}

impl Fleet {
    /// Returns whether there are gateways, none was left out, and all of them are well.
    pub(super) fn is_well(&self) -> bool {
        let has_all = !self.gateways.is_empty() && self.left_out == 0;
        has_all && self.gateways.iter().all(|gateway| gateway.standing.is_well())
    }

    /// Returns the most frequent of the texts that `of` picks, of equally frequent ones the first by name. `None`: no gateway has such a text.
    pub(super) fn usual(&self, of: impl Fn(&Gateway) -> Option<&str>) -> Option<&str> {
        let mut counts = BTreeMap::<&str, usize>::new();
        for gateway in &self.gateways {
            if let Some(text) = of(gateway) {
                *counts.entry(text).or_default() += 1;
            }
        }
        let most = counts.values().copied().max()?;
        counts.into_iter().find(|(_, count)| *count == most).map(|(text, _)| text)
    }
}

impl Overview {
    /// Handles a message of the hub. An empty payload removes what is known from that topic.
    pub(super) fn take(&mut self, topic: &str, payload: &[u8]) {
        let (id, is_alive) = match (topic.strip_prefix(ALIVE), topic.strip_prefix(STATUS)) {
            (Some(id), _) => (id, true),
            (None, Some(id)) => (id, false),
            (None, None) => return,
        };
        let is_new = !self.gateways.contains_key(id);
        if id.is_empty() || id.len() > ID_MAX || (is_new && self.gateways.len() >= GATEWAYS_MAX) {
            self.left_out += 1;
            return;
        }
        let kept = self.gateways.entry(id.to_owned()).or_default();
        if is_alive {
            kept.is_connected = match payload {
                b"0" => Some(false),
                b"1" => Some(true),
                // What else may stand there says nothing.
                _ => None,
            };
        } else {
            kept.status = (!payload.is_empty()).then(|| read(payload));
        }
        if kept.is_connected.is_none() && kept.status.is_none() {
            self.gateways.remove(id);
        }
    }

    /// Returns the states of all gateways. `now_s`: seconds since the Unix epoch.
    pub(super) fn at(&self, now_s: i64) -> Fleet {
        let mut gateways: Vec<_> = self.gateways.iter().map(|(id, kept)| gateway(id, kept, now_s)).collect();
        gateways.sort_by(|one, other| {
            let key = |gateway: &Gateway| (gateway.standing, gateway.room_s.unwrap_or(u64::MAX));
            key(one).cmp(&key(other)).then_with(|| one.id.cmp(&other.id))
        });
        Fleet { gateways, left_out: self.left_out }
    }
}

fn read(payload: &[u8]) -> Result<Status, String> {
    if payload.len() > STATUS_MAX {
        return Err(format!("{} bytes, too many for a status", payload.len()));
    }
    let Ok(value) = serde_json::from_slice::<Value>(payload) else {
        return Err("no status: it is not JSON".to_owned());
    };
    let Some(fields) = value.as_object() else {
        return Err("no status: it is JSON, and no object".to_owned());
    };
    match fields.get("v").and_then(Value::as_u64) {
        Some(1) => {}
        Some(version) => return Err(format!("status of version {version}, this program reads 1")),
        None => return Err("no status: it has no version (v)".to_owned()),
    }
    let wrong = wrong_field(fields);
    Status::deserialize(&value).map_err(|_| format!("no status: {wrong}"))
}

/// Field of a status, the test of its value, and the kind of that in words.
type Field = (&'static str, fn(&Value) -> bool, &'static str);

/// Returns the first field that is missing or of another kind, in words.
fn wrong_field(fields: &Map<String, Value>) -> String {
    let kinds: [Field; 10] = [
        ("time_ms", Value::is_i64, "a whole number"),
        ("verdict", Value::is_string, "a text"),
        ("since_s", Value::is_u64, "a whole number from 0"),
        ("why", |why| why.is_string() || why.is_null(), "a text or null"),
        ("waiting", Value::is_u64, "a whole number from 0"),
        ("room_s", |room| room.is_u64() || room.is_null(), "a whole number from 0 or null"),
        ("lost", Value::is_u64, "a whole number from 0"),
        ("clock_synced", Value::is_boolean, "true or false"),
        ("version", Value::is_string, "a text"),
        ("config", Value::is_string, "a text"),
    ];
    for (name, fits, kind) in kinds {
        match fields.get(name) {
            Some(value) if !fits(value) => return format!("{name} is not {kind}"),
            None if !matches!(name, "why" | "room_s") => return format!("{name} is missing"),
            _ => {}
        }
    }
    "a field is of another kind".to_owned()
}

fn gateway(id: &str, kept: &Kept, now_s: i64) -> Gateway {
    let nothing = Gateway {
        standing: Standing::Unclear,
        id: id.to_owned(),
        age_s: None,
        verdict: None,
        since_s: None,
        waiting: None,
        room_s: None,
        lost: None,
        why: None,
        version: None,
        config: None,
    };
    let is_away = kept.is_connected == Some(false);
    let said = kept
        .status
        .as_ref()
        .map_or(Err("it has not said how it is"), |said| said.as_ref().map_err(String::as_str));
    let status = match said {
        Ok(status) => status,
        Err(why) => {
            let standing = if is_away { Standing::Away } else { Standing::Unclear };
            return Gateway { standing, why: Some(why.to_owned()), ..nothing };
        }
    };
    // A clock that was never set says nothing; one that is a little ahead is no news.
    let age_s =
        status.clock_synced.then(|| u64::try_from(now_s.saturating_sub(status.time_ms / 1_000)).unwrap_or(0));
    let is_silent = age_s.is_some_and(|age| age >= SILENT_S);
    let standing = match () {
        () if is_away => Standing::Away,
        () if is_silent => Standing::Silent,
        () => Standing::of_verdict(&status.verdict),
    };
    // The word is of a later version, or of a foreign program.
    let foreign = (standing == Standing::Unclear).then(|| format!("unknown verdict \"{}\"", status.verdict));
    let why = match (foreign, &status.why) {
        (Some(foreign), Some(why)) => Some(format!("{foreign}: {why}")),
        (foreign, why) => foreign.or_else(|| why.clone()),
    };
    // Nobody drains its queue while it is away: what it had left it has used since, at most.
    let used_s = if is_away || is_silent { age_s } else { Some(0) };
    Gateway {
        standing,
        age_s,
        verdict: Some(status.verdict.clone()),
        since_s: age_s.map(|age| status.since_s.saturating_add(age)),
        waiting: Some(status.waiting),
        room_s: status.room_s.zip(used_s).map(|(room, used)| room.saturating_sub(used)),
        lost: Some(status.lost),
        why,
        version: Some(status.version.clone()),
        config: Some(status.config.clone()),
        ..nothing
    }
}

#[cfg(test)]
mod tests;
