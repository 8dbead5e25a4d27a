//! Sessions of nodes and their devices: from birth to death, with the names for what is sent between.

#![deny(clippy::indexing_slicing)]

use super::birth::Birth;
use super::decode::decode_at;
use super::payload::Payload;
use super::topic::{Kind, Topic};
use crate::{Batch, DecodeError, Limits};
use std::collections::{BTreeMap, HashMap};

/// Metric of births and deaths that says which of them belong together.
const BD_SEQ: &str = "bdSeq";

/// Name in [`DecodeError::Limit`] of a birth that has no room beside the others.
pub const BIRTHS: &str = "bytes of births";

/// Births of nodes and devices, bounded in bytes, by which their messages are read. `seq` is not looked at: a lost birth shows itself by
/// metrics that no birth has, and not at all where its aliases stood for other names before and the death between was lost, too.
///
/// ```
/// use edge_codec::sparkplug::{self, Message, Sessions, Topic};
/// use edge_codec::{Limits, Reading, SensorTable, Value};
///
/// let mut sensors = SensorTable::new();
/// sensors.insert(7, "temp", "Cel");
/// let reading = Reading { sensor: 7, time: 1_580_515_200_000, value: Value::F64(53.6), quality: 0 };
/// let mut births = sparkplug::Encoder::new(&sensors).birth();
/// births.push(&reading)?;
/// let mut data = sparkplug::Encoder::new(&sensors).aliases();
/// data.push(&reading)?;
/// let (birth, data) = (births.finish_under(1_000)?, data.finish_under(1_000)?);
///
/// let (mut sessions, limits) = (Sessions::new(1 << 20), Limits::default());
/// let born = Topic::read("spBv1.0/plant/NBIRTH/line2").ok_or("no topic")?;
/// let told = Topic::read("spBv1.0/plant/NDATA/line2").ok_or("no topic")?;
/// assert!(matches!(sessions.read(&told, &data, 0, &limits)?, Message::Unborn));
/// sessions.read(&born, &birth, 0, &limits)?;
/// let Message::Readings(batch) = sessions.read(&told, &data, 0, &limits)? else { return Err("no readings".into()) };
/// assert_eq!(batch.sensors().get(7).map(|s| s.name.as_ref()), Some("temp"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Sessions {
    /// Nodes by `GROUP/NODE`.
    nodes: HashMap<Box<str>, Node>,
    bytes: usize,
    bytes_max: usize,
}

/// A node, with the devices that were born behind it.
#[derive(Clone, Debug, Default)]
struct Node {
    bd_seq: Option<u64>,
    birth: Option<Box<Birth>>,
    devices: BTreeMap<Box<str>, Box<Birth>>,
}

/// Content of a message.
#[derive(Debug)]
#[non_exhaustive]
pub enum Message<'a> {
    /// Readings of a birth or of data, under the names of the node's or device's metrics. A birth ends the session before it, and that of a node
    /// those of its devices, without an [`Ended`](Self::Ended): their next births follow it.
    Readings(Box<Batch<'a>>),
    /// Data whose birth is not known. A [`rebirth_request`](super::rebirth_request) makes the node send it.
    Unborn,
    /// Sessions that have ended: that of a device, or of a node and of all its devices.
    Ended(Vec<Ended>),
    /// Command, state of a host, or death of an earlier session: no readings.
    NoReadings,
}

/// Session that has ended. Its sensors have no value from now on.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Ended {
    /// Node or device whose session it was, as [`Topic::sender`] names it.
    pub sender: String,
    /// Names and units of its sensors.
    pub birth: Box<Birth>,
}

