//! Builder of a gateway's configuration, for a program that embeds the gateway.
//!
//! The settings become the same TOML table as gateway.toml, and pass the same checks, so that there is one way to express each setting.

#![allow(clippy::disallowed_methods, reason = "a shell: it starts the gateway's task")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;

use edge_bridge::ingest::{Answer, Inbound, Now};
use edge_filter::Pipeline;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use toml::{Table, Value};

use crate::config::{Config, Findings, Format};
use crate::embedded::{Gateway, ended};
use crate::run::Error;
use crate::run::configuration::program_reload::ProgramReload;
use crate::run::hub::pack::packed_topic;
use crate::run::replaced_parts::{OwnIngest, Packer, Parts};
use crate::run::run_until;
use crate::run::sensors::own_rows::RowRules;

/// Settings of a gateway, to start it with or to put in force while it runs. Made by [`Gateway::builder`].
///
/// What is set twice has its last value: the address of a [`listen`](Self::listen), a key of [`settings`](Self::settings), which also replaces what an
/// earlier call set, the hub of [`Gateway::builder`] too, the [`ingest`](Self::ingest), and the [`filter`](Self::filter) or
/// [`packer`](Self::packer) of one `match`. Routes are added. To set both [`listen`](Self::listen) and [`broker`](Self::broker) is an error of the
/// start.
#[derive(Debug)]
#[must_use = "nothing runs before `start`, and nothing changes before `Gateway::reload`"]
pub struct Builder {
    table: Table,
    /// First error in the text of [`settings`](Self::settings).
    error: Option<String>,
    parts: Parts,
}

impl Builder {
    pub(crate) fn new(id: &str, hub: &str) -> Self {
        let builder = Self { table: Table::new(), error: None, parts: Parts::default() };
        builder.set("gateway", "id", id).set("hub", "url", hub)
    }

    fn set(mut self, section: &str, key: &str, value: impl Into<Value>) -> Self {
        let section = self.table.entry(section).or_insert_with(|| Value::Table(Table::new()));
        if let Value::Table(section) = section {
            section.insert(key.to_owned(), value.into());
        }
        self
    }

    /// Lets sensors connect at this address. Port 0 takes any free port.
    pub fn listen(self, address: SocketAddr) -> Self {
        self.set("local", "listen", address.to_string())
    }

    /// Subscribes at a local broker, `HOST:PORT` or `mqtts://HOST:PORT`, to which the sensors connect. A login there, and its authority, are
    /// [`settings`](Self::settings).
    pub fn broker(self, address: &str) -> Self {
        self.set("local", "broker", address)
    }

    /// Forwards messages whose topic `filter_topic` matches; of several matching routes the first one is used. `to` is the topic of the batches,
    /// or for [`Format::Raw`] the prefix before the topic of each message.
    pub fn route(self, filter_topic: &str, to: &str, format: Format) -> Self {
        let pairs = [("match", filter_topic), ("to", to), ("format", format.name())];
        let route: Table = pairs.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect();
        self.merge(Table::from_iter([("route".to_owned(), Value::Array(vec![route.into()]))]))
    }

    /// Adds settings in the syntax of gateway.toml, such as `[queue]` or keys of `[hub]`, each in place of an earlier value; a `[[route]]` table is added
    /// after the routes so far.
    pub fn settings(mut self, toml: &str) -> Self {
        match toml.parse::<Table>() {
            Ok(table) => self.merge(table),
            Err(error) => {
                // The error's own text would quote a line with whatever secret is in it.
                let mut findings = Findings::new(Path::new("settings"), toml);
                findings.error(error.span().map_or(0, |span| span.start), "syntax", error.message());
                self.error.get_or_insert_with(|| findings.to_string());
                self
            }
        }
    }

    fn merge(mut self, settings: Table) -> Self {
        for (key, value) in settings {
            match (self.table.get_mut(&key), value) {
                (Some(Value::Table(known)), Value::Table(more)) => known.extend(more),
                (Some(Value::Array(known)), Value::Array(more)) => known.extend(more),
                (_, value) => {
                    self.table.insert(key, value);
                }
            }
        }
        self
    }

    /// Filters the readings of the route with this `match` by a pipeline of the embedding program, whose stages may be the program's own
    /// ([`Rule::reducer`](edge_filter::Rule::reducer)). Its state survives a clean stop. Readings that a stage holds are acknowledged at once. A
    /// reading at which a stage panics passes unfiltered.
    pub fn filter(mut self, filter_topic: &str, pipeline: Pipeline) -> Self {
        self.parts.set_filter(filter_topic, pipeline);
        self
    }

