//! `edge-decode subscribe`: batches from a hub, each printed and then acknowledged.
//!
//! A batch that refers to a session table which is not known waits for it: the gateway keeps it, retained, below the batch's
//! own topic (`TOPIC/table/GATEWAY`), so that is subscribed to, unshared, when the first batch of a topic needs it. A batch
//! whose table does not come is told and acknowledged; others are not held up by it.

#![allow(clippy::disallowed_methods, reason = "a shell: the runtime, the clock and a task per table")]

mod known_tables;
mod waiting;

use std::collections::HashSet;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use edge_bridge::net::StartError;
use edge_bridge::wire::PropertyId;
use edge_bridge::{Bridge, Command, Commands, Tls};
use edge_codec::{DecodeError, Format};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use crate::arguments::Subscribe;
use crate::format::Kind;
use crate::print::Printer;
use crate::{Failure, Outcome, input};
use known_tables::KnownTables;
use waiting::Waiting;

/// For the first connection; later ones are made again for ever.
const CONNECT_WITHIN: Duration = Duration::from_secs(15);
/// How long a batch waits for its table.
const TABLE_WITHIN: Duration = Duration::from_secs(10);
/// For the goodbye.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);
/// Topics whose tables are subscribed to.
const TOPICS_MAX: usize = 10_000;
/// The day that a session with a name is kept.
const SESSION_S: u32 = 86_400;
const TABLE_CONTENT_TYPE: &str = "application/vnd.edge.table;v=1";

pub(crate) fn run(options: &Subscribe) -> Outcome {
    let filter = std::env::var("RUST_LOG").unwrap_or_else(|_| "warn".to_owned());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let failed = |error: std::io::Error| Failure::io("the runtime", &error);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let outcome = runtime.block_on(subscribe(options));
    // A look-up of a name must not hold up the exit.
    runtime.shutdown_background();
    outcome
}

async fn subscribe(options: &Subscribe) -> Outcome {
    let known = KnownTables::open(options.tables.as_deref())?;
    let mut stop = Stop::new()?;
    let bridge = start(options).await?;
    let filter = match &options.share {
        Some(group) => format!("$share/{group}/{}", options.topic),
        None => options.topic.clone(),
    };
    let batches = bridge.subscribe(&filter).await.map_err(|error| Failure::Usage(error.to_string()))?;
    tokio::select! {
        connected = connected(&bridge) => connected?,
        () = stop.asked() => return Ok(true),
    }
    let (to, tables) = mpsc::channel(16);
    let mut reader = Reader {
        known,
        waiting: Waiting::default(),
        printer: Printer::new(input::create(None)?, options.to),
        default: options.content_type,
        asked: HashSet::new(),
        all_read: true,
    };
    let done = reader.read(&bridge, batches, (to, tables), &mut stop).await;
    // The hub keeps what was not acknowledged, whether it hears the goodbye or not.
    let _ = timeout(CLOSE_WITHIN, bridge.close()).await;
    done?;
    let all_read = reader.all_read;
    reader.printer.finish()?;
    Ok(all_read)
}

async fn start(options: &Subscribe) -> Result<Bridge, Failure> {
    let usage = |error: &dyn std::fmt::Display| Failure::Usage(error.to_string());
    let random = || format!("edge-decode-{:016x}", RandomState::new().build_hasher().finish());
    let mut builder = Bridge::builder(&options.url)
        .client_id(&options.client_id.clone().unwrap_or_else(random))
        .session_expiry_s(if options.client_id.is_some() { SESSION_S } else { 0 });
    if let Some(ca) = &options.ca {
        let tls = match (&options.cert, &options.key) {
            (Some(cert), Some(key)) => Tls::from_pem(ca, cert, key),
            _ => Tls::from_ca(ca),
        };
        builder = builder.tls(tls.map_err(|error| usage(&error))?);
    }
    if let Some(name) = &options.username {
        builder = builder.credentials(name, std::env::var("EDGE_DECODE_PASSWORD").unwrap_or_default());
    }
    builder.start().await.map_err(|error| match error {
        StartError::TlsMissing => usage(&"mqtts:// needs --ca: the authority to trust"),
        StartError::TlsUnused => {
            usage(&"--ca is given, but the address is mqtt://, which would be sent in the clear")
        }
        error => usage(&error),
    })
}

async fn connected(bridge: &Bridge) -> Result<(), Failure> {
    let mut stats = bridge.watch();
    let connected = timeout(CONNECT_WITHIN, stats.wait_for(|stats| stats.connects > 0)).await;
    match connected {
        Ok(Ok(_)) => Ok(()),
        _ => {
            let why = bridge.stats().last_error.unwrap_or_else(|| "no answer".to_owned());
            Err(Failure::Failed(format!("no connection within {} s: {why}", CONNECT_WITHIN.as_secs())))
        }
    }
}

