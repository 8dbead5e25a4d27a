//! The thread on which blocking calls run, as owned commands over a bounded channel.

use tokio::sync::{mpsc, oneshot};

/// Commands that may wait for the thread; more wait at the callers.
const COMMANDS_MAX: usize = 64;

type Command = Box<dyn FnOnce() + Send>;

/// A handle of the thread, which ends with its last handle.
#[derive(Clone)]
pub(super) struct Worker {
    commands: mpsc::Sender<Command>,
}

impl Worker {
    pub(super) fn start() -> std::io::Result<Worker> {
        let (commands, mut todo) = mpsc::channel::<Command>(COMMANDS_MAX);
        std::thread::Builder::new().name("edge-queue-aio".into()).spawn(move || {
            while let Some(command) = todo.blocking_recv() {
                command();
            }
        })?;
        Ok(Worker { commands })
    }

    /// Runs `f` on the thread. Dropping the future does not stop `f`, its result is dropped then.
    pub(super) async fn run<T: Send + 'static>(&self, f: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        let command = Box::new(move || {
            // Nobody waits any more: what comes back is dropped here, and leases return by that.
            let _unwanted = reply.send(f());
        });
        self.commands.send(command).await.ok()?;
        answer.await.ok()
    }

    /// Hands `f` over without waiting; `None` when the channel is full.
    pub(super) fn try_run<T: Send + 'static>(
        &self,
        f: impl FnOnce() -> T + Send + 'static,
    ) -> Option<oneshot::Receiver<T>> {
        let (reply, answer) = oneshot::channel();
        let command = Box::new(move || {
            let _unwanted = reply.send(f());
        });
        self.commands.try_send(command).ok()?;
        Some(answer)
    }
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Worker")
    }
}
