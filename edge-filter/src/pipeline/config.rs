//! Pipelines from TOML or any serde format.
//!
//! ```toml
//! [defaults]                      # each is optional; these are the values that hold without it
//! max_keys = 10000
//! over_limit = "pass"             # or "evict_idle"
//! quality = "opcua"               # or "sparkplug"
//! nan_is_bad = true
//! max_future_ms = 60000
//! max_backward_ms = 60000
//! n_confirm = 3
//! max_gap_ms = 3600000
//! out_of_order = "pass"           # beside the stages; or "drop": lost, though its sender may think it safe
//! future = "pass"                 # so too for what is more than max_future_ms ahead of the clock
//! same_time = "pass"              # and for another reading of the last one's time
//!
//! [[rule]]                        # the first rule whose pattern matches a name applies
//! match = "site/+/temp/#"
//! range = { low = -40.0, high = 150.0 }          # engineering range, for percent
//! stages = [                      # at most one of each, in this order
//!   { time_guard = { max_gap_ms = 600000 } },    # what differs from the defaults
//!   { gross_range = { fail = [-40.0, 150.0], suspect = [-10.0, 120.0], action = "mark" } },
//!   { deadband = { percent = 0.5, max_interval_ms = 600000 } },    # or another reducing stage
//!   { stale = { timeout_ms = 30000, heartbeat_ms = 10000 } },
//! ]
//!
//! [[rule]]                        # the other judging stages, in this order, and the altering ones
//! match = "pump/#"
//! stages = [
//!   { rate_of_change = { suspect_per_s = 0.5, fail_per_s = 2.0, action = "drop" } },
//!   { flat_line = { suspect_s = 600, fail_s = 3600, sampling_ms = 10000, tolerance = 0.01 } },
//!   { attenuated_signal = { check = "std", suspect = 0.1, period_ms = 3600000, min_obs = 30 } },
//!   { hampel = { window = 9, n_sigma = 3.0 } },                  # of the readings before it; or alignment = "centered",
//!                                                                # judged 4 readings late; action = "replace": by the median
//!   { jump_reject = { max_step = 20.0, accept_after = 3, action = "drop" } },
//!   { spike = { method = "average", suspect = 3.0, fail = 6.0 } },   # judged one reading late
//!   { scale = { factor = 0.1, offset = -40.0 } },                # or raw = [4, 20], unit = [0, 100]
//! ]
//! [[rule]]
//! match = "energy/#"
//! stages = [ { counter = { width_bits = 32, max_rate_per_s = 1000 } } ]    # the total over wraps and resets
//!
//! [[rule]]                        # the other reducing stages; a rule has at most one
//! match = "flow/#"
//! stages = [ { swinging_door = { deviation = 0.2, max_interval_ms = 600000 } } ]
//! [[rule]]
//! match = "level/#"
//! stages = [ { segment_hold = { deviation = 0.2, max_interval_ms = 600000 } } ]
//! [[rule]]
//! match = "power/#"
//! stages = [ { window = { width_ms = 60000, agg = "mean", allowed_lateness_ms = 5000, min_good_pct = 80.0, empty = "emit" } } ]
//!                                 # empty = "emit": windows without a reading too, as BadNoData, of more than 60 at once one
//!                                 # for all; or "skip", the default
//! [[rule]]
//! match = "state/#"
//! stages = [ { on_change = {} } ]
//! [[rule]]
//! match = "link/#"
//! stages = [ { deadband = { trigger = "status" } } ]           # changes of status alone: no tolerance
//! [[rule]]
//! match = "vibration/#"
//! stages = [ { sample = { min_interval_ms = 1000, pick = "max_abs_dev" } } ]    # or every_n = 10
//! [[rule]]
//! match = "meter/#"
//! stages = [ { dedup = { within_ms = 60000 } } ]
//!
//! [[alarm]]                       # the first alarm whose pattern matches a name applies
//! match = "site/a/temp/out"
//! hihi = { limit = 110.0 }
//! high = { limit = 95.0, deadband = 1.5, on_delay_ms = 15000, off_delay_ms = 5000, priority = 700 }
//! latch = false                   # back to normal, it waits for a reset
//! bad_input = "hold"              # or "alarm", "normal"
//! re_alarm_ms = 3600000           # acknowledged and still active: alarm again; without the key never
//! max_shelve_ms = 28800000        # without the key shelving has no limit
//! ```

pub(super) mod alarm;
pub(crate) mod checks;
pub(super) mod element_names;
pub(crate) mod error;
pub(super) mod file;
pub(super) mod from_config;
pub(crate) mod number_pair;
pub(super) mod omitted_values;
pub(super) mod parse;
pub(super) mod parsed_text;
pub(crate) mod path;
pub(super) mod piece;
pub(super) mod stage_keys;
mod window;

