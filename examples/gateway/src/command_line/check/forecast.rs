//! Forecast of an outage drill from a configuration and the drill's traffic, with the costs of a route and of a commit by which `check` sizes. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use edge_bridge::ingest::{Answer, Inbound, Ingest, Now};
use edge_bridge::wire::{Properties, Publish, QoS, Utf8, Version, matches};
use edge_queue::ROW_OVERHEAD_BYTES;
use outage_drill::{Forecast, Outage, Published, Traffic};

use crate::config::{Config, Format, Route};
use crate::run::hub::duplicate_marks::DuplicateMarks;
use crate::run::sensors::ingest::GatewayIngest;

use super::simulated_load::{Load, RouteLoad};
use super::sizing::{ROW_FRAME_BYTES, commit_bytes};

/// Time at which the traffic begins for the filters.
const BEGIN_MS: i64 = 1_790_000_000_000;
/// Messages of a publisher without a receipt at which it counts as blocked, so that a commit is due at once: its window is not known (decision 4).
const WINDOW: f64 = 10.0;
/// Time after a receipt within which a publisher's next message makes it count as one that waits for receipts (the same decision).
const WAITING_MS: u64 = 50;
/// Segment of a lane. Each lane fills one with zeros when the store is made, and one more whenever half of the last is used (docs/flash.md).
const SEGMENT_BYTES: f64 = 1_048_576.0;
/// Largest commit of a lane whose segments are filled, in bytes.
const FILLED_UP_TO: f64 = 16_384.0;
/// Time within which a link that swallows everything is noticed; what was sent into it is sent again.
const STALL_MS: u64 = 4_000;
/// Limit of the bytes in flight on a new connection, which doubles with each round trip.
const FIRST_WINDOW: f64 = 16_384.0;
/// Most round trips of catching up that are counted.
const ROUND_TRIPS_MAX: u32 = 10_000;

/// Predicts the figures of a drill.
///
/// # Errors
/// Rules or a topic that are not valid, in words.
pub(crate) fn forecast(config: &Config, traffic: &Traffic) -> Result<Forecast, String> {
    let rows = rows(config, &traffic.messages)?;
    let costs: Vec<Option<RouteLoad>> =
        (0..config.routes.len()).map(|route| cost(config, route, &rows, traffic)).collect();
    let site = Site { config, traffic, rows: &rows, costs: &costs };
    let catch_up: Vec<Duration> = traffic.outages.iter().map(|outage| site.catch_up(outage)).collect();
    Ok(Forecast {
        link_bytes: site.link_bytes() as u64,
        store_bytes: site.store_bytes(&catch_up) as u64,
        waiting: traffic.outages.first().map_or((0, 0), |outage| site.waiting(outage)),
        catch_up: catch_up.into_iter().max(),
    })
}

/// Row that the routes and filters make of a message.
#[derive(Clone, Copy)]
struct MadeRow {
    at_ms: u64,
    route: usize,
}

/// Sends the messages through the real routes and filters. Returns the rows that pass.
fn rows(config: &Config, messages: &[Published]) -> Result<Vec<MadeRow>, String> {
    let begin = now(0);
    let mut ingest = GatewayIngest::new(&config.routes, DuplicateMarks::new(begin, true))?;
    ingest.trust_clock(true);
    let mut rows = Vec::new();
    for Published { at_ms, topic, payload, .. } in messages {
        let Some(route) = config.routes.iter().position(|route| matches(&route.filter_topic, topic)) else {
            continue;
        };
        let publish = Publish {
            dup: false,
            qos: QoS::AtLeastOnce,
            retain: false,
            topic: Utf8::try_from(topic.as_str()).map_err(|error| error.to_string())?,
            packet_id: None,
            properties: Properties::default(),
            payload: Bytes::copy_from_slice(payload),
        };
        let message = Inbound::new(Utf8::from_static("drill"), Version::V5, &publish);
        if let Answer::Store(made) | Answer::Withhold(made) = ingest.ingest(now(*at_ms), &message) {
            rows.extend(made.iter().map(|_| MadeRow { at_ms: *at_ms, route }));
        }
        let _link = ingest.take_link();
    }
    Ok(rows)
}

fn now(at_ms: u64) -> Now {
    Now { up_ms: at_ms, wall_ms: BEGIN_MS.saturating_add_unsigned(at_ms) }
}

