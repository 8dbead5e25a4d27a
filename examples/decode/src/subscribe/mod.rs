//! `edge-decode subscribe`: batches from a hub, each printed and then acknowledged.
//!
//! A batch that refers to a session table which is not here waits for it, unacknowledged. What cannot be read is a dead letter: set
//! aside as a file, or kept unacknowledged. Everything that others can make this program hold is bounded in bytes.

#![allow(clippy::disallowed_methods, reason = "a shell: the runtime and the clock")]

mod held;
mod hub;
mod known_tables;
mod letter;
mod line_limit;
mod private_files;
mod published_table;
mod reader;
mod rejects;
mod table_cache;
mod table_fetch;
mod table_files;
mod unreadable;
mod waiting;

use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use edge_bridge::{Bridge, Commands};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep_until, timeout};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::arguments::Subscribe;
use crate::print::Printer;
use crate::{Failure, Outcome, input, tell};
use hub::Hub;
use known_tables::KnownTables;
use reader::Reader;
use rejects::Rejects;
use table_cache::TableCache;
use table_fetch::TableFetch;
use table_files::TableFiles;
use unreadable::Unread;
use waiting::Waiting;

/// Time limit of the close, in which the hub gets the last acknowledgements.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);
/// Batches that wait for their table, in memory.
const WAITING_BYTES_MAX: usize = 16 << 20;
/// Period of the look for batches and fetches that are due.
const TURN_EVERY: Duration = Duration::from_millis(100);

pub(crate) fn run(options: &Subscribe) -> Outcome {
    let filter = std::env::var("RUST_LOG").ok().and_then(|wanted| wanted.parse::<Targets>().ok());
    let filter = filter.unwrap_or_else(|| Targets::new().with_default(LevelFilter::WARN));
    tracing_subscriber::registry()
        .with(fmt::layer().with_ansi(false).with_writer(std::io::stderr))
        .with(filter)
        .init();
    let failed = |error: std::io::Error| Failure::io("the runtime", &error);
    // Who connects and who reads take turns: else a burst from the hub is in memory as a whole before the reader sees any of it.
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().event_interval(1).build().map_err(failed)?;
    let outcome = runtime.block_on(subscribe(options));
    // A look-up of a name must not hold up the exit.
    runtime.shutdown_background();
    outcome
}

async fn subscribe(options: &Subscribe) -> Outcome {
    let tables =
        options.tables.as_deref().map(|dir| TableFiles::open(dir, options.tables_max.0)).transpose()?;
    let rejects =
        options.rejects.as_deref().map(|dir| Rejects::open(dir, options.rejects_max.0)).transpose()?;
    let mut stop = Stop::new()?;
    let hub = Hub::new(options);
    let bridge = hub.batches().await?;
    let filter = match &options.share {
        Some(group) => format!("$share/{group}/{}", options.topic),
        None => options.topic.clone(),
    };
    // Kept until the connection is closed: a shared one that is dropped before is unsubscribed, and the hub would keep nothing for the next run.
    let mut batches = bridge.subscribe(&filter).await.map_err(|error| Failure::Usage(error.to_string()))?;
    tokio::select! {
        connected = hub::connected(&bridge) => connected?,
        () = stop.asked() => return Ok(true),
    }
    let mut reader = Reader::new(
        KnownTables::new(TableCache::new(options.tables_memory.in_memory()), tables),
        Waiting::new(WAITING_BYTES_MAX),
        TableFetch::new(&hub),
        Unread::new(rejects),
        Printer::with_topics(input::create(None)?, options.output),
        Instant::now(),
    );
    reader.default = options.content_type;
    let done = tokio::select! {
        done = read(&mut reader, &bridge, &mut batches) => done,
        refused = hub::refused(&bridge, &filter) => Err(refused),
        never = hub::tell_unanswered(&bridge, &filter) => match never {},
        () = stop.asked() => Ok(()),
    };
    // The hub keeps what was not acknowledged, whether it hears the goodbye or not.
    let _ = timeout(CLOSE_WITHIN, bridge.close()).await;
    reader.give_up_what_nobody_keeps(Instant::now());
    let summary = reader.unread.summary(reader.waiting.told());
    if let Some(summary) = &summary {
        tell(summary);
    }
    done.and_then(|()| reader.printer.finish()).map(|()| summary.is_none())
}

/// Reads messages until the link ends, or the output is closed.
async fn read<W: Write>(
    reader: &mut Reader<'_, W>,
    bridge: &Bridge,
    batches: &mut Commands,
) -> Result<(), Failure> {
    let mut turn = Instant::now();
    loop {
        tokio::select! {
            message = batches.next(), if reader.unread.has_room() => match message {
                Some(message) => reader.message(message, bridge.stats().connects, Instant::now()).await?,
                None => return Err(Failure::Failed("the connection was closed".to_owned())),
            },
            table = reader.fetch.next() => reader.announced(table, Instant::now())?,
            () = sleep_until(turn) => {
                turn = Instant::now() + TURN_EVERY;
                reader.turn(bridge, Instant::now()).await;
            }
        }
    }
}

/// Signals that stop the program: SIGINT and SIGTERM.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    fn new() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(|error| Failure::io("signals", &error));
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
