//! Saved state of a route's filter, with the rules that made it. If the configuration after a restart has other rules or no such route, the held
//! readings are emitted by the old rules. Pure.

use edge_bridge::Row;
use edge_bridge::ingest::Now;
use edge_filter::Pipeline;
use serde::{Deserialize, Serialize};

use crate::run::route::Destination;

use super::filter::{Filter, FilterSnapshot};
use super::readings::Taken;

/// State of one filter when the gateway stopped.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct FilterState {
    /// The route's `match`.
    #[serde(rename = "match")]
    pub(crate) filter_topic: String,
    /// Text of the rules, and the destination of the route's readings. `None`: an earlier version did not write them, so those of the next
    /// configuration are used.
    pub(crate) origin: Option<Origin>,
    pub(crate) snapshot: FilterSnapshot,
}

/// Rules that made a state, and the destination of the readings that they emit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Origin {
    pub(crate) rules: String,
    pub(crate) destination: Destination,
}

impl FilterState {
    /// Returns whether the state was made by other rules than `rules`.
    pub(crate) fn is_of_other_rules(&self, rules: Option<&str>) -> bool {
        self.origin.as_ref().is_some_and(|origin| Some(origin.rules.as_str()) != rules)
    }

    /// Emits the held readings by the rules that held them, and returns their rows. Afterwards the state holds none.
    pub(crate) fn empty(&mut self, now: Now) -> Vec<Row> {
        let Some(Origin { rules, destination }) = &self.origin else { return Vec::new() };
        let pipeline = match Pipeline::from_toml(rules) {
            Ok(pipeline) => pipeline,
            Err(error) => {
                tracing::warn!(route = self.filter_topic, %error, "the rules of the last run are not understood: what they held is lost");
                return Vec::new();
            }
        };
        let mut filter = Filter::new(pipeline, None);
        if let Err(error) = filter.restore(now, self.snapshot.clone()) {
            tracing::warn!(route = self.filter_topic, %error, "what the filter held is lost");
            return Vec::new();
        }
        let mut taken = Taken::default();
        filter.flush(&mut taken);
        if let Some(snapshot) = filter.snapshot() {
            self.snapshot = snapshot;
        }
        taken.kept.into_iter().filter_map(|kept| destination.row(kept)).collect()
    }
}