impl Sessions {
    /// Creates a memory of births that takes at most `bytes_max` bytes, some 200 and the name and unit for each metric.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self { nodes: HashMap::new(), bytes: 0, bytes_max }
    }

    /// Reads a message. `arrival_ms`: time of metrics without one, in a payload without one, in ms since the Unix epoch.
    ///
    /// # Errors
    /// Any [`DecodeError`] for input that the limits or the schema do not allow; [`DecodeError::Limit`] for a birth that has no room beside the
    /// others. A birth that cannot be kept ends the earlier one, which does not hold any more.
    pub fn read<'a>(
        &'a mut self,
        topic: &Topic<'a>,
        payload: &'a [u8],
        arrival_ms: i64,
        limits: &Limits,
    ) -> Result<Message<'a>, DecodeError> {
        match topic.kind {
            Kind::Birth => {
                self.born(topic, payload, limits)?;
                decode_at(payload, arrival_ms, limits).map(readings)
            }
            Kind::Data => self.data(topic, payload, arrival_ms, limits),
            Kind::Death => self.died(topic, payload, limits),
            Kind::Command | Kind::State => Ok(Message::NoReadings),
        }
    }

    /// Returns the bytes that the births take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the number of nodes that were born and did not die.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    fn born(&mut self, topic: &Topic<'_>, payload: &[u8], limits: &Limits) -> Result<(), DecodeError> {
        // What was born before is over, whether the new birth can be read and has room or not.
        self.end(topic);
        let (birth, bd_seq) = (Box::new(Birth::read(payload, limits)?), bd_seq(payload, limits)?);
        let key = key(topic);
        // The name of a node counts with each of its births, so that a node costs nothing else.
        let bytes = bytes_of(&birth, &topic.sender());
        let found = self.bytes.saturating_add(bytes);
        if found > self.bytes_max {
            let (limit, found) = (self.bytes_max, found as u64);
            return Err(DecodeError::Limit { what: BIRTHS, offset: 0, limit, found });
        }
        self.bytes = found;
        let node = self.nodes.entry(key).or_default();
        match topic.device {
            Some(device) => drop(node.devices.insert(device.into(), birth)),
            None => (node.birth, node.bd_seq) = (Some(birth), bd_seq),
        }
        Ok(())
    }

    fn data<'a>(
        &'a self,
        topic: &Topic<'_>,
        payload: &'a [u8],
        arrival_ms: i64,
        limits: &Limits,
    ) -> Result<Message<'a>, DecodeError> {
        let node = self.nodes.get(key(topic).as_ref());
        let birth = node.and_then(|node| match topic.device {
            Some(device) => node.devices.get(device).map(Box::as_ref),
            None => node.birth.as_deref(),
        });
        let Some(birth) = birth else {
            let batch = decode_at(payload, arrival_ms, limits)?;
            let is_named = batch.sensors().iter().all(|sensor| !sensor.name.is_empty());
            // Integers are read by the datatypes of the birth.
            let is_whole = is_named && batch.skipped() == 0;
            return Ok(if is_whole { readings(batch) } else { Message::Unborn });
        };
        match birth.decode_at(payload, arrival_ms, limits) {
            Err(DecodeError::UnknownSensor { .. }) => Ok(Message::Unborn),
            read => read.map(readings),
        }
    }

    fn died<'a>(
        &mut self,
        topic: &Topic<'_>,
        payload: &[u8],
        limits: &Limits,
    ) -> Result<Message<'a>, DecodeError> {
        if topic.device.is_none() {
            let (of_death, of_birth) = (bd_seq(payload, limits)?, self.nodes.get(key(topic).as_ref()));
            let of_birth = of_birth.and_then(|node| node.bd_seq);
            // The will of an earlier connection may come after the birth of the next one.
            if of_death.zip(of_birth).is_some_and(|(death, birth)| death != birth) {
                return Ok(Message::NoReadings);
            }
        }
        let ended = self.end(topic);
        Ok(if ended.is_empty() { Message::NoReadings } else { Message::Ended(ended) })
    }

    /// Forgets the session of the device, or of the node and all its devices. Returns what was forgotten.
    fn end(&mut self, topic: &Topic<'_>) -> Vec<Ended> {
        let key = key(topic);
        let Some(node) = self.nodes.get_mut(&key) else { return Vec::new() };
        let of = |device: Option<&str>, birth| {
            let sender = Topic { device, ..*topic }.sender();
            Ended { sender, birth }
        };
        let mut ended = Vec::new();
        match topic.device {
            Some(device) => ended.extend(node.devices.remove(device).map(|birth| of(Some(device), birth))),
            None => {
                ended.extend(node.birth.take().map(|birth| of(None, birth)));
                let devices = std::mem::take(&mut node.devices);
                ended.extend(devices.into_iter().map(|(device, birth)| of(Some(&device), birth)));
            }
        }
        if node.birth.is_none() && node.devices.is_empty() {
            self.nodes.remove(&key);
        }
        let bytes = ended.iter().map(|Ended { sender, birth }| bytes_of(birth, sender)).sum();
        self.bytes = self.bytes.saturating_sub(bytes);
        ended
    }
}

fn readings(batch: Batch<'_>) -> Message<'_> {
    Message::Readings(Box::new(batch))
}

fn key(topic: &Topic<'_>) -> Box<str> {
    Topic { device: None, ..*topic }.sender().into()
}

/// Returns the bytes that a birth takes, with the name of its sender.
fn bytes_of(birth: &Birth, sender: &str) -> usize {
    birth.memory_bytes().saturating_add(sender.len())
}

/// Returns the number of the session; `None` if the payload has none.
fn bd_seq(payload: &[u8], limits: &Limits) -> Result<Option<u64>, DecodeError> {
    use super::MetricValue::{Int, Long};
    for metric in Payload::read(payload, limits)?.metrics() {
        let metric = metric?;
        if metric.name == Some(BD_SEQ) {
            return Ok(match metric.value {
                Int(number) => Some(number.into()),
                Long(number) => Some(number),
                _ => None,
            });
        }
    }
    Ok(None)
}

/// Returns whether a metric of this name is a matter of the session, and no sensor: `bdSeq`, and what a node or device can be told to do.
#[must_use]
pub fn is_session_metric(name: &str) -> bool {
    name == BD_SEQ || name.starts_with("Node Control/") || name.starts_with("Device Control/")
}
