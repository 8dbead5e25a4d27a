//! The message of the Sparkplug specification as prost structs, written from the schema and not from this crate.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "test support; each file uses its part")]

use prost::Message;

/// `org.eclipse.tahu.protobuf.Payload`, as far as it is used here.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TahuPayload {
    #[prost(uint64, optional, tag = "1")]
    pub timestamp: Option<u64>,
    #[prost(message, repeated, tag = "2")]
    pub metrics: Vec<TahuMetric>,
    #[prost(uint64, optional, tag = "3")]
    pub seq: Option<u64>,
    #[prost(string, optional, tag = "4")]
    pub uuid: Option<String>,
    #[prost(bytes = "vec", optional, tag = "5")]
    pub body: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct TahuMetric {
    #[prost(string, optional, tag = "1")]
    pub name: Option<String>,
    #[prost(uint64, optional, tag = "2")]
    pub alias: Option<u64>,
    #[prost(uint64, optional, tag = "3")]
    pub timestamp: Option<u64>,
    #[prost(uint32, optional, tag = "4")]
    pub datatype: Option<u32>,
    #[prost(bool, optional, tag = "5")]
    pub is_historical: Option<bool>,
    #[prost(bool, optional, tag = "6")]
    pub is_transient: Option<bool>,
    #[prost(bool, optional, tag = "7")]
    pub is_null: Option<bool>,
    #[prost(message, optional, tag = "9")]
    pub properties: Option<TahuProperties>,
    #[prost(oneof = "TahuValue", tags = "10, 11, 12, 13, 14, 15, 16, 17, 18")]
    pub value: Option<TahuValue>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub enum TahuValue {
    #[prost(uint32, tag = "10")]
    Int(u32),
    #[prost(uint64, tag = "11")]
    Long(u64),
    #[prost(float, tag = "12")]
    Float(f32),
    #[prost(double, tag = "13")]
    Double(f64),
    #[prost(bool, tag = "14")]
    Boolean(bool),
    #[prost(string, tag = "15")]
    Text(String),
    #[prost(bytes = "vec", tag = "16")]
    Bytes(Vec<u8>),
    /// The content of a DataSet does not matter here.
    #[prost(bytes = "vec", tag = "17")]
    DataSet(Vec<u8>),
    #[prost(bytes = "vec", tag = "18")]
    Template(Vec<u8>),
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct TahuProperties {
    #[prost(string, repeated, tag = "1")]
    pub keys: Vec<String>,
    #[prost(message, repeated, tag = "2")]
    pub values: Vec<TahuProperty>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct TahuProperty {
    #[prost(uint32, optional, tag = "1")]
    pub kind: Option<u32>,
    #[prost(uint32, optional, tag = "3")]
    pub int: Option<u32>,
    #[prost(string, optional, tag = "8")]
    pub text: Option<String>,
}

pub const T: u64 = 1_580_515_200_000;

pub fn metric(name: &str, value: TahuValue) -> TahuMetric {
    TahuMetric { name: Some(name.into()), timestamp: Some(T), value: Some(value), ..TahuMetric::default() }
}

pub fn payload(metrics: Vec<TahuMetric>) -> Vec<u8> {
    TahuPayload { timestamp: Some(T + 5), metrics, seq: Some(3), ..TahuPayload::default() }.encode_to_vec()
}
