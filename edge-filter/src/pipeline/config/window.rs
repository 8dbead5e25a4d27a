//! Keys of a window.

use super::UncertainAs;
use crate::window::Aggregate;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

/// Parameters of a [`Window`](crate::window::Window) and its [`Aggregate`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, clippy::exhaustive_structs, reason = "plain data; see the setters of `Window`")]
pub struct WindowConfig {
    pub width_ms: i64,
    pub agg: Aggregate,
    #[serde(default)]
    pub offset_ms: i64,
    #[serde(default)]
    pub allowed_lateness_ms: i64,
    #[serde(default = "all_pct")]
    pub min_good_pct: f64,
    #[serde(default, alias = "emit_empty", deserialize_with = "empty_windows")]
    pub empty: EmptyWindows,
    #[serde(default = "bad")]
    pub uncertain_as: UncertainAs,
}

/// Treatment of windows without a reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(clippy::exhaustive_enums, reason = "given or not")]
pub enum EmptyWindows {
    /// Windows without a reading are left out.
    #[default]
    Skip,
    /// Each is emitted as `BadNoData`, see [`Window::emit_empty`](crate::window::Window::emit_empty).
    Emit,
}

/// Reads a word, or a boolean as under the older key `emit_empty`, because a gateway may have stored such rules.
fn empty_windows<'de, D: Deserializer<'de>>(deserializer: D) -> Result<EmptyWindows, D::Error> {
    struct WordOrFlag;

    impl Visitor<'_> for WordOrFlag {
        type Value = EmptyWindows;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("empty = \"skip\" or \"emit\"")
        }

        fn visit_bool<E: Error>(self, emit: bool) -> Result<EmptyWindows, E> {
            Ok(if emit { EmptyWindows::Emit } else { EmptyWindows::Skip })
        }

        fn visit_str<E: Error>(self, word: &str) -> Result<EmptyWindows, E> {
            match word {
                "skip" => Ok(EmptyWindows::Skip),
                "emit" => Ok(EmptyWindows::Emit),
                other => Err(E::unknown_variant(other, &["skip", "emit"])),
            }
        }
    }

    deserializer.deserialize_any(WordOrFlag)
}

fn all_pct() -> f64 {
    100.0
}

fn bad() -> UncertainAs {
    UncertainAs::Bad
}
