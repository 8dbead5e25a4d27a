//! Scheme of a reading's quality. A number is one of the scheme that the rules name. A word, or no quality at all, is an OPC UA code already, and of
//! another scheme the number of that code may be bad: Sparkplug's 0 is.

use edge_codec::Record;
use edge_filter::{Quality, QualityScheme};

/// Returns the quality as the stages read it.
pub(super) fn in_scheme(scheme: QualityScheme, record: &Record<'_>) -> Quality {
    match record.numeric_quality {
        true => Quality(record.quality),
        false => Quality(scheme.from_opc_ua(Quality(record.quality))),
    }
}

/// Returns the quality as an OPC UA code, for a reading that passes without the stages.
pub(super) fn as_opc_ua(scheme: QualityScheme, record: &Record<'_>) -> Quality {
    match record.numeric_quality {
        true => scheme.to_opc_ua(record.quality).unwrap_or(Quality::BAD),
        false => Quality(record.quality),
    }
}
