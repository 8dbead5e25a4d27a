//! A gateway that runs inside another program.

use std::net::SocketAddr;

use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::builder::Builder;
use crate::run::Error;
use crate::run::configuration::program_reload::{ProgramReload, ReloadOutcome};
use crate::run::replaced_parts::Started;
use crate::run::status::verdict::Status;

/// Running gateway. Dropping this value stops the gateway in order, in the background. [`stop`](Self::stop) waits for the end and returns the
/// outcome.
#[derive(Debug)]
pub struct Gateway {
    pub(crate) started: Started,
    pub(crate) reload: ProgramReload,
    pub(crate) stop: oneshot::Sender<()>,
    /// Channel whose sender lives as long as the task.
    pub(crate) running: watch::Receiver<()>,
    pub(crate) task: JoinHandle<Result<(), Error>>,
}

impl Gateway {
    /// Creates the settings of a gateway with this `id` that forwards to the MQTT server at `hub`, such as `mqtts://hub:8883`.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use edge_filter::reduce::Deadband;
    /// use edge_filter::{Pipeline, Rule};
    /// use edge_gateway::{Format, Gateway};
    ///
    /// # let state = std::env::temp_dir().join(format!("edge-gateway-doc-{}", std::process::id()));
    /// # let hub = "mqtt://127.0.0.1:9";
    /// let steps = Pipeline::builder().rule("plant/#", Rule::new().reducer(Deadband::absolute(0.5)?))?.build();
    /// let gateway = Gateway::builder("site7", hub)
    ///     .listen("127.0.0.1:0".parse()?)
    ///     .route("plant/#", "site7/readings", Format::Compact)
    ///     .filter("plant/#", steps)
    ///     .ingest(|_, message| message.topic.ends_with("/test").then_some(edge_bridge::ingest::Answer::Absorb))
    ///     .settings("[queue]\nmax_bytes = \"16MiB\"")
    ///     .start(&state)
    ///     .await?;
    /// println!("sensors connect to {:?}: {}", gateway.address(), gateway.status().await.verdict);
    /// gateway.stop().await?;
    /// # std::fs::remove_dir_all(&state)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder(id: &str, hub: &str) -> Builder {
        Builder::new(id, hub)
    }

    /// Returns the address to which sensors connect. `None`: they connect to a separate broker.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.started.address
    }

    /// Returns the present state of the gateway. One that has [ended](Self::ended) has none: its last words are those of a gateway without a queue.
    pub async fn status(&self) -> Status {
        self.started.snapshots.status().await
    }

    /// Puts changed routes in force between two messages, as `edge-gateway` does at SIGHUP: nobody is disconnected, and nothing that is stored or
    /// held is lost. A route that is as it was goes on with all that its filter holds; another goes over as over a clean stop: the same rules go
    /// on, and what other rules held is sent as they say. What waits in the queue goes where it was to go when it came.
    ///
    /// `settings` are all settings, as for a start, but without parts of the program's own: its ingest stays, and so do filters and packers, with
    /// their routes. They are checked as a whole, and applied or refused as a whole. Returns when the routes are in force: a message that comes
    /// later goes by them. While the queue takes nothing it returns after five seconds: [`ReloadOutcome::Pending`]. Reloads take turns, and
    /// those five seconds begin with the turn. If the future is dropped before its turn, or while the queue is asked what waits (at most two
    /// seconds), nothing changes; dropped later, the change goes on.
    ///
    /// All but routes is read at a start only. So are two things that follow from routes, and a change of them is refused: the topics to subscribe to
    /// at a [`broker`](Builder::broker), unless `[local] topics` names them (refused as `[local]`), and the order of a lane, which the first raw route
    /// changes and the last one (refused as `[queue]`).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use edge_gateway::{Builder, Error, Format, Gateway, ReloadOutcome};
    ///
    /// # let state = std::env::temp_dir().join(format!("edge-gateway-reload-doc-{}", std::process::id()));
    /// fn settings(batch_age: &str) -> Builder {
    ///     Gateway::builder("site7", "mqtt://127.0.0.1:9")
    ///         .listen(([127, 0, 0, 1], 0).into())
    ///         .settings(&format!("[[route]]\nmatch = \"plant/#\"\nto = \"site7\"\nformat = \"compact\"\nbatch_age = \"{batch_age}\""))
    /// }
    /// let gateway = settings("1s").start(&state).await?;
    /// let yard = settings("2s").route("yard/#", "site7/yard", Format::Json);
    /// assert_eq!(gateway.reload(yard).await?, ReloadOutcome::InForce);
    /// // A mistake, with its key and place: what was in force goes on.
    /// assert!(matches!(gateway.reload(settings("2 apples")).await, Err(Error::Configuration(_))));
    /// // The queue's limits are read at a start.
    /// let smaller = || settings("2s").settings("[queue]\nmax_bytes = \"16MiB\"");
    /// match gateway.reload(smaller()).await {
    ///     Err(Error::NeedsRestart(why)) => {
    ///         println!("{why}: stopped and started");
    ///         gateway.stop().await?;
    ///         let gateway = smaller().start(&state).await?;
    ///         gateway.stop().await?;
    ///     }
    ///     other => panic!("{other:?}"),
    /// }
    /// # std::fs::remove_dir_all(&state)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// In each case what was in force stays. [`Error::Configuration`]: mistakes, each with its key and place.
    /// [`Error::NeedsRestart`]: other tables than `[[route]]` differ, and are named; or `settings` has a part of the
    /// program's own, or a route that has a filter or packer of the program's own would change or go. [`Error::Failed`]: the
    /// queue's limits are lower than what waits, or it does not say what waits: a start with them would give it up, as `on_full` says; or the gateway
    /// has ended.
    pub async fn reload(&self, settings: Builder) -> Result<ReloadOutcome, Error> {
        let (config, parts) = settings.checked()?;
        // The parts themselves may not be shared between threads, and so must not be held while it waits.
        let own_part = parts.first_own();
        drop(parts);
        self.reload.apply(config, own_part).await
    }

    /// Waits until the gateway has ended: by itself, since a later attempt to open its queue found what no attempt can mend, or by a stop. Why,
    /// [`stop`](Self::stop) tells. The future holds nothing of the gateway, so another task may wait.
    ///
    /// ```
    /// # async fn example(gateway: edge_gateway::Gateway) -> Result<(), edge_gateway::Error> {
    /// let ended = gateway.ended();
    /// # let asked_to_stop = async {};
    /// tokio::select! {
    ///     () = asked_to_stop => {}
    ///     () = ended => eprintln!("the gateway has ended"),
    /// }
    /// gateway.stop().await
    /// # }
    /// ```
    pub fn ended(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut running = self.running.clone();
        // Nothing is ever sent: its sender is gone with the gateway's task.
        async move { while running.changed().await.is_ok() {} }
    }

    /// Stops the gateway without losing a message. It takes a second or two, and sixteen seconds where disk, hub and clients hang.
    ///
    /// # Errors
    /// The gateway had ended by itself, or the queue could not be closed cleanly.
    pub async fn stop(self) -> Result<(), Error> {
        // If it has ended by itself, that is told below.
        let _ = self.stop.send(());
        ended(self.task).await
    }
}

/// Waits for the end of a gateway's task. Returns its outcome.
pub(crate) async fn ended(task: JoinHandle<Result<(), Error>>) -> Result<(), Error> {
    let error = match task.await {
        Ok(outcome) => return outcome,
        Err(error) => error,
    };
    if !error.is_panic() {
        return Err(Error::Failed(format!("the gateway's task: {error}")));
    }
    // Such as that of a runtime without timers, which says what is missing.
    let panic = error.into_panic();
    let words = panic.downcast_ref::<String>().map(String::as_str);
    let words = words.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without words");
    Err(Error::Failed(format!("the gateway's task panicked: {words}")))
}