/// SIGINT or SIGTERM.
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

/// What becomes of messages.
struct Reader<W> {
    known: KnownTables,
    waiting: Waiting<Command>,
    printer: Printer<W>,
    default: Option<Kind>,
    /// Topics whose tables were subscribed to.
    asked: HashSet<String>,
    all_read: bool,
}

type Channel = (mpsc::Sender<Command>, mpsc::Receiver<Command>);

impl<W: Write> Reader<W> {
    async fn read(
        &mut self,
        bridge: &Bridge,
        mut batches: Commands,
        (to, mut tables): Channel,
        stop: &mut Stop,
    ) -> Result<(), Failure> {
        loop {
            let due = self.waiting.next_deadline();
            let overdue = async {
                match due {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                message = batches.next(), if self.waiting.has_room() => match message {
                    Some(message) => self.message(bridge, message, &to).await?,
                    None => return Err(Failure::Failed("the connection was closed".to_owned())),
                },
                Some(table) = tables.recv() => {
                    self.table(&table)?;
                    table.done();
                }
                () = overdue => self.give_up(Instant::now()),
                () = stop.asked() => return Ok(()),
            }
        }
    }

    async fn message(
        &mut self,
        bridge: &Bridge,
        message: Command,
        to: &mpsc::Sender<Command>,
    ) -> Result<(), Failure> {
        let content_type = message.properties().str(PropertyId::ContentType);
        if content_type == Some(TABLE_CONTENT_TYPE) {
            self.table(&message)?;
            message.done();
            return Ok(());
        }
        let kind =
            content_type.and_then(Format::for_content_type).or_else(|| Format::for_topic(message.topic()));
        let Some(kind) = kind.map(Kind).or(self.default) else {
            let said =
                content_type.map_or("no content type".to_owned(), |said| format!("content type \"{said}\""));
            self.refuse(message, &format!("{said}, which is not one of ours"));
            return Ok(());
        };
        match self.print(kind, &message)? {
            Ok(()) => message.done(),
            Err(DecodeError::Table { wanted, .. }) => {
                self.ask(bridge, message.topic(), to).await;
                self.waiting.add(wanted, Instant::now() + TABLE_WITHIN, message);
            }
            Err(error) => self.refuse(message, &error.to_string()),
        }
        Ok(())
    }

    /// Printed, and out of our hands, before it is acknowledged.
    fn print(&mut self, kind: Kind, message: &Command) -> Result<Result<(), DecodeError>, Failure> {
        let batch = match self.known.tables().decode(kind, message.payload(), Some(now_ms())) {
            Ok(batch) => batch,
            Err(error) => return Ok(Err(error)),
        };
        let printed = self.printer.batch(batch)?;
        self.printer.flush()?;
        Ok(printed)
    }

    fn table(&mut self, message: &Command) -> Result<(), Failure> {
        match self.known.learn(message.payload()) {
            Ok(None) => {}
            Ok(Some(id)) => {
                for message in self.waiting.take(id) {
                    match self.print(Kind(Format::Compact), &message)? {
                        Ok(()) => message.done(),
                        Err(error) => self.refuse(message, &error.to_string()),
                    }
                }
            }
            Err(error) => self.tell(message.topic(), &format!("a session table: {error}")),
        }
        Ok(())
    }

    /// Subscribes to the tables below a batch's topic, once.
    async fn ask(&mut self, bridge: &Bridge, topic: &str, to: &mpsc::Sender<Command>) {
        if self.asked.len() >= TOPICS_MAX || !self.asked.insert(topic.to_owned()) {
            return;
        }
        match bridge.subscribe(&format!("{topic}/table/+")).await {
            Ok(mut tables) => {
                let to = to.clone();
                tokio::spawn(async move {
                    while let Some(table) = tables.next().await {
                        if to.send(table).await.is_err() {
                            return;
                        }
                    }
                });
            }
            Err(error) => self.tell(topic, &error.to_string()),
        }
    }

    fn give_up(&mut self, now: Instant) {
        for (id, message) in self.waiting.overdue(now) {
            let seconds = TABLE_WITHIN.as_secs();
            self.refuse(message, &format!("its session table {id:07x} did not come within {seconds} s"));
        }
    }

    /// Acknowledged all the same: the hub would send it again for ever.
    fn refuse(&mut self, message: Command, why: &str) {
        self.tell(message.topic(), &format!("{} bytes: {why}", message.payload().len()));
        message.done();
    }

    fn tell(&mut self, topic: &str, what: &str) {
        eprintln!("edge-decode: {topic}: {what}");
        self.all_read = false;
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
