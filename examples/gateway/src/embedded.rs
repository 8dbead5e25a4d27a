//! A gateway that runs inside another program.

use std::net::SocketAddr;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::builder::Builder;
use crate::run::RunError;
use crate::run::replaced_parts::Started;
use crate::run::status::verdict::Status;

/// Running gateway. Dropping this value stops the gateway in order, in the background. [`stop`](Self::stop) waits for the end and returns the
/// outcome.
#[derive(Debug)]
pub struct Gateway {
    pub(crate) started: Started,
    pub(crate) stop: oneshot::Sender<()>,
    pub(crate) task: JoinHandle<Result<(), RunError>>,
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

    /// Returns the present state of the gateway.
    pub async fn status(&self) -> Status {
        self.started.surface.status().await
    }

    /// Stops the gateway without losing a message, within eight seconds.
    ///
    /// # Errors
    /// The gateway had ended by itself, or the queue could not be closed cleanly.
    pub async fn stop(self) -> Result<(), RunError> {
        // If it has ended by itself, that is told below.
        let _ = self.stop.send(());
        ended(self.task).await
    }
}

/// Waits for the end of a gateway's task. Returns its outcome.
pub(crate) async fn ended(task: JoinHandle<Result<(), RunError>>) -> Result<(), RunError> {
    let ended = task.await;
    ended.unwrap_or_else(|error| Err(RunError::Failed(format!("the gateway's task: {error}"))))
}
