//! Sparkplug B payloads (Sparkplug 3.0 §6.4, the message `org.eclipse.tahu.protobuf.Payload`), in and out. The topic
//! says that a payload is one ([`Format::for_topic`](crate::Format::for_topic)).
//!
//! **The caller keeps the state of the Sparkplug session**; nothing here lasts from payload to payload but an encoder's `seq`, and [`Sessions`]:
//!
//! | state | out | in |
//! |---|---|---|
//! | births and deaths | when to send one; an NDEATH, a payload without `seq`, is no encoder's | [`Sessions`], or one [`Birth`] per node and device, forgotten at its death |
//! | `bdSeq` | a reading of a sensor of that name, pushed into the birth | [`Sessions`]; else that metric of a [`Payload`], compared with the last birth's |
//! | `seq` over all payloads of a node | [`first_seq`](crate::Encoder::first_seq) of each encoder | [`Payload::seq`]; at a hole, the request of a rebirth |
//!
//! **Out.** Every reading is a metric with its own timestamp. [`Encoder`](crate::Encoder) in three forms:
//!
//! | form | a metric has | for |
//! |---|---|---|
//! | [`birth`](crate::Encoder::birth) | name, alias, datatype, unit | NBIRTH, DBIRTH, payloads that are read alone |
//! | default | name, datatype | NDATA, DDATA without aliases |
//! | [`aliases`](crate::Encoder::aliases) | alias; the datatype of integers whose sign is in doubt | NDATA, DDATA |
//!
//! The alias is the sensor's number; the unit is the property `engUnit` of a sensor's first metric.
//! Each payload has a `seq` that counts on from [`first_seq`](crate::Encoder::first_seq) and wraps at 256, and a
//! timestamp ([`sent_at`](crate::Encoder::sent_at), else the first reading's). [`historical`](crate::Encoder::historical)
//! marks readings out of a backlog. [`with_body`] makes a payload around another format.
//!
//! **In.** [`decode`] reads a payload that is complete in itself. Metrics that have an alias and no name get a sensor
//! with the alias as number and an empty name; [`Birth`] knows names, units and datatypes from a birth, by alias or, for
//! metrics without one, by name. Sensors without an alias, or with one of more than 32 bits, get free numbers. [`Payload`]
//! gives every field of every metric as it is.
//!
//! | value | Sparkplug |
//! |---|---|
//! | double, `i64`, `u64`, bool, text, bytes | Double, Int64, UInt64, Boolean, String, Bytes |
//! | null | `is_null` |
//! | quality good | no property (in: 192 to 255 too) |
//! | quality uncertain | property `Quality` 500, stale; in: 0x40900000, UncertainLastUsableValue |
//! | quality bad | property `Quality` 0; in: every other number |
//!
//! In, smaller integers, Float, DateTime (ms), Text and UUID become the model's kinds, arrays their bytes; DataSets,
//! Templates, bodies and metrics without a value are counted ([`Batch::skipped`](crate::Batch::skipped)), and so are integers that could be
//! negative or not for want of a datatype or do not fit theirs, and times beyond an `i64`: they are not guessed, and the others are read.
//!
//! Lost: sub-codes of the quality, the batch's identity and mark (hosts recognise a repeated metric by its timestamp),
//! times before 1970 (refused when pushed), and, in what is decoded, `is_historical`.

mod birth;
mod birth_reader;
mod decode;
mod encode;
mod metric;
mod payload;
mod quality;
mod sensor_numbers;
mod sessions;
mod topic;

pub use birth::Birth;
pub(crate) use decode::payload;
pub use decode::{decode, decode_at};
pub use encode::{Sparkplug, rebirth_request, with_body};
pub use metric::{Metric, MetricValue, datatype};
pub use payload::{Metrics, Payload};
pub use sessions::{BIRTHS, Ended, Message, Sessions, is_session_metric};
pub use topic::{Kind, Topic};

/// Encoder of Sparkplug payloads; see [`Encoder`](crate::Encoder).
///
/// ```
/// use edge_codec::{Limits, Reading, SensorTable, Value, sparkplug};
///
/// let mut sensors = SensorTable::new();
/// sensors.insert(7, "line2/temp", "Cel");
/// let mut encoder = sparkplug::Encoder::new(&sensors).first_seq(0);
/// encoder.push(&Reading { sensor: 7, time: 1_580_515_200_000, value: Value::F64(53.6), quality: 0 })?;
/// let batch = encoder.finish_under(1_000)?;
/// assert_eq!(sparkplug::decode(&batch, &Limits::default())?.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type Encoder<S> = crate::Encoder<S, Sparkplug>;

/// Content type for tools that want a name. None is registered, because Sparkplug recognises payloads by topic.
pub const CONTENT_TYPE: &str = crate::content_type::SPARKPLUG;

/// Field numbers of the messages (proto2), which the specification has frozen.
mod tag {
    pub(super) const TIMESTAMP: u32 = 1;
    pub(super) const METRICS: u32 = 2;
    pub(super) const SEQ: u32 = 3;
    pub(super) const UUID: u32 = 4;
    pub(super) const BODY: u32 = 5;

    pub(super) mod metric {
        pub(in super::super) const NAME: u32 = 1;
        pub(in super::super) const ALIAS: u32 = 2;
        pub(in super::super) const TIMESTAMP: u32 = 3;
        pub(in super::super) const DATATYPE: u32 = 4;
        pub(in super::super) const IS_HISTORICAL: u32 = 5;
        pub(in super::super) const IS_TRANSIENT: u32 = 6;
        pub(in super::super) const IS_NULL: u32 = 7;
        pub(in super::super) const PROPERTIES: u32 = 9;
        pub(in super::super) const INT: u32 = 10;
        pub(in super::super) const LONG: u32 = 11;
        pub(in super::super) const FLOAT: u32 = 12;
        pub(in super::super) const DOUBLE: u32 = 13;
        pub(in super::super) const BOOLEAN: u32 = 14;
        pub(in super::super) const STRING: u32 = 15;
        pub(in super::super) const BYTES: u32 = 16;
        pub(in super::super) const DATASET: u32 = 17;
        pub(in super::super) const TEMPLATE: u32 = 18;
        pub(in super::super) const EXTENSION: u32 = 19;
    }

    pub(super) mod property {
        pub(in super::super) const KEYS: u32 = 1;
        pub(in super::super) const VALUES: u32 = 2;
        pub(in super::super) const TYPE: u32 = 1;
        pub(in super::super) const INT: u32 = 3;
        pub(in super::super) const LONG: u32 = 4;
        pub(in super::super) const STRING: u32 = 8;
    }
}
