//! Control loops from TOML or any serde format.
//!
//! ```toml
//! [control]                       # optional; the period's default is this, the watchdog's five periods
//! period_ms = 10
//! watchdog_ms = 50
//!
//! [[input]]
//! name = "oven/temp"              # what a shell makes of names is its own affair; a topic, mostly
//! stale_after_ms = 500
//! range = [-20.0, 400.0]          # optional: outside it is bad
//!
//! [[output]]                      # exactly one of pid, switch, ramp, value
//! name = "oven/heater"
//! safe = 0.0                      # the default
//! pid = { input = "oven/temp", setpoint = 180.0, form = "isa", k = 2.0, ti_s = 120.0, td_s = 10.0, limits = [0, 100] }
//! [[output]]
//! name = "oven/fan"
//! switch = { input = "oven/temp", on_at = 60.0, off_at = 50.0, min_on_ms = 5000 }
//! [[output]]
//! name = "belt/speed"
//! ramp = { setpoint_input = "belt/wanted", rate_per_s = 0.5 }
//! [[output]]
//! name = "contactor"
//! value = 1.0                     # unless an interlock holds it
//!
//! [[interlock]]
//! name = "stop"
//! outputs = ["oven/heater", "contactor"]
//! reset = "manual"                # by a command, which a shell may have to allow; or "auto", then optionally after_ms
//! max_bypass_ms = 60000           # of all bypasses, until it went as long without one; without the key there is none
//! trip_when = { any = [
//!   { input = "line/estop", is = false },
//!   { at_least = 2, of = [ { input = "p1", above = 8 }, { input = "p2", above = 8 }, { input = "p3", above = 8 } ], degraded = "trip_vote" },
//! ] }
//!
//! [[alarm]]                       # on inputs, by name or pattern; keys as in `crate::config`
//! match = "oven/temp"
//! high = { limit = 200.0, deadband = 2.0, on_delay_ms = 3000 }
//! ```
//!
//! `pid`: `form` is `isa` (`k`, `ti_s`, `td_s`) or `parallel` (`kp`, `ki`, `kd`); `setpoint` or `setpoint_input`; `limits`;
//! `beta`, `gamma`; `filter_s` (`Tf`), `derivative` is `backward_difference` or `zero_order_hold`; `anti_windup` is `back_calculation` or `clamp`, `tracking_s` (`Tt`); `rate_per_s`,
//! `setpoint_rate_per_s`; `dt_max_s`; `bad_input` is `safe`, `hold` or `manual`.

use crate::config::AlarmConfig;
use crate::interlock::Degraded;
use crate::pid::DerivativeForm;
use serde::{Deserialize, Serialize};

use super::LoopBadInput;

/// Configuration of all loops.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, clippy::exhaustive_structs, reason = "plain data, written as a literal or in a file")]
pub struct ControlConfig {
    pub control: TimesConfig,
    pub input: Vec<InputConfig>,
    pub output: Vec<OutputConfig>,
    pub interlock: Vec<InterlockConfig>,
    pub alarm: Vec<AlarmConfig>,
}

/// Table `[control]` of the configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, clippy::exhaustive_structs, reason = "plain data")]
pub struct TimesConfig {
    pub period_ms: i64,
    pub watchdog_ms: Option<i64>,
}

impl Default for TimesConfig {
    fn default() -> Self {
        TimesConfig { period_ms: 10, watchdog_ms: None }
    }
}

/// Entry of `[[input]]`, see [`InputSpec`](super::InputSpec).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, clippy::exhaustive_structs, reason = "plain data")]
pub struct InputConfig {
    pub name: String,
    pub stale_after_ms: i64,
    #[serde(default, deserialize_with = "crate::pipeline::config::number_pair::maybe_two_numbers")]
    pub range: Option<[f64; 2]>,
}

/// Entry of `[[output]]`, see [`OutputSpec`](super::OutputSpec). Exactly one of `pid`, `switch`, `ramp` and `value` is given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, clippy::exhaustive_structs, reason = "plain data")]
pub struct OutputConfig {
    pub name: String,
    #[serde(default)]
    pub safe: f64,
    #[serde(default)]
    pub pid: Option<PidConfig>,
    #[serde(default)]
    pub switch: Option<SwitchConfig>,
    #[serde(default)]
    pub ramp: Option<RampConfig>,
    #[serde(default)]
    pub value: Option<f64>,
}

