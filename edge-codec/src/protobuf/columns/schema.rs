//! `proto/columns.proto` as prost structs. Exhaustive: the field numbers are frozen.
//!
//! ```
//! use edge_codec::protobuf::columns::{self, schema};
//! use edge_codec::{Limits, Value};
//! use prost::Message;
//!
//! let (name, unit, id) = (vec!["line2/temp".into()], vec!["Cel".into()], vec![7]);
//! let (sensor, time, f64) = (vec![0, 0], vec![0, 1_000], vec![53.6, 53.8]);
//! let batch = schema::Batch { version: 1, name, unit, id, sensor, time, f64, ..Default::default() };
//! let bytes = batch.encode_to_vec();
//! let last = columns::decode(&bytes, &Limits::default())?.last().unwrap()?;
//! assert_eq!((last.sensor, last.time, last.value), (7, 1_000, Value::F64(53.8)));
//! # Ok::<(), edge_codec::DecodeError>(())
//! ```

/// Message that contains one batch.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Batch {
    /// Version of this layout: 1.
    #[prost(uint32, tag = "1")]
    pub version: u32,
    /// Numeric id of the gateway that made the batch; part of the batch's identity.
    #[prost(fixed64, optional, tag = "2")]
    pub gateway: Option<u64>,
    /// Number of the gateway's lane; part of the batch's identity.
    #[prost(uint32, optional, tag = "3")]
    pub lane: Option<u32>,
    /// Epoch of the lane's queue; part of the batch's identity.
    #[prost(uint32, optional, tag = "4")]
    pub epoch: Option<u32>,
    /// Sequence number of the first reading; part of the batch's identity.
    #[prost(uint64, optional, tag = "5")]
    pub first_seq: Option<u64>,
    /// True if the batch is marked as a possible duplicate.
    #[prost(bool, tag = "6")]
    pub pd: bool,
    /// Time from which that of the first reading counts, in milliseconds since the Unix epoch.
    #[prost(sint64, tag = "7")]
    pub base_time: i64,
    /// Table: names of the sensors.
    #[prost(string, repeated, tag = "8")]
    pub name: Vec<String>,
    /// Table: units of the sensors. Empty: none has one.
    #[prost(string, repeated, tag = "9")]
    pub unit: Vec<String>,
    /// Run lengths of sequence numbers. Empty: the batch has no hole.
    #[prost(uint64, repeated, tag = "10")]
    pub seqs: Vec<u64>,
    /// Per reading: place of its sensor in the table.
    #[prost(uint32, repeated, tag = "11")]
    pub sensor: Vec<u32>,
    /// Milliseconds since the reading before, for each reading.
    #[prost(sint64, repeated, tag = "12")]
    pub time: Vec<i64>,
    /// Values that are doubles.
    #[prost(double, repeated, tag = "13")]
    pub f64: Vec<f64>,
    /// Values that are signed integers.
    #[prost(sint64, repeated, tag = "14")]
    pub i64: Vec<i64>,
    /// Values that are unsigned integers.
    #[prost(uint64, repeated, tag = "15")]
    pub u64: Vec<u64>,
    /// Values that are booleans.
    #[prost(bool, repeated, tag = "16")]
    pub bool: Vec<bool>,
    /// Values that are texts.
    #[prost(string, repeated, tag = "17")]
    pub text: Vec<String>,
    /// Values that are byte strings.
    #[prost(bytes = "vec", repeated, tag = "18")]
    pub bytes: Vec<Vec<u8>>,
    /// OPC UA StatusCodes and counts. Empty: all readings are good.
    #[prost(uint32, repeated, tag = "19")]
    pub quality: Vec<u32>,
    /// Table: numbers of the sensors. Empty: 0, 1, 2, …
    #[prost(uint32, repeated, tag = "20")]
    pub id: Vec<u32>,
    /// Table: kinds of the values. Empty: all are [`Kind::F64`].
    #[prost(enumeration = "Kind", repeated, tag = "21")]
    pub kind: Vec<i32>,
}

/// Kind of a sensor's values, which decides in which array they are. Exhaustive, because another kind needs another version of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum Kind {
    /// Values in [`Batch::f64`].
    F64 = 0,
    /// Values in [`Batch::i64`].
    I64 = 1,
    /// Values in [`Batch::u64`].
    U64 = 2,
    /// Values in [`Batch::bool`].
    Bool = 3,
    /// Values in [`Batch::text`].
    Text = 4,
    /// Values in [`Batch::bytes`].
    Bytes = 5,
    /// Null values, which are in no array.
    Null = 6,
}

/// Field numbers of [`Batch`]; those of the envelope are in [rows](crate::protobuf::schema).
pub(super) mod tag {
    pub(in super::super) const NAME: u32 = 8;
    pub(in super::super) const UNIT: u32 = 9;
    pub(in super::super) const SENSOR: u32 = 11;
    pub(in super::super) const TIME: u32 = 12;
    pub(in super::super) const F64: u32 = 13;
    pub(in super::super) const I64: u32 = 14;
    pub(in super::super) const U64: u32 = 15;
    pub(in super::super) const BOOL: u32 = 16;
    pub(in super::super) const TEXT: u32 = 17;
    pub(in super::super) const BYTES: u32 = 18;
    pub(in super::super) const QUALITY: u32 = 19;
    pub(in super::super) const ID: u32 = 20;
    pub(in super::super) const KIND: u32 = 21;
}
