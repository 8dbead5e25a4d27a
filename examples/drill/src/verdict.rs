//! The verdict: a pure function of the two records, the times at which faults happened, and what was published.
//!
//! A `raw` message is lost if no message with its hash and topic is at the hub. A `filtered` reading is lost if no
//! delivered reading of its sensor has an event time ≤ its own, or the one with the greatest such time differs by more
//! than the tolerance, in text or in quality; or if its sensor has no filter and it is not at the hub itself. Nothing a
//! gateway counts is used here.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::record::{Acked, Arrived, Class, Header, Reading, Records};

mod checks;

pub(crate) use checks::{GatewayLedger, Observed, PUBACK_P99_MS_MAX};

/// Milliseconds left out before and after a kill, where a PUBACK says nothing about the gateway's usual delay.
const AROUND_KILL_MS: i64 = 1000;

/// Times at which the faults really happened, Unix ms.
#[derive(Debug, Clone, Default)]
pub(crate) struct Timeline {
    pub(crate) killed_at: Option<i64>,
    /// Time at which the restarted gateway accepted a connection.
    pub(crate) accepting_at: Option<i64>,
    /// First and last instant of each time the link carried nothing.
    pub(crate) outages: Vec<(i64, i64)>,
}

impl Timeline {
    /// Returns the time between two instants without that of outages: what a slow machine leaves behind the next one is no fault of the link.
    fn with_link_ms(&self, from: i64, to: i64) -> i64 {
        let away =
            self.outages.iter().map(|(cut_at, back_at)| ((*back_at).min(to) - (*cut_at).max(from)).max(0));
        to - from - away.sum::<i64>()
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum LostWhy {
    /// No message with this hash is at the hub.
    NotAtHub,
    /// No reading of this sensor with this or an earlier event time is at the hub.
    NothingEarlier,
    /// The reading that stands for it at the hub is farther away than the tolerance.
    OutsideTolerance {
        delivered: f64,
        tolerance: f64,
    },
    QualityDiffers {
        delivered: u32,
    },
    /// The reading that stands for it at the hub has another text.
    TextDiffers,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Lost {
    /// Index into `Records::acks`.
    pub(crate) ack: usize,
    pub(crate) why: LostWhy,
}

/// Fate of one acknowledged message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Arrived {
        time: i64,
        twice: bool,
    },
    /// Suppressed by the filter; another reading stands for it within the tolerance.
    Represented,
    Lost,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ClientCount {
    pub(crate) published: u64,
    pub(crate) acknowledged: u64,
    pub(crate) delivered_unique: u64,
    pub(crate) duplicates: u64,
    pub(crate) lost: u64,
}

#[derive(Debug, Clone)]
pub(crate) struct Verdict {
    pub(crate) published: u64,
    pub(crate) acknowledged: u64,
    pub(crate) delivered_unique: u64,
    /// Acknowledged readings that another one represents.
    pub(crate) represented: u64,
    pub(crate) lost: Vec<Lost>,
    /// Arrivals beyond the first of the same message or reading.
    pub(crate) duplicates: u64,
    /// Number of duplicates that repeat an identity or carry the mark of a possible duplicate.
    pub(crate) duplicates_recognised: u64,
    /// 99th percentile from first transmission to PUBACK, without the time around the kill; `None` without a sample.
    pub(crate) puback_p99_ms: Option<i64>,
    /// Time with a link from its return to the first arrival of a message that was sent before it, the worst of all outages.
    pub(crate) first_after_ms: Option<i64>,
    /// Time until the last of these messages, the worst of all outages.
    pub(crate) catch_up_ms: Option<i64>,
    pub(crate) per_client: BTreeMap<String, ClientCount>,
    /// Fate of each acknowledged message, in the order of `Records::acks`.
    pub(crate) fates: Vec<Fate>,
}

/// Judges the records. `published` counts the messages each client sent, acknowledged or not.
pub(crate) fn judge(records: &Records, timeline: &Timeline, published: &BTreeMap<String, u64>) -> Verdict {
    let hub = HubIndex::new(records);
    let mut lost = Vec::new();
    let mut fates = Vec::with_capacity(records.acks.len());
    let mut per_client: BTreeMap<String, ClientCount> = published
        .iter()
        .map(|(client, count)| (client.clone(), ClientCount { published: *count, ..ClientCount::default() }))
        .collect();
    for (index, ack) in records.acks.iter().enumerate() {
        let fate = match hub.fate(ack, &records.header) {
            Ok(fate) => fate,
            Err(why) => {
                lost.push(Lost { ack: index, why });
                Fate::Lost
            }
        };
        let count = per_client.entry(ack.client.clone()).or_default();
        count.acknowledged += 1;
        count.lost += u64::from(fate == Fate::Lost);
        fates.push(fate);
    }
    for copies in hub.copies.values() {
        let count = copies.client.and_then(|client| per_client.get_mut(client));
        if let Some(count) = count {
            count.delivered_unique += 1;
            count.duplicates += copies.extra;
        }
    }
    let (first_after_ms, catch_up_ms) = catch_up(&records.acks, &fates, timeline);
    Verdict {
        published: published.values().sum(),
        acknowledged: records.acks.len() as u64,
        delivered_unique: hub.copies.len() as u64,
        represented: fates.iter().filter(|fate| **fate == Fate::Represented).count() as u64,
        lost,
        duplicates: hub.copies.values().map(|copies| copies.extra).sum(),
        duplicates_recognised: hub.copies.values().map(|copies| copies.recognised).sum(),
        puback_p99_ms: puback_p99_ms(&records.acks, timeline),
        first_after_ms,
        catch_up_ms,
        per_client,
        fates,
    }
}

/// Property by which two arrivals are copies of one another.
#[derive(PartialEq, Eq, Hash)]
enum Key<'a> {
    /// Raw message. `prefixed`: the gateway's prefix was found and taken off; without it the message is at a wrong place.
    Raw {
        prefixed: bool,
        topic: &'a str,
        sha256: &'a str,
    },
    Filtered {
        sensor: &'a str,
        event_time: i64,
    },
}

/// Returns how many of these are not copies of one another.
pub(crate) fn different(arrived: &[Arrived]) -> u64 {
    arrived.iter().map(|arrived| key_of_arrived(arrived, "")).collect::<HashSet<_>>().len() as u64
}

struct Copies<'a> {
    client: Option<&'a str>,
    first: i64,
    ids: BTreeSet<&'a str>,
    extra: u64,
    recognised: u64,
}