/// Simulates a route under its part of the traffic, as `check` does. `None`: nothing comes by it.
fn cost(config: &Config, index: usize, rows: &[MadeRow], traffic: &Traffic) -> Option<RouteLoad> {
    let route = config.routes.get(index)?;
    let of_route = |topic: &str| {
        config.routes.iter().position(|route| matches(&route.filter_topic, topic)) == Some(index)
    };
    let messages: Vec<&Published> =
        traffic.messages.iter().filter(|message| of_route(&message.topic)).collect();
    let count = messages.len().max(1);
    let mean =
        |bytes: fn(&Published) -> usize| messages.iter().map(|message| bytes(message)).sum::<usize>() / count;
    let topics: BTreeSet<&str> = messages.iter().map(|message| message.topic.as_str()).collect();
    let load = Load {
        messages_per_s: usual_rate(rows.iter().filter(|row| row.route == index))?,
        payload_bytes: mean(|message| message.payload.len()) as u64,
        sensors: u32::try_from(topics.len()).unwrap_or(u32::MAX),
        topic_bytes: u16::try_from(mean(|message| message.topic.len())).unwrap_or(u16::MAX),
        measured: None,
    };
    Some(RouteLoad::of(config, route, load, 1))
}

/// Returns the rate that a row sees on average, of the seconds in which rows come. `None`: there are none.
fn usual_rate<'a>(rows: impl Iterator<Item = &'a MadeRow>) -> Option<f64> {
    let mut seconds = BTreeMap::<u64, u64>::new();
    rows.for_each(|row| *seconds.entry(row.at_ms / 1_000).or_default() += 1);
    let (all, squares) =
        seconds.values().fold((0, 0), |(all, squares), rows| (all + rows, squares + rows * rows));
    (all > 0).then(|| squares as f64 / all as f64)
}

/// A gateway under the drill's traffic.
struct Site<'a> {
    config: &'a Config,
    traffic: &'a Traffic,
    rows: &'a [MadeRow],
    /// Costs of each route; `None` where nothing comes.
    costs: &'a [Option<RouteLoad>],
}

