//! Report of a drill: `report.json` for machines, `report.html` for people. Both are pure functions of [`Report`].

use std::io;
use std::path::Path;

use super::forecast::{Compared, Forecast, compare};
use super::record::Records;
use super::story::Story;
use super::verdict::{Observed, Timeline, Verdict};
use super::work_folder::{make, write};

mod cells;
mod format;
mod html;
mod json;
mod sections;
mod svg;

pub(crate) const JSON_FILE: &str = "report.json";
pub(crate) const HTML_FILE: &str = "report.html";

/// Facts that are known when the drill is over.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    pub(crate) story: Story,
    pub(crate) records: Records,
    pub(crate) timeline: Timeline,
    pub(crate) verdict: Verdict,
    pub(crate) observed: Observed,
    /// The gateway as its metrics showed it, in order of time.
    pub(crate) samples: Vec<Sample>,
    pub(crate) events: Vec<Event>,
    /// Figures that the gateway's sizing predicted; `None`: there is no forecast.
    pub(crate) forecast: Option<Forecast>,
    /// Unix ms of the story's instant 0.
    pub(crate) started_at: i64,
    /// Name of the gateway, with its version if that is known.
    pub(crate) gateway: String,
    /// Servers beside the gateway: "built-in hub", "Mosquitto 2.0.11".
    pub(crate) stack: String,
    /// The command that runs this drill again.
    pub(crate) command: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sample {
    /// Milliseconds since the start of the story.
    pub(crate) at_ms: u64,
    pub(crate) waiting: u64,
    /// Link state in the product's vocabulary.
    pub(crate) link: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) at_ms: u64,
    /// Stable name, such as `link.cut` or `gateway.killed`.
    pub(crate) name: &'static str,
    pub(crate) text: String,
}

impl Report {
    /// Writes both files into `dir`, which is created.
    pub(crate) fn write(&self, dir: &Path) -> io::Result<()> {
        make(dir)?;
        let mut text = serde_json::to_string_pretty(&json::value(self))?;
        text.push('\n');
        write(&dir.join(JSON_FILE), text)?;
        write(&dir.join(HTML_FILE), html::page(self))
    }

    /// Returns the figures of the forecast beside those that were measured; none without a forecast.
    pub(crate) fn compared(&self) -> Vec<Compared> {
        compare(self.forecast.as_ref(), &self.verdict, &self.observed)
    }

    pub(crate) fn passed(&self) -> bool {
        self.verdict.passed(&self.observed)
    }

    /// Milliseconds of the story from a time of the records.
    fn story_ms(&self, unix_ms: i64) -> u64 {
        u64::try_from(unix_ms.saturating_sub(self.started_at)).unwrap_or(0)
    }

    /// Returns when the last thing happened, and not before the sensors fell silent.
    fn end_ms(&self) -> u64 {
        let sampled = self.samples.last().map_or(0, |sample| sample.at_ms);
        let arrived = self.records.hub.iter().map(|arrived| self.story_ms(arrived.time)).max().unwrap_or(0);
        sampled.max(arrived).max(self.story.publish_ms)
    }
}

#[cfg(test)]
mod tests;
