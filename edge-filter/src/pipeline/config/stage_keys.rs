//! The keys of the judging and transforming stages, and the stages that they describe.

use crate::ParamError;
use crate::check::{Alignment, Hampel, JumpReject, OutlierAction, RangeAction};
use crate::qartod::{AttenuatedSignal, Attenuation, FlatLine, RateOfChange, Spike, SpikeMethod};
use crate::transform::{Counter, CounterWidth, Scale};
use serde::{Deserialize, Serialize};

/// Parameters of a [`RateOfChange`](crate::qartod::RateOfChange).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, clippy::exhaustive_structs, reason = "plain data; see the setters of `RateOfChange`")]
pub struct RateOfChangeConfig {
    pub suspect_per_s: Option<f64>,
    pub fail_per_s: Option<f64>,
    pub max_gap_ms: Option<i64>,
    pub action: RangeAction,
}

/// Parameters of a [`FlatLine::over_seconds`](crate::qartod::FlatLine::over_seconds).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, clippy::exhaustive_structs, reason = "plain data; see the constructor of `FlatLine`")]
pub struct FlatLineConfig {
    pub suspect_s: u32,
    pub fail_s: u32,
    pub sampling_ms: i64,
    pub tolerance: f64,
    #[serde(default)]
    pub action: RangeAction,
}

/// Parameters of an [`AttenuatedSignal`](crate::qartod::AttenuatedSignal).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, clippy::exhaustive_structs, reason = "plain data; see `AttenuatedSignal`")]
pub struct AttenuatedSignalConfig {
    #[serde(default)]
    pub check: Attenuation,
    #[serde(default)]
    pub suspect: Option<f64>,
    #[serde(default)]
    pub fail: Option<f64>,
    pub period_ms: i64,
    #[serde(default = "one")]
    pub min_obs: usize,
    #[serde(default)]
    pub action: RangeAction,
}

/// Parameters of a [`Spike`](crate::qartod::Spike). Readings come one reading late.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, clippy::exhaustive_structs, reason = "plain data; see the constructor of `Spike`")]
pub struct SpikeConfig {
    pub method: SpikeMethod,
    pub suspect: Option<f64>,
    pub fail: Option<f64>,
    pub action: RangeAction,
}

/// Parameters of a [`Hampel`](crate::check::Hampel). With `alignment = "centered"` readings come half a window late.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, clippy::exhaustive_structs, reason = "plain data; see the setters of `Hampel`")]
pub struct HampelConfig {
    pub window: usize,
    #[serde(default = "three")]
    pub n_sigma: f64,
    #[serde(default)]
    pub min_scale: f64,
    #[serde(default = "causal")]
    pub alignment: Alignment,
    #[serde(default)]
    pub action: OutlierAction,
}

/// Parameters of a [`JumpReject`](crate::check::JumpReject).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, clippy::exhaustive_structs, reason = "plain data; see the setters of `JumpReject`")]
pub struct JumpRejectConfig {
    pub max_step: f64,
    #[serde(default = "some_three")]
    pub accept_after: Option<u32>,
    #[serde(default)]
    pub action: RangeAction,
}

/// Parameters of a [`Counter`](crate::transform::Counter), which turns the value into the total since the first reading.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, clippy::exhaustive_structs, reason = "plain data; see the constructor of `Counter`")]
pub struct CounterConfig {
    pub width_bits: u32,
    pub max_rate_per_s: f64,
}

/// Parameters of a [`Scale`](crate::transform::Scale): the raw range and the range in engineering units (`raw`, `unit`: 4 to 20 mA are 0 to
/// 100 %), or `factor` and `offset`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, clippy::exhaustive_structs, reason = "plain data; see the constructors of `Scale`")]
pub struct ScaleConfig {
    pub factor: Option<f64>,
    pub offset: Option<f64>,
    #[serde(deserialize_with = "super::number_pair::maybe_two_numbers")]
    pub raw: Option<[f64; 2]>,
    #[serde(deserialize_with = "super::number_pair::maybe_two_numbers")]
    pub unit: Option<[f64; 2]>,
}

fn one() -> usize {
    1
}

fn three() -> f64 {
    3.0
}

fn causal() -> Alignment {
    Alignment::Causal
}

fn some_three() -> Option<u32> {
    Some(3)
}

impl RateOfChangeConfig {
    pub(in crate::pipeline) fn build(&self) -> Result<RateOfChange, ParamError> {
        let test = RateOfChange::new(self.suspect_per_s, self.fail_per_s)?;
        self.max_gap_ms.map_or(Ok(test), |ms| test.max_gap_ms(ms))
    }
}

impl FlatLineConfig {
    pub(in crate::pipeline) fn build(&self) -> Result<FlatLine, ParamError> {
        FlatLine::over_seconds(self.suspect_s, self.fail_s, self.sampling_ms, self.tolerance)
    }
}

impl AttenuatedSignalConfig {
    pub(in crate::pipeline) fn build(&self) -> Result<AttenuatedSignal, ParamError> {
        AttenuatedSignal::new(self.check, self.suspect, self.fail, self.period_ms)?.min_obs(self.min_obs)
    }
}

impl SpikeConfig {
    pub(in crate::pipeline) fn build(&self) -> Result<Spike, ParamError> {
        Spike::new(self.method, self.suspect, self.fail)
    }
}

impl HampelConfig {
    pub(in crate::pipeline) fn build(&self) -> Result<Hampel, ParamError> {
        Hampel::new(self.window, self.n_sigma, self.alignment)?.min_scale(self.min_scale)
    }
}

impl JumpRejectConfig {
    pub(in crate::pipeline) fn build(&self) -> Result<JumpReject, ParamError> {
        Ok(JumpReject::new(self.max_step)?.accept_after(self.accept_after))
    }
}

impl CounterConfig {
    pub(in crate::pipeline) fn build(&self) -> Result<Counter, ParamError> {
        Counter::new(CounterWidth::of_bits(self.width_bits)?, self.max_rate_per_s)
    }
}

impl ScaleConfig {
    pub(in crate::pipeline) fn build(&self) -> Result<Scale, ParamError> {
        match (self.raw, self.unit, self.factor, self.offset) {
            (Some([low, high]), Some([from, to]), None, None) => Scale::between((low, high), (from, to)),
            (None, None, Some(factor), offset) => Scale::linear(factor, offset.unwrap_or(0.0)),
            (None, None, None, Some(offset)) => Scale::linear(1.0, offset),
            _ => {
                Err(ParamError::new("scale", "`raw` and `unit`, or `factor` and `offset`", "another mixture"))
            }
        }
    }
}