pub use alarm::{AlarmConfig, LimitConfig};
pub use number_pair::two_numbers;
pub use stage_keys::{
    AttenuatedSignalConfig, CounterConfig, FlatLineConfig, HampelConfig, JumpRejectConfig,
    RateOfChangeConfig, ScaleConfig, SpikeConfig,
};
pub use window::{EmptyWindows, WindowConfig};

use crate::check::RangeAction;
use crate::reduce::{Pick, Trigger};
use crate::time::TimePolicy;
use crate::{OverLimit, QualityScheme};
use serde::{Deserialize, Serialize};

/// Configuration of a whole pipeline.
///
/// ```
/// use edge_filter::Pipeline;
/// use edge_filter::config::{Config, DeadbandConfig, RuleConfig, StageConfig};
///
/// let deadband = DeadbandConfig { absolute: Some(0.5), ..DeadbandConfig::default() };
/// let stages = vec![StageConfig::Deadband(deadband)];
/// let rule = RuleConfig { pattern: "line2/#".into(), stages, ..RuleConfig::default() };
/// assert!(Pipeline::from_config(&Config { rule: vec![rule], ..Config::default() }).is_ok());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(clippy::exhaustive_structs, reason = "plain data, written as a literal or in a file")]
pub struct Config {
    /// Values for rules that do not set them.
    pub defaults: Defaults,
    /// Rules in order, of which the first that matches a name applies.
    pub rule: Vec<RuleConfig>,
    /// Alarms in order, of which the first that matches a name applies.
    pub alarm: Vec<AlarmConfig>,
}

/// Table `[defaults]` of the configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, clippy::exhaustive_structs, reason = "plain data; the keys are those of the stages")]
pub struct Defaults {
    pub max_keys: usize,
    pub over_limit: OverLimit,
    pub quality: QualityScheme,
    pub nan_is_bad: bool,
    pub max_future_ms: i64,
    pub max_backward_ms: i64,
    pub n_confirm: u32,
    pub max_gap_ms: i64,
    pub out_of_order: TimePolicy,
    pub future: TimePolicy,
    pub same_time: TimePolicy,
}

impl Default for Defaults {
    fn default() -> Self {
        Defaults {
            max_keys: 10_000,
            over_limit: OverLimit::Pass,
            quality: QualityScheme::OpcUa,
            nan_is_bad: true,
            max_future_ms: 60_000,
            max_backward_ms: 60_000,
            n_confirm: 3,
            max_gap_ms: 3_600_000,
            out_of_order: TimePolicy::Pass,
            future: TimePolicy::Pass,
            same_time: TimePolicy::Pass,
        }
    }
}

/// Entry of `[[rule]]` in the configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, clippy::exhaustive_structs, reason = "plain data; the keys are those of the stages")]
pub struct RuleConfig {
    #[serde(rename = "match")]
    pub pattern: String,
    #[serde(default)]
    pub range: Option<EngineeringRange>,
    #[serde(default)]
    pub quality: Option<QualityScheme>,
    #[serde(default)]
    pub nan_is_bad: Option<bool>,
    #[serde(default)]
    pub stages: Vec<StageConfig>,
}

/// Range from which percentages are computed (OPC UA `EURange`).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, clippy::exhaustive_structs, reason = "plain data")]
pub struct EngineeringRange {
    pub low: f64,
    pub high: f64,
}

/// Element of the key `stages`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StageConfig {
    /// Stage [`TimeGuard`](crate::time::TimeGuard) of the rule.
    TimeGuard(TimeGuardConfig),
    /// Stage [`Range`](crate::check::Range) of the rule.
    GrossRange(GrossRangeConfig),
    /// Stage [`RateOfChange`](crate::qartod::RateOfChange) of the rule.
    RateOfChange(RateOfChangeConfig),
    /// Stage [`FlatLine`](crate::qartod::FlatLine) of the rule.
    FlatLine(FlatLineConfig),
    /// Stage [`AttenuatedSignal`](crate::qartod::AttenuatedSignal) of the rule.
    AttenuatedSignal(AttenuatedSignalConfig),
    /// Stage [`Hampel`](crate::check::Hampel) of the rule.
    Hampel(HampelConfig),
    /// Stage [`JumpReject`](crate::check::JumpReject) of the rule.
    JumpReject(JumpRejectConfig),
    /// Stage [`Spike`](crate::qartod::Spike) of the rule.
    Spike(SpikeConfig),
    /// Stage [`Counter`](crate::transform::Counter) of the rule.
    Counter(CounterConfig),
    /// Stage [`Scale`](crate::transform::Scale) of the rule.
    Scale(ScaleConfig),
    /// Stage [`OnChange`](crate::reduce::OnChange) of the rule.
    OnChange(OnChangeConfig),
    /// Stage [`Deadband`](crate::reduce::Deadband) of the rule.
    Deadband(DeadbandConfig),
    /// Stage [`SwingingDoor`](crate::reduce::SwingingDoor) of the rule.
    SwingingDoor(SwingingDoorConfig),
    /// Stage [`SegmentHold`](crate::reduce::SegmentHold) of the rule.
    SegmentHold(SegmentHoldConfig),
    /// Stage [`Window`](crate::window::Window) of the rule.
    Window(WindowConfig),
    /// Stage [`Sample`](crate::reduce::Sample) of the rule.
    Sample(SampleConfig),
    /// Stage [`Dedup`](crate::reduce::Dedup) of the rule.
    Dedup(DedupConfig),
    /// Stage [`Stale`](crate::time::Stale) of the rule.
    Stale(StaleConfig),
}