    /// Calls `ingest` with each message before the routes, to which it may leave the message (`None`). Its other answers:
    ///
    /// - [`Answer::Store`]: the rows are stored, and the PUBACK follows when all of them are safe. No rows: as `Absorb`.
    /// - [`Answer::Absorb`]: nothing is stored, and the PUBACK follows when what came before is safe.
    /// - [`Answer::Withhold`]: as `Store`, but the PUBACK also waits until what came before is safe. It is not withheld for longer: a program has no
    ///   ticket of a message, so that the gateway resolves it itself.
    /// - [`Answer::Refuse`]: the message is stored as it came, for `dead-letter/TOPIC`, and then acknowledged with the reason. One that invites the
    ///   client to try again, or is none of PUBACK, becomes 0x83.
    ///
    /// Rows are checked before they are stored, as [`Bridge::publish_row`](edge_bridge::Bridge::publish_row) does. If one has a lane that the queue
    /// does not have, a weight or a size above what that lane holds, or more than 384 KiB, the message is refused with 0x83; if one has a topic that is empty, has a wildcard or more than 200 levels, or has control characters
    /// in the topic or a property (unless `accept_control_characters` is set, or they are the message's own), with 0x90. The log says so.
    ///
    /// It is called on the listener's task, where all local clients wait for it, so it should take microseconds. A message at which it
    /// panics goes to `dead-letter/TOPIC` unchanged.
    pub fn ingest(mut self, ingest: impl FnMut(Now, &Inbound) -> Option<Answer> + Send + 'static) -> Self {
        self.parts.ingest = Some(OwnIngest::new(Box::new(ingest)));
        self
    }

    /// Encodes the batches of the route with this `match` by an encoder of the embedding program. Routes with the same topic share the encoder, the last
    /// one that was set.
    pub fn packer(mut self, filter_topic: &str, packer: impl Packer + 'static) -> Self {
        self.parts.set_packer(filter_topic, Box::new(packer));
        self
    }

    /// Checks the settings. Warnings go to the log. Returns the configuration, and the program's own parts.
    ///
    /// # Errors
    /// The settings are wrong or contradict each other, each mistake with its key and place.
    pub(crate) fn checked(self) -> Result<(Config, Parts), Error> {
        let Self { table, error, mut parts } = self;
        if let Some(error) = error {
            return Err(Error::Configuration(error));
        }
        let env = |name: &str| std::env::var(name).ok();
        let parsed = Config::parse(Path::new("settings"), &table.to_string(), &env);
        let (config, warnings) = parsed.map_err(|wrong| Error::Configuration(wrong.to_string()))?;
        for warning in warnings.for_a_run().to_string().lines().filter(|line| line.starts_with("warning")) {
            tracing::warn!("{warning}");
        }
        for (filter_topic, _) in &parts.packers {
            packed_topic(&config.routes, filter_topic).map_err(Error::Configuration)?;
        }
        parts.ingest = parts.ingest.map(|ingest| ingest.checked_by(RowRules::of(&config)));
        Ok((config, parts))
    }

    /// Starts the gateway on the current tokio runtime, which needs timers and I/O ([`enable_all`](tokio::runtime::Builder::enable_all)). Its queue is in
    /// the directory `state`, which only one gateway may use. Returns when sensors can connect; the queue may be open a moment later. Warnings about
    /// the settings go to the log.
    ///
    /// A directory that fails is no error, also if a file stands in its place: a disk may be mounted later. It is tried again, and meanwhile
    /// [`Status::reason`](crate::Status::reason) has the cause.
    ///
    /// # Errors
    /// Settings are wrong or contradict each other; an empty path; an address that cannot be bound; a directory that is in use; a queue that has
    /// messages in other lanes ([`Error::QueueLanes`]) or another key ([`Error::QueueKey`]); no tokio runtime, or one without timers or I/O.
    pub async fn start(self, state: impl Into<PathBuf>) -> Result<Gateway, Error> {
        let (config, mut parts) = self.checked()?;
        let ((tell, told), (stop, stopped), state) = (oneshot::channel(), oneshot::channel(), state.into());
        if state.as_os_str().is_empty() {
            return Err(Error::Configuration("the state directory: an empty path".to_owned()));
        }
        let Ok(runtime) = Handle::try_current() else {
            return Err(Error::Failed("no tokio runtime: `start` is to be awaited on one".to_owned()));
        };
        parts.started = Some(tell);
        let config = Arc::new(config);
        let reload = ProgramReload::new(config.clone(), &mut parts);
        let (alive, running) = watch::channel(());
        let task = spawned(&runtime, config, state, parts, stopped, alive);
        match told.await {
            Ok(started) => Ok(Gateway { started, reload, stop, running, task }),
            Err(_) => {
                let how = ended(task).await;
                Err(how.err().unwrap_or_else(|| Error::Failed("the gateway ended at its start".to_owned())))
            }
        }
    }
}

/// Runs the gateway as a task. Not in an `async fn`, whose calls are compiled in each program that awaits it.
fn spawned(
    runtime: &Handle,
    config: Arc<Config>,
    state: PathBuf,
    parts: Parts,
    stopped: oneshot::Receiver<()>,
    alive: watch::Sender<()>,
) -> JoinHandle<Result<(), Error>> {
    runtime.spawn(async move {
        let _alive = alive;
        // A program that has dropped its handle wants a stop, too.
        let asked = async move { stopped.await.unwrap_or_default() };
        run_until(&config, &state, parts, pin!(asked)).await
    })
}
