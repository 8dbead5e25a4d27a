//! `proto/rows.proto` as prost structs. Exhaustive: the field numbers are frozen.
//!
//! ```
//! use edge_codec::protobuf::{self, schema};
//! use edge_codec::{Limits, Value};
//! use prost::Message;
//!
//! let sensor = schema::Sensor { id: 7, name: "line2/temp".into(), unit: "Cel".into() };
//! let row = schema::Row { sensor: 7, time: 0, value: Some(schema::Value::F64(53.6)), quality: 0 };
//! let batch = schema::Batch { version: 1, sensors: vec![sensor], rows: vec![row], ..Default::default() };
//! let bytes = batch.encode_to_vec();
//! let reading = protobuf::decode(&bytes, &Limits::default())?.next().unwrap()?;
//! assert_eq!(reading.value, Value::F64(53.6));
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
    /// Sequence number of the first row; part of the batch's identity.
    #[prost(uint64, optional, tag = "5")]
    pub first_seq: Option<u64>,
    /// True if the batch is marked as a possible duplicate.
    #[prost(bool, tag = "6")]
    pub pd: bool,
    /// Time from which those of the rows count, in milliseconds since the Unix epoch.
    #[prost(sint64, tag = "7")]
    pub base_time: i64,
    /// Every sensor that a row refers to.
    #[prost(message, repeated, tag = "8")]
    pub sensors: Vec<Sensor>,
    /// Readings of the batch.
    #[prost(message, repeated, tag = "9")]
    pub rows: Vec<Row>,
    /// Run lengths of the rows' sequence numbers. Empty: the batch has no hole.
    #[prost(uint64, repeated, tag = "10")]
    pub seqs: Vec<u64>,
}

/// Entry of the sensor table.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Sensor {
    /// Number by which rows refer to the sensor.
    #[prost(uint32, tag = "1")]
    pub id: u32,
    /// Name of the sensor.
    #[prost(string, tag = "2")]
    pub name: String,
    /// Unit of the sensor; empty if it has none.
    #[prost(string, tag = "3")]
    pub unit: String,
}

/// Row with one reading.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Row {
    /// Number of the sensor.
    #[prost(uint32, tag = "1")]
    pub sensor: u32,
    /// Time in milliseconds since `base_time`.
    #[prost(sint64, tag = "2")]
    pub time: i64,
    /// Value; `None` if it is of a kind that this schema does not know.
    #[prost(oneof = "Value", tags = "3, 4, 5, 6, 7, 8, 9")]
    pub value: Option<Value>,
    /// Quality as an OPC UA StatusCode.
    #[prost(uint32, tag = "10")]
    pub quality: u32,
}

/// Value of a row.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Value {
    /// A double, bit-exact.
    #[prost(double, tag = "3")]
    F64(f64),
    /// A signed integer of 64 bits.
    #[prost(sint64, tag = "4")]
    I64(i64),
    /// An unsigned integer of 64 bits.
    #[prost(uint64, tag = "5")]
    U64(u64),
    /// A boolean, true or false.
    #[prost(bool, tag = "6")]
    Bool(bool),
    /// A text in UTF-8.
    #[prost(string, tag = "7")]
    Text(String),
    /// A string of bytes.
    #[prost(bytes = "vec", tag = "8")]
    Bytes(Vec<u8>),
    /// Null: the sensor has no value. The flag itself carries nothing.
    #[prost(bool, tag = "9")]
    Null(bool),
}

/// Fields of [`Batch`] that are not repeated, so that decoding allocates nothing. Numbers of 32 bits are read with 64, because a higher one
/// would be cut off silently: epoch 2^32 is not epoch 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub(super) struct Head {
    #[prost(uint64, tag = "1")]
    pub(super) version: u64,
    #[prost(fixed64, optional, tag = "2")]
    pub(super) gateway: Option<u64>,
    #[prost(uint64, optional, tag = "3")]
    pub(super) lane: Option<u64>,
    #[prost(uint64, optional, tag = "4")]
    pub(super) epoch: Option<u64>,
    #[prost(uint64, optional, tag = "5")]
    pub(super) first_seq: Option<u64>,
    #[prost(bool, tag = "6")]
    pub(super) pd: bool,
    #[prost(sint64, tag = "7")]
    pub(super) base_time: i64,
}

/// Field numbers of the messages in a batch.
pub(super) mod tag {
    pub(crate) mod sensor {
        pub(crate) const ID: u32 = 1;
        pub(crate) const NAME: u32 = 2;
        pub(crate) const UNIT: u32 = 3;
    }
    pub(crate) mod row {
        pub(crate) const SENSOR: u32 = 1;
        pub(crate) const TIME: u32 = 2;
        pub(crate) const F64: u32 = 3;
        pub(crate) const I64: u32 = 4;
        pub(crate) const U64: u32 = 5;
        pub(crate) const BOOL: u32 = 6;
        pub(crate) const TEXT: u32 = 7;
        pub(crate) const BYTES: u32 = 8;
        pub(crate) const NULL: u32 = 9;
        pub(crate) const QUALITY: u32 = 10;
    }
}

/// Field number of [`Batch::sensors`].
pub(super) const SENSORS: u32 = 8;
/// Field number of [`Batch::rows`].
pub(super) const ROWS: u32 = 9;
/// Field number of [`Batch::seqs`].
pub(crate) const SEQS: u32 = 10;
