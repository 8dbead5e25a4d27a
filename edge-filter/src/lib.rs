#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(feature = "config", doc = include_str!("../README.md"))]
#![cfg_attr(
    not(feature = "config"),
    doc = "Filters for sensor readings at the edge; the guide is in README.md."
)]

pub mod alarm;
mod bounds;
pub mod check;
#[cfg(feature = "codec")]
mod codec_conversion;
pub mod control;
pub mod downsample;
mod error;
pub mod hysteresis_switch;
pub mod interlock;
mod outcome;
pub mod pid;
mod pipeline;
pub mod qartod;
mod quality;
mod reading;
pub mod reduce;
mod snapshot_serde;
pub mod time;
pub mod transform;
mod value;
pub mod window;

pub use bounds::{Cost, ErrorBound, LossBound};
pub use error::ParamError;
pub use outcome::{DropReason, Emit, EmitReason, Outcome};
pub use pipeline::{
    AlarmEvent, Builder, DamagedState, OverLimit, Pattern, PatternError, Pipeline, RestoreError, Rule,
    SNAPSHOT_VERSION, Snapshot, Stats,
};
pub use quality::{Quality, QualityScheme};
pub use reading::Reading;
pub use value::Value;

#[cfg(feature = "config")]
pub use pipeline::{ConfigError, ConfigFile, Problem, config};