/// The hub's record, ready to be asked about one acknowledged message at a time.
struct HubIndex<'a> {
    copies: HashMap<Key<'a>, Copies<'a>>,
    /// Readings by sensor, in the order of their event times.
    readings: HashMap<&'a str, Vec<&'a Reading>>,
}

impl<'a> HubIndex<'a> {
    fn new(records: &'a Records) -> Self {
        let raw_prefix = records.header.raw_prefix.as_str();
        let mut copies: HashMap<Key<'a>, Copies<'a>> = HashMap::new();
        let mut readings: HashMap<&str, Vec<&Reading>> = HashMap::new();
        for arrived in &records.hub {
            if let (Class::Filtered, Some(reading)) = (arrived.class, &arrived.reading) {
                readings.entry(&reading.sensor).or_default().push(reading);
            }
            copies
                .entry(key_of_arrived(arrived, raw_prefix))
                .and_modify(|copies| copies.add(arrived))
                .or_insert_with(|| Copies::new(arrived));
        }
        for of_sensor in readings.values_mut() {
            of_sensor.sort_by_key(|reading| reading.event_time);
        }
        Self { copies, readings }
    }

    fn fate(&self, ack: &Acked, header: &Header) -> Result<Fate, LostWhy> {
        let (key, reading) = match &ack.reading {
            Some(reading) if ack.class == Class::Filtered => {
                let key = Key::Filtered { sensor: &reading.sensor, event_time: reading.event_time };
                (key, Some(reading))
            }
            _ => (Key::Raw { prefixed: true, topic: &ack.topic, sha256: &ack.sha256 }, None),
        };
        // A reading that arrived still has to be the right one: its stand-in is then itself.
        if let Some(reading) = reading {
            self.represented(reading, header.tolerance.get(&reading.sensor).copied().unwrap_or(0.0))?;
        }
        match self.copies.get(&key) {
            Some(copies) => Ok(Fate::Arrived { time: copies.first, twice: copies.extra > 0 }),
            None if reading.is_some_and(|reading| !header.unfiltered.contains(&reading.sensor)) => {
                Ok(Fate::Represented)
            }
            None => Err(LostWhy::NotAtHub),
        }
    }