/// Settings of a time guard that differ from the defaults.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, clippy::exhaustive_structs, reason = "plain data; see the setters of `TimeGuard`")]
pub struct TimeGuardConfig {
    pub max_future_ms: Option<i64>,
    pub max_backward_ms: Option<i64>,
    pub n_confirm: Option<u32>,
    pub max_gap_ms: Option<i64>,
    pub out_of_order: Option<TimePolicy>,
    pub future: Option<TimePolicy>,
    pub same_time: Option<TimePolicy>,
}

/// Parameters of a [`Range`](crate::check::Range).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, clippy::exhaustive_structs, reason = "plain data; see the setters of `Range`")]
pub struct GrossRangeConfig {
    #[serde(deserialize_with = "number_pair::two_numbers")]
    pub fail: [f64; 2],
    #[serde(default, deserialize_with = "number_pair::maybe_two_numbers")]
    pub suspect: Option<[f64; 2]>,
    #[serde(default)]
    pub action: RangeAction,
}

/// Parameters of a [`Deadband`](crate::reduce::Deadband): exactly one of `absolute` and `percent`, or neither with `trigger = "status"`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, clippy::exhaustive_structs, reason = "plain data; see the setters of `Deadband`")]
pub struct DeadbandConfig {
    pub absolute: Option<f64>,
    pub percent: Option<f64>,
    pub min_interval_ms: i64,
    pub max_interval_ms: Option<i64>,
    pub uncertain_as: UncertainAs,
    pub send_previous: bool,
    pub trigger: Trigger,
}

/// Parameters of an [`OnChange`](crate::reduce::OnChange).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, clippy::exhaustive_structs, reason = "plain data; see the setters of `OnChange`")]
pub struct OnChangeConfig {
    pub min_interval_ms: i64,
    pub max_interval_ms: Option<i64>,
}

/// Parameters of a [`SwingingDoor`](crate::reduce::SwingingDoor): exactly one of `deviation` and `percent`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, clippy::exhaustive_structs, reason = "plain data; see the setters of `SwingingDoor`")]
pub struct SwingingDoorConfig {
    pub deviation: Option<f64>,
    pub percent: Option<f64>,
    pub min_interval_ms: i64,
    pub best_effort: bool,
    pub max_interval_ms: Option<i64>,
    pub uncertain_as: UncertainAs,
}

/// Parameters of a [`SegmentHold`](crate::reduce::SegmentHold): exactly one of `deviation` and `percent`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, clippy::exhaustive_structs, reason = "plain data; see the setters of `SegmentHold`")]
pub struct SegmentHoldConfig {
    pub deviation: Option<f64>,
    pub percent: Option<f64>,
    pub max_interval_ms: Option<i64>,
    pub uncertain_as: UncertainAs,
}

/// Parameters of a [`Sample`](crate::reduce::Sample): exactly one of `every_n` and `min_interval_ms`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, clippy::exhaustive_structs, reason = "plain data; see the setters of `Sample`")]
pub struct SampleConfig {
    pub every_n: Option<u32>,
    pub min_interval_ms: Option<i64>,
    pub pick: Pick,
}

/// Parameters of a [`Dedup`](crate::reduce::Dedup).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, clippy::exhaustive_structs, reason = "plain data")]
pub struct DedupConfig {
    pub within_ms: i64,
}

/// Treatment of uncertain values in a comparison.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(clippy::exhaustive_enums, reason = "there is no third way")]
pub enum UncertainAs {
    /// Uncertain values are compared like good ones.
    #[default]
    Good,
    /// Uncertain values are not compared.
    Bad,
}

/// Parameters of a [`Stale`](crate::time::Stale).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, clippy::exhaustive_structs, reason = "plain data")]
pub struct StaleConfig {
    pub timeout_ms: i64,
    #[serde(default)]
    pub heartbeat_ms: Option<i64>,
}