impl Site<'_> {
    /// Returns the rows of a time with their costs and routes.
    fn between(&self, from_ms: u64, to_ms: u64) -> impl Iterator<Item = (&MadeRow, &Route, &RouteLoad)> {
        let before = |at_ms: u64| self.rows.partition_point(|row| row.at_ms < at_ms);
        let rows = self.rows.get(before(from_ms)..before(to_ms)).unwrap_or_default();
        rows.iter().filter_map(move |row| {
            Some((row, self.config.routes.get(row.route)?, self.costs.get(row.route)?.as_ref()?))
        })
    }

    /// Returns the rows that wait at the end of an outage, and their bytes as the queue's limits count them.
    fn waiting(&self, outage: &Outage) -> (u64, u64) {
        let each = self.between(outage.from_ms, outage.to_ms);
        each.fold((0, 0), |(rows, bytes), (_, _, cost)| {
            (rows + 1, bytes + cost.row_bytes + ROW_OVERHEAD_BYTES)
        })
    }

    /// Returns the bytes of MQTT on the link: of live rows, of those of outages, and of what a half-open link swallows before it is noticed.
    fn link_bytes(&self) -> f64 {
        let is_out =
            |at_ms| self.traffic.outages.iter().any(|outage| (outage.from_ms..outage.to_ms).contains(&at_ms));
        let all = self.between(0, u64::MAX).map(|(row, _, cost)| match is_out(row.at_ms) {
            true => cost.backlog.mqtt,
            false => cost.live.mqtt,
        });
        let half_open = self.traffic.outages.iter().filter(|outage| outage.is_half_open);
        let swallowed = half_open
            .flat_map(|outage| self.between(outage.from_ms, outage.to_ms.min(outage.from_ms + STALL_MS)));
        all.sum::<f64>() + swallowed.map(|(_, _, cost)| cost.live.mqtt).sum::<f64>()
    }

    /// Returns the time from the link's return until the rows of an outage are at the hub: a connection, and a window of bytes that begins small
    /// and doubles with each round trip, beside the new rows. The wait before the next dial is not known.
    fn catch_up(&self, outage: &Outage) -> Duration {
        let (mut left, mut messages) = (0.0, 0.0);
        for (_, route, cost) in self.between(outage.from_ms, outage.to_ms) {
            left += cost.backlog.mqtt;
            messages +=
                if route.format == Format::Raw { 1.0 } else { 1.0 / f64::from(route.batch_max.readings) };
        }
        let largest = f64::from(self.config.hub.window) * left / f64::max(messages, 1.0);
        let round_trip = self.traffic.round_trip;
        let (mut window, mut at) = (FIRST_WINDOW, round_trip);
        for _ in 0..ROUND_TRIPS_MAX {
            if left <= 0.0 {
                break;
            }
            let from_ms = outage.to_ms.saturating_add(millis(at));
            let to_ms = from_ms.saturating_add(millis(round_trip));
            let live: f64 = self.between(from_ms, to_ms).map(|(_, _, cost)| cost.live.mqtt).sum();
            left -= f64::max(window.min(largest) - live, window.min(largest) / 4.0);
            window *= 2.0;
            at += round_trip;
        }
        at
    }

    /// Returns the bytes written to the store: the lanes' first segments, and the commits.
    fn store_bytes(&self, catch_up: &[Duration]) -> f64 {
        let outages = self.traffic.outages.iter().zip(catch_up);
        let behind: Vec<_> = outages
            .map(|(outage, time)| outage.from_ms..outage.to_ms.saturating_add(millis(*time)))
            .collect();
        let end_ms = self.rows.last().map_or(0, |row| row.at_ms + 1);
        let mut sum = 0.0;
        for lane in 0..self.config.queue.lanes.len() {
            let (mut written, mut commits, mut at_ms) = (0.0, 0.0, 0);
            while at_ms < end_ms {
                let every_ms = self.commit_every_ms(at_ms);
                let rows = self.between(at_ms, at_ms + every_ms);
                let of_lane = rows.filter(|(_, route, _)| usize::from(route.lane) == lane);
                let bytes: f64 = of_lane
                    .map(|(row, route, cost)| {
                        let is_behind = behind.iter().any(|time| time.contains(&row.at_ms));
                        let share = if is_behind { 1.0 } else { self.written_online(route, every_ms) };
                        share * (cost.row_bytes + ROW_FRAME_BYTES) as f64
                    })
                    .sum();
                if bytes > 0.0 {
                    written += commit_bytes(bytes);
                    commits += 1.0;
                }
                at_ms += every_ms;
            }
            let is_filled = written / f64::max(commits, 1.0) <= FILLED_UP_TO;
            let more = if is_filled { (written / SEGMENT_BYTES + 0.5).floor() } else { 0.0 };
            sum += written + (1.0 + more) * SEGMENT_BYTES;
        }
        sum
    }

    /// Returns the share of a route's rows that is written while the hub answers. A commit at `ack_within` writes what has waited so long; one that
    /// comes sooner, for a publisher that stands still, writes all that has no answer yet.
    fn written_online(&self, route: &Route, every_ms: u64) -> f64 {
        let answered_ms = self.answered_ms(route);
        match every_ms < self.ack_within_ms() {
            true => (answered_ms as f64 / every_ms as f64).min(1.0),
            false => f64::from(answered_ms >= every_ms),
        }
    }

    /// Returns the time from a message to the hub's answer.
    fn answered_ms(&self, route: &Route) -> u64 {
        let batch = if route.format == Format::Raw { Duration::ZERO } else { route.batch_age };
        millis(self.traffic.round_trip + batch)
    }

    fn ack_within_ms(&self) -> u64 {
        millis(self.config.queue.ack_within).max(1)
    }

    /// Returns the time from a commit to the next: `ack_within`, or less where a publisher stands still. That is one that has as many messages
    /// without a receipt as its window may take, or whose next message comes just when the receipt of the last one does: in the seconds of a drill it is taken for one that waits, until that is found
    /// out.
    fn commit_every_ms(&self, at_ms: u64) -> u64 {
        let longest = self.ack_within_ms();
        // A logger's burst is one time.
        let mut each = BTreeMap::<usize, (BTreeSet<u64>, Option<&Route>)>::new();
        let messages = &self.traffic.messages;
        let first = messages.partition_point(|message| message.at_ms < at_ms);
        for message in messages.iter().skip(first).take_while(|message| message.at_ms < at_ms + 2 * longest) {
            let route =
                || self.config.routes.iter().find(|route| matches(&route.filter_topic, &message.topic));
            let of_sensor = each.entry(message.sensor).or_insert_with(|| (BTreeSet::new(), route()));
            of_sensor.0.insert(message.at_ms);
        }
        let in_time = |times: &BTreeSet<u64>| times.range(..at_ms + longest).count();
        let busiest = each.values().map(|(times, _)| in_time(times)).max().unwrap_or(0) as f64;
        if busiest > WINDOW {
            return ((longest as f64 * WINDOW / busiest) as u64).max(10);
        }
        let waiting = each.values().filter_map(|(times, route)| {
            let apart_ms = times.iter().zip(times.iter().skip(1)).map(|(one, next)| next - one).min()?;
            let receipt_ms = self.answered_ms((*route)?);
            (receipt_ms..receipt_ms + WAITING_MS).contains(&apart_ms).then_some(apart_ms)
        });
        waiting.min().unwrap_or(longest).min(longest).max(10)
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "[gateway]\nid = \"g\"\n[local]\nlisten = \"127.0.0.1:1883\"\n[hub]\nurl = \"mqtt://h\"\n\
        [[route]]\nmatch = \"raw/#\"\nto = \"site/\"\nlane = \"alarm\"\n[[route]]\nmatch = \"plant/#\"\nto = \"out\"\nformat = \"json\"\nfilter = \"rules.toml\"\n";

    fn config() -> Config {
        let rules = "[[rule]]\nmatch = \"#\"\nstages = [ { deadband = { absolute = 1.0 } } ]\n";
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("rules.toml"), rules).unwrap();
        let parsed = Config::parse(&dir.path().join("g.toml"), CONFIG, &|_| None);
        parsed.map_err(|findings| findings.to_string()).unwrap().0
    }

    /// Ten raw messages a second of ten sensors, and ten readings of one, which changes once a second.
    fn traffic(seconds: u64) -> Traffic {
        let each = |n: u64| {
            let at_ms = n * 100;
            let sensor = (n % 10) as usize;
            let raw = Published { at_ms, sensor, topic: format!("raw/s{sensor}"), payload: vec![b'x'; 100] };
            let payload =
                format!("{{\"value\":{},\"ts\":{}}}", n / 10 * 5, 1_790_000_000_000 + at_ms).into_bytes();
            [raw, Published { at_ms, sensor: 10, topic: "plant/t".to_owned(), payload }]
        };
        let outage = Outage { from_ms: 20_000, to_ms: 50_000, is_half_open: false };
        let messages = (0..seconds * 10).flat_map(each).collect();
        Traffic { messages, outages: vec![outage], round_trip: Duration::from_millis(500) }
    }

    #[test]
    fn what_the_filter_drops_is_not_waited_for() {
        let forecast = forecast(&config(), &traffic(60)).unwrap();
        let (rows, bytes) = forecast.waiting;
        assert_eq!(rows, 300 + 30);
        // 100 bytes, a topic, and the overhead.
        assert!((140 * 300..190 * 330).contains(&bytes), "{bytes}");
    }

    #[test]
    fn a_longer_outage_costs_more_of_everything() {
        let (config, mut traffic) = (config(), traffic(60));
        let shorter = forecast(&config, &traffic).unwrap();
        traffic.outages[0].from_ms = 10_000;
        let longer = forecast(&config, &traffic).unwrap();
        assert!(longer.waiting > shorter.waiting && longer.store_bytes > shorter.store_bytes);
        assert!(longer.catch_up >= shorter.catch_up);
        traffic.outages[0].is_half_open = true;
        assert!(
            forecast(&config, &traffic).unwrap().link_bytes > longer.link_bytes,
            "what was swallowed goes again"
        );
    }

    /// Beside the two segments that the lanes fill once.
    #[test]
    fn without_an_outage_nothing_is_written_or_waits() {
        let mut traffic = traffic(10);
        traffic.outages.clear();
        let forecast = forecast(&config(), &traffic).unwrap();
        assert_eq!((forecast.store_bytes, forecast.waiting, forecast.catch_up), (2 << 20, (0, 0), None));
        assert!(forecast.link_bytes > 100 * 100);
        let nothing = Traffic { messages: Vec::new(), ..traffic };
        assert_eq!(super::forecast(&config(), &nothing).unwrap().link_bytes, 0);
    }
}