    fn represented(&self, reading: &Reading, tolerance: f64) -> Result<(), LostWhy> {
        let of_sensor = self.readings.get(reading.sensor.as_str()).map_or(&[][..], Vec::as_slice);
        let until = of_sensor.partition_point(|delivered| delivered.event_time <= reading.event_time);
        let stand_in = until.checked_sub(1).and_then(|i| of_sensor.get(i)).ok_or(LostWhy::NothingEarlier)?;
        if stand_in.quality != reading.quality {
            return Err(LostWhy::QualityDiffers { delivered: stand_in.quality });
        }
        if stand_in.text != reading.text {
            return Err(LostWhy::TextDiffers);
        }
        let both_nan = stand_in.value.is_nan() && reading.value.is_nan();
        if both_nan || (stand_in.value - reading.value).abs() <= tolerance {
            return Ok(());
        }
        Err(LostWhy::OutsideTolerance { delivered: stand_in.value, tolerance })
    }
}

impl<'a> Copies<'a> {
    fn new(arrived: &'a Arrived) -> Self {
        Self {
            client: arrived.client.as_deref(),
            first: arrived.time,
            ids: arrived.id.as_deref().into_iter().collect(),
            extra: 0,
            recognised: 0,
        }
    }

    fn add(&mut self, arrived: &'a Arrived) {
        let repeats = arrived.id.as_deref().is_some_and(|id| !self.ids.insert(id));
        self.first = self.first.min(arrived.time);
        self.extra += 1;
        self.recognised += u64::from(repeats || arrived.pd);
    }
}

/// A `raw` message is known at the hub by the topic its sensor used: the gateway's prefix is taken off.
fn key_of_arrived<'a>(arrived: &'a Arrived, raw_prefix: &str) -> Key<'a> {
    if let (Class::Filtered, Some(reading)) = (arrived.class, &arrived.reading) {
        return Key::Filtered { sensor: &reading.sensor, event_time: reading.event_time };
    }
    let sensors_topic = arrived.topic.strip_prefix(raw_prefix);
    Key::Raw {
        prefixed: sensors_topic.is_some(),
        topic: sensors_topic.unwrap_or(&arrived.topic),
        sha256: &arrived.sha256,
    }
}

fn puback_p99_ms(acks: &[Acked], timeline: &Timeline) -> Option<i64> {
    let left_out = timeline.killed_at.map(|killed_at| {
        let until = timeline.accepting_at.map_or(i64::MAX, |at| at.saturating_add(AROUND_KILL_MS));
        killed_at.saturating_sub(AROUND_KILL_MS)..=until
    });
    let counted =
        acks.iter().filter(|ack| !left_out.as_ref().is_some_and(|times| times.contains(&ack.first_sent)));
    let mut delays: Vec<i64> = counted.map(|ack| ack.time.saturating_sub(ack.first_sent)).collect();
    delays.sort_unstable();
    // Nearest rank: the smallest delay that at least 99 % do not exceed.
    let rank = (delays.len() * 99).div_ceil(100);
    rank.checked_sub(1).and_then(|i| delays.get(i)).copied()
}

/// First and last arrival, in time with a link after its return, of what was sent before it; the worst of all outages.
fn catch_up(acks: &[Acked], fates: &[Fate], timeline: &Timeline) -> (Option<i64>, Option<i64>) {
    let (mut first, mut last) = (None, None);
    for (_, back_at) in &timeline.outages {
        let late = || {
            acks.iter().zip(fates).filter_map(|(ack, fate)| match fate {
                Fate::Arrived { time, .. } if ack.first_sent < *back_at && time >= back_at => {
                    Some(timeline.with_link_ms(*back_at, *time))
                }
                _ => None,
            })
        };
        first = first.max(late().min());
        last = last.max(late().max());
    }
    (first, last)
}

#[cfg(test)]
mod tests;
