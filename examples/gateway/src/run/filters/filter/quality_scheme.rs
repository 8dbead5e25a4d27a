//! Scheme of a reading's quality. A number is one of the scheme that the rules name. A word, or no quality at all, is an OPC UA code already, and of
//! another scheme the number of that code may be bad: Sparkplug's 0 is.

use edge_codec::Record;
use edge_filter::{Pipeline, Quality, QualityScheme};

/// Returns the quality as the stages read it.
///
/// The stages know no name of a sensor without a number, and read its quality by the default scheme. So a number of another scheme, which the
/// rule for the name says, is given to them as one of the default that is as good, uncertain or bad.
pub(super) fn quality_for_stages(pipeline: &Pipeline, sensor: u32, record: &Record<'_>) -> Quality {
    let read_by = pipeline.quality_scheme_of(sensor);
    if record.numeric_quality && scheme(pipeline, sensor, &record.sensor) == read_by {
        return Quality(record.quality);
    }
    Quality(read_by.from_opc_ua(quality_beside_stages(pipeline, sensor, record)))
}

/// Returns the quality as an OPC UA code, for a reading that passes without the stages.
pub(super) fn quality_beside_stages(pipeline: &Pipeline, sensor: u32, record: &Record<'_>) -> Quality {
    if !record.numeric_quality {
        return Quality(record.quality);
    }
    scheme(pipeline, sensor, &record.sensor).to_opc_ua(record.quality).unwrap_or(Quality::BAD)
}

/// Returns the scheme of a sensor, by the rule for its name if it has no number.
fn scheme(pipeline: &Pipeline, sensor: u32, name: &str) -> QualityScheme {
    match sensor {
        Pipeline::UNFILTERED => pipeline.quality_scheme(name),
        numbered => pipeline.quality_scheme_of(numbered),
    }
}
