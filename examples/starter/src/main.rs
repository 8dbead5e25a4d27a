#![forbid(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)]
//! A gateway in one file, made of the four crates: sensors by MQTT, filters, a durable queue, compact batches to a hub.
//!
//! ```text
//! edge-starter 127.0.0.1:1883 mqtt://hub:1883 site7 state
//! mosquitto_pub -p 1883 -q 1 -t line2/temp -m 21.5
//! edge-decode subscribe mqtt://hub:1883 --topic site7
//! ```
//!
//! Copy it and change what you need. What it does not have (formats per topic, session tables, alarms, metrics, a configuration check) is in
//! `edge-gateway`.

use std::error::Error;
use std::fmt::Display;
use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use edge_bridge::bridge::spool::Leased;
use edge_bridge::bridge::{BatchLimits, BatchPack, Encode, Packed, Packing, RowBatch};
use edge_bridge::ingest::{Answer, Inbound, Ingest, Now};
use edge_bridge::net::server::{QueueSink, Server};
use edge_bridge::wire::{ReasonCode, Utf8};
use edge_bridge::{Bridge, Format, Row};
use edge_codec::{BatchId, EncodeError, Limits, SensorTable, cbor, compact};
use edge_filter::{Outcome, Pipeline, Quality, Reading, Value};
use edge_queue::{Config, OnFull, aio::Queue};
use tokio::signal::unix::{SignalKind, signal};

/// Filters by topic. A reading that they drop is acknowledged all the same: to drop it is what you asked for.
const RULES: &str = r#"
    [[rule]]
    match = "+/temp"
    stages = [
        { gross_range = { fail = [-50.0, 150.0] } },
        { deadband = { absolute = 0.2 } },
    ]
"#;
/// Rows hold one reading each, in CBOR. Stored with every row: never give the number another meaning.
const READING: Format = Format(1);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [listen, hub, id, state] = arguments.as_slice() else {
        say("usage: edge-starter LISTEN HUB ID STATE, as in 127.0.0.1:1883 mqtt://hub:1883 site7 state");
        return ExitCode::from(2);
    };
    let Err(error) = run(listen, hub, id, state).await else { return ExitCode::SUCCESS };
    say(format_args!("edge-starter: {error}"));
    ExitCode::FAILURE
}

/// Writes a line for whoever reads them: `eprintln!` would panic without a reader.
fn say(line: impl Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

async fn run(listen: &str, hub: &str, id: &str, state: &str) -> Result<(), Box<dyn Error>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    // Sensors are not acknowledged while it is full. With `OnFull::DropOldest` they are, and the oldest rows go, counted.
    let config = Config::default().max_messages(100_000).on_full(OnFull::Reject);
    let queue = Queue::open(state, config).await?;
    // Rows leave the queue when this consumer has acknowledged them: when the hub has.
    let consumer = queue.consumer("hub").await?;
    let (link, _task) =
        Bridge::builder(hub).client_id(id).start_on(&queue, consumer, BatchPack::new(Batches))?;
    let sensors = Sensors { filters: Pipeline::from_toml(RULES)?, topic: Utf8::try_from(id)? };
    let listen: SocketAddr = listen.parse()?;
    // A sensor gets its PUBACK when the sink says that its rows are safe: on disk, or at the hub.
    let server =
        Server::builder().start(listen, sensors, |receipts| QueueSink::start(&queue, 1, receipts)).await?;
    let address = server.local_addr();
    say(format_args!("edge-starter: sensors at {address}, hub {hub}, {} rows waiting", waiting(&queue)));
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    // In this order nothing is lost: no new messages; the hub has a second to acknowledge what waits, and the rest stays on disk; the last
    // commit.
    server.shutdown(Duration::from_secs(2)).await;
    let kept = link.close_within(Duration::from_secs(1)).await.unwrap_or_else(|| waiting(&queue));
    say(format_args!("edge-starter: stopped, {kept} rows waiting"));
    Ok(queue.close().await?)
}

fn waiting(queue: &Queue) -> u64 {
    queue.ledger().iter().map(|ledger| ledger.queued).sum()
}

/// Readings from messages: the topic is the sensor's name, the payload a number.
struct Sensors {
    filters: Pipeline,
    /// Topic of the batches at the hub.
    topic: Utf8,
}