/// Form of the parameters of a [`Pid`](crate::pid::Pid).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(clippy::exhaustive_enums, reason = "the two of the specification")]
pub enum PidForm {
    /// Standard form: `k`, `ti_s`, `td_s`.
    #[default]
    Isa,
    /// Parallel form: `kp`, `ki`, `kd`.
    Parallel,
}

/// Method of anti-windup, see [`AntiWindup`](crate::pid::AntiWindup).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, clippy::exhaustive_enums, reason = "the two of the specification")]
pub enum WindupConfig {
    #[default]
    BackCalculation,
    Clamp,
}

/// Parameters of a [`Pid`](crate::pid::Pid).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, clippy::exhaustive_structs, reason = "plain data; see the setters of `Pid`")]
pub struct PidConfig {
    pub input: String,
    pub setpoint: Option<f64>,
    pub setpoint_input: Option<String>,
    pub form: PidForm,
    pub k: Option<f64>,
    pub ti_s: Option<f64>,
    pub td_s: Option<f64>,
    pub kp: Option<f64>,
    pub ki: Option<f64>,
    pub kd: Option<f64>,
    #[serde(default, deserialize_with = "crate::pipeline::config::number_pair::maybe_two_numbers")]
    pub limits: Option<[f64; 2]>,
    pub beta: Option<f64>,
    pub gamma: Option<f64>,
    pub filter_s: Option<f64>,
    pub derivative: DerivativeForm,
    pub anti_windup: WindupConfig,
    pub tracking_s: Option<f64>,
    pub proportional_on_measurement: bool,
    pub rate_per_s: Option<f64>,
    pub setpoint_rate_per_s: Option<f64>,
    pub dt_max_s: Option<f64>,
    pub bad_input: LoopBadInput,
}

/// Parameters of a [`HysteresisSwitch`](crate::hysteresis_switch::HysteresisSwitch).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, clippy::exhaustive_structs, reason = "plain data")]
pub struct SwitchConfig {
    pub input: String,
    pub on_at: f64,
    pub off_at: f64,
    #[serde(default)]
    pub min_on_ms: i64,
    #[serde(default)]
    pub min_off_ms: i64,
    #[serde(default = "one")]
    pub on: f64,
    #[serde(default)]
    pub off: f64,
    #[serde(default)]
    pub bad_input: LoopBadInput,
}

fn one() -> f64 {
    1.0
}

/// Parameters of a [`Ramp`](crate::pid::Ramp).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, clippy::exhaustive_structs, reason = "plain data")]
pub struct RampConfig {
    #[serde(default)]
    pub setpoint: Option<f64>,
    #[serde(default)]
    pub setpoint_input: Option<String>,
    pub rate_per_s: f64,
}

/// Entry of `[[interlock]]`, see [`Interlock`](crate::interlock::Interlock).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, clippy::exhaustive_structs, reason = "plain data")]
pub struct InterlockConfig {
    pub name: String,
    pub outputs: Vec<String>,
    pub trip_when: ConditionConfig,
    #[serde(default)]
    pub reset: ResetConfig,
    #[serde(default)]
    pub after_ms: Option<i64>,
    #[serde(default)]
    pub max_bypass_ms: Option<i64>,
}

/// Parameters of a [`Reset`](crate::interlock::Reset).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, clippy::exhaustive_enums, reason = "by hand or by itself")]
pub enum ResetConfig {
    #[default]
    Manual,
    Auto,
}

/// Condition of an interlock, see [`Condition`](crate::interlock::Condition): `input` with one of `above`, `below`, `is`; or one of `all`,
/// `any`, `not`; or `at_least` with `of`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, clippy::exhaustive_structs, reason = "plain data")]
pub struct ConditionConfig {
    pub input: Option<String>,
    pub above: Option<f64>,
    pub below: Option<f64>,
    pub is: Option<bool>,
    pub all: Option<Vec<ConditionConfig>>,
    pub any: Option<Vec<ConditionConfig>>,
    pub not: Option<Box<ConditionConfig>>,
    pub at_least: Option<usize>,
    pub of: Option<Vec<ConditionConfig>>,
    pub degraded: Option<Degraded>,
}
