//! `[control]`: control loops that run in the gateway.

use std::path::PathBuf;
use std::time::Duration;

use control_loop::Loops;

use super::section::Section;
use super::{Config, Findings, Local};

/// Longest period of the loops, because a stop waits for the end of the present scan.
const PERIOD_MAX: Duration = Duration::from_secs(1);

/// Control loops.
#[derive(Clone, Debug)]
pub(crate) struct Control {
    /// File with the loops.
    pub(crate) rules: PathBuf,
    /// Text of the file `rules`.
    pub(crate) text: String,
    pub(crate) loops: Loops,
    /// Period at which outputs are published, in addition to every change of their state.
    pub(crate) publish_every: Duration,
}

impl Control {
    pub(crate) fn period(&self) -> Duration {
        Duration::from_nanos(self.loops.controller.period_ns())
    }

    pub(crate) fn watchdog(&self) -> Duration {
        Duration::from_nanos(self.loops.controller.watchdog_ns())
    }
}

/// Reads the table. `None`: it is missing, or has a mistake, which is in `findings`.
pub(super) fn control(section: &mut Section<'_>, findings: &mut Findings) -> Option<Control> {
    let publish_every = section.duration("publish_every", findings);
    if section.is_absent() {
        return None;
    }
    if section.get("rules").is_none() {
        let message = "missing: the file with the loops, as edge_filter::control::config describes it";
        findings.error(section.at(), "control.rules", message);
        return None;
    }
    let rules = section.path("rules", findings)?;
    let text = match section.rules(&rules.value) {
        Ok(text) => text,
        Err(error) => {
            findings.error(rules.at, "control.rules", format!("{}: {error}", rules.value.display()));
            return None;
        }
    };
    let loops = match Loops::parse(&text, PERIOD_MAX) {
        Ok(loops) => loops,
        Err(error) => {
            findings.errors_in(&rules.value, &text, &error, rules.at, "control.rules");
            return None;
        }
    };
    let control = Control {
        rules: rules.value,
        text,
        loops,
        publish_every: publish_every
            .as_ref()
            .map_or_else(|| section.preset_duration("publish_every"), |placed| placed.value),
    };
    if control.loops.controller.outputs().is_empty() && control.loops.controller.alarms().next().is_none() {
        findings.error(rules.at, "control.rules", "no [[output]] and no [[alarm]]: nothing to control");
    }
    if let Some(every) = publish_every
        && (every.value < control.period() || every.value > Duration::from_secs(60))
    {
        findings.error(every.at, "control.publish_every", "from one control.period_ms to 60s");
    }
    Some(control)
}

/// Checks the rest of the configuration for topics that the loops need.
pub(super) fn check(config: &Config, findings: &mut Findings) {
    let Some(control) = &config.control else { return };
    for warning in control.loops.warnings() {
        findings.warning(0, "control.rules", format!("{}: {warning}", control.rules.display()));
    }
    match &config.local {
        Local::Broker { .. } => findings.error(
            0,
            "control",
            "needs `[local] listen`: inputs that go through another broker wait for its queue",
        ),
        Local::Listen { addresses, access, .. } => {
            if let Some(who) = access.unrestricted(addresses).filter(|_| addresses.reach_beyond()) {
                findings.warning(0, "control", format!("{who} {}", control.loops.open_to_anyone()));
            }
        }
    }
    let wants = |prefix: &str| {
        config.routes.iter().any(|route| edge_bridge::wire::matches(&route.filter_topic, prefix))
    };
    if !wants("event/output/x") && !wants("event/alarm/x/HI") {
        findings.warning(
            0,
            "control",
            "no route takes event/#: alarms and trips stay here; add [[route]] match = \"event/#\", lane = \"alarm\"",
        );
    }
}