impl Ingest for Sensors {
    fn ingest(&mut self, now: Now, message: &Inbound) -> Answer {
        let number = std::str::from_utf8(&message.payload).ok().and_then(|text| text.trim().parse().ok());
        let number = number.filter(|number: &f64| number.is_finite());
        // Goes up as it came, as a dead letter; an MQTT 5 client is told the reason.
        let Some(number) = number else { return Answer::Refuse(ReasonCode::PAYLOAD_FORMAT_INVALID) };
        let sensor = self.filters.intern(&message.topic);
        let reading =
            Reading { sensor, time: now.wall_ms, value: Value::F64(number), quality: Quality::GOOD };
        // A stage that holds readings (a window, a swinging door) would emit into this sink, and on `Pipeline::tick`.
        let outcome = self.filters.process(reading, now.wall_ms, &mut |_| {});
        let Outcome::Emit(kept) = outcome else { return Answer::Absorb };
        let Value::F64(number) = kept.value else { return Answer::Absorb };
        let reading = edge_codec::Reading {
            sensor: 0,
            time: kept.time,
            value: edge_codec::Value::F64(number),
            quality: kept.quality.0,
        };
        let Ok(payload) = encode_row(&message.topic, &reading) else {
            return Answer::Refuse(ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR);
        };
        let mut row = Row::new(self.topic.clone(), payload);
        row.format = READING;
        // May be a copy of a row that is stored: the hub is told.
        row.possible_duplicate = message.dup;
        Answer::Store(vec![row])
    }
}

/// Encodes a reading with its sensor's name, as a row of the queue holds it.
fn encode_row(name: &str, reading: &edge_codec::Reading<'_>) -> Result<Bytes, EncodeError> {
    let mut sensors = SensorTable::new();
    sensors.insert(reading.sensor, name, "");
    let mut encoder = cbor::Encoder::new(&sensors);
    encoder.push(reading)?;
    encoder.finish_under(usize::MAX)
}

/// Reads a row; its sensor gets a number of its own in `sensors`, the table of a batch.
fn decode_row(
    row: &Leased,
    sensors: &mut SensorTable<'static>,
) -> Option<(u64, edge_codec::Reading<'static>)> {
    let mut rows = cbor::decode(&row.row.payload, &Limits::default()).ok()?;
    let name = rows.sensors().iter().next()?.name.clone().into_owned();
    let reading = rows.next()?.ok()?.into_owned();
    let known = sensors.iter().find(|sensor| sensor.name == name).map(|sensor| sensor.id);
    let sensor = known.unwrap_or(u32::try_from(sensors.len()).ok()?);
    sensors.insert(sensor, name, "");
    Some((row.identity?.seq, edge_codec::Reading { sensor, ..reading }))
}

/// Compact batches from the rows of one topic, each readable alone, with the identity by which a reader tells copies apart.
struct Batches;

impl Encode for Batches {
    fn limits(&self, row: &Leased) -> Option<BatchLimits> {
        (row.row.format == READING).then_some(BatchLimits { age_ms: 1_000, rows: 1_000, bytes: 16 * 1024 })
    }

    fn encode(&mut self, _now: Now, batch: &RowBatch, bytes_max: usize) -> Vec<Packing> {
        let (mut out, mut rows, mut sensors) = (Vec::new(), Vec::new(), SensorTable::new());
        for row in &batch.rows {
            match decode_row(row, &mut sensors) {
                Some((seq, reading)) => rows.push((row, seq, reading)),
                // Set aside with its reason, and reported; the others go.
                None => out.push(Packing::unsendable([row], ReasonCode::PAYLOAD_FORMAT_INVALID)),
            }
        }
        let encoder = compact::Encoder::new(sensors);
        let mut encoder = encoder.possible_duplicate(batch.possible_duplicate);
        if let (Some(source), Some((_, first_seq, _))) = (batch.source, rows.first()) {
            let (gateway, lane, epoch) = (source.gateway, source.lane, source.epoch);
            encoder = encoder.id(BatchId { gateway, lane, epoch, first_seq: *first_seq });
        }
        // Their numbers rise and their sensors are in the table: none is refused.
        rows.retain(|(_, seq, reading)| encoder.push_at(*seq, reading).is_ok());
        let mut rows = rows.into_iter().map(|(row, ..)| row);
        while rows.len() > 0 {
            let before = encoder.len();
            let finished = encoder.finish_under(bytes_max);
            let done = before - encoder.len();
            // None where not even an empty batch fits: that holds for all that are left.
            let own: Vec<_> = rows.by_ref().take(if done == 0 { before.max(1) } else { done }).collect();
            out.push(match finished {
                Ok(payload) => {
                    let content_type = edge_codec::Format::Compact.content_type();
                    Packing::Message(Packed::batch(&batch.topic, content_type, payload, own))
                }
                // The reading alone is larger than a message may be.
                Err(_) => Packing::unsendable(own, ReasonCode::PACKET_TOO_LARGE),
            });
        }
        out
    }
}

#[cfg(test)]
mod tests;
