//! MQTT wire format: conversion of control packets to bytes and back, for MQTT 5.0 and MQTT 3.1.1.
//!
//! Pure functions: no state, no I/O, no clock, and nothing from the rest of this crate, so that this folder can become a crate of its own.
//! *Strict in both directions*: packets that the standards forbid are refused when they are read, and cannot be written. *Zero-copy*: a
//! decoded packet's topic, payload and properties are slices of the received buffer, and a forwarding bridge passes properties on without
//! re-encoding them.
//!
//! Section numbers in this folder are those of *MQTT Version 5.0, OASIS Standard, 7 March 2019* unless marked "3.1.1" (*MQTT Version 3.1.1 Plus
//! Errata 01, 10 December 2015*); tags such as `[MQTT-2.2.1-3]` are their normative statements.

#![deny(clippy::indexing_slicing)]

mod ack;
mod codec;
mod connack;
mod connect;
mod disconnect_auth;
mod error;
mod field_writer;
mod hidden;
mod limits;
mod packet;
mod properties;
mod property;
mod property_id;
mod publish;
mod reader;
mod reason;
mod reason_and_properties;
mod strict_servers;
mod string;
mod subscribe;
mod topic;
mod types;
mod varint;

pub use ack::Ack;
pub(crate) use codec::{announces_login, encode_publish_head, frame, is_mqtt_3_1};
pub use codec::{decode, decode_connect, encode, encode_publish, encoded_len};
pub use connack::ConnAck;
pub use connect::{Connect, Will};
pub use disconnect_auth::{Auth, Disconnect};
pub use error::{DecodeError, DecodeErrorKind, EncodeError};
pub(crate) use hidden::Hidden;
pub use limits::Limits;
pub use packet::Packet;
pub use properties::{Iter as PropertiesIter, Properties, PropertiesBuilder};
pub use property::{Property, Value};
pub use property_id::PropertyId;
pub use publish::Publish;
pub use reason::ReasonCode;
pub use strict_servers::{TOPIC_LEVELS_MAX, validate_characters, validate_levels, validate_properties};
pub use string::{Utf8, Utf8Error};
pub use subscribe::{RetainHandling, SubAck, Subscribe, Subscription, UnsubAck, Unsubscribe};
pub use topic::{SharedFilter, TopicError, matches, validate_filter, validate_topic_name};
pub(crate) use topic::{check_filter, unshared};
pub use types::{PacketId, PacketType, QoS, Version};

/// Largest Remaining Length of a fixed header (§1.5.5), which has four bytes of seven bits.
pub const REMAINING_LENGTH_MAX: u32 = varint::MAX;
