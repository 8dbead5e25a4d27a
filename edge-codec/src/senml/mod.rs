//! SenML packs (RFC 8428) in JSON ([`json`]) and CBOR ([`cbor`]), in and out.
//!
//! **Out.** One record per reading. The first record carries the base name (the common start of the sensors' names, up
//! to a `/`, `:`, `.`, `-` or `_`, at most 64 bytes), the base time and, if all sensors have a unit, a base unit. Times are relative to
//! the base time and left out where they equal it. Sensor names must be of the characters that RFC 8428 §4.5.1 allows.
//!
//! **In.** Packs are resolved (§4.6): base fields applied, names concatenated, times absolute. A time below 2^28
//! seconds counts from the arrival (§4.5.3), which [`json::decode_at`] and [`cbor::decode_at`] are told; `decode`
//! refuses it. Unknown labels are passed over, unless they end in `_` (§4.4). Versions up to 10 are read, and 26, which
//! has the same fields and more units (RFC 9100).
//!
//! | reading | SenML |
//! |---|---|
//! | name, unit | `bn` + `n`, `u` or `bu` |
//! | time | `bt` + `t`, in seconds; whole milliseconds |
//! | double, `i64`, `u64` | `v` |
//! | text, bool, bytes | `vs`, `vb`, `vd` |
//! | quality, if not 0 | the label `quality`, an OPC UA StatusCode, which RFC 8428 does not have and other readers pass over; `quality_` if [asked for](crate::Encoder::quality_must_be_understood), which makes them refuse the pack instead of taking a bad reading for a good one |
//! | identity, mark, sequence runs | the labels `edge-id`, `edge-pd`, `edge-seqs` of the first record, as in our [JSON](crate::json) |
//! | the integral `s` (§4.5.4), in only | a reading of its own of the sensor `NAME#sum`, its unit with `.s` at the end |
//!
//! Refused when pushed ([`NotCarried`](crate::EncodeError::NotCarried)): null, NaN, infinities, names that are not
//! allowed, times before 1978-07-04 (which would read as relative) or after 9999. Passed over when read: `ut`, and
//! records without a value, which are [counted](crate::Batch::skipped).

pub mod cbor;
mod encoder_parts;
pub mod json;
mod number;
mod record;
mod resolve;

/// Version that this module writes by leaving it out; it reads the newer one below as well.
const VERSION: u64 = 10;
const VERSION_WITH_MORE_UNITS: u64 = 26;

/// Number of seconds below which a time counts from the arrival (RFC 8428 §4.5.3).
const RELATIVE_BELOW_S: i64 = 1 << 28;
