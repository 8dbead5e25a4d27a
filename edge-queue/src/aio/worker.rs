//! Worker thread for blocking calls, which run as owned commands in the order in which they were handed over.

use std::sync::Arc;
use std::thread::ThreadId;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, oneshot};

/// Most commands of [`Worker::run`] that may wait for the thread; callers with more of them wait.
const COMMANDS_MAX: usize = 64;

type Command = Box<dyn FnOnce() + Send>;

/// Handle of the worker thread, which ends with its last handle.
#[derive(Clone)]
pub(super) struct Worker {
    commands: mpsc::UnboundedSender<Command>,
    /// Permits, one for each of [`COMMANDS_MAX`] commands, given back when the command begins.
    cursors: Arc<Semaphore>,
    thread: ThreadId,
}

impl Worker {
    pub(super) fn start() -> std::io::Result<Worker> {
        let (commands, mut todo) = mpsc::unbounded_channel::<Command>();
        let handle = std::thread::Builder::new().name("edge-queue-aio".into()).spawn(move || {
            while let Some(command) = todo.blocking_recv() {
                command();
            }
        })?;
        let cursors = Arc::new(Semaphore::new(COMMANDS_MAX));
        Ok(Worker { commands, cursors, thread: handle.thread().id() })
    }

    /// Calls `f` on the thread; `None` if the thread has ended. Dropping the future does not stop `f`; its result is dropped then.
    pub(super) async fn run<T: Send + 'static>(&self, f: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let cursor = self.cursors.clone().acquire_owned().await.ok()?;
        let answer = self.hand_over(move || {
            drop(cursor);
            f()
        })?;
        answer.await.ok()
    }

    /// Hands `f` over without waiting for a permit: for callers that have one command each at most, which bounds them. Returns
    /// the receiver of the result; `None` when the thread is gone.
    pub(super) fn hand_over<T: Send + 'static>(
        &self,
        f: impl FnOnce() -> T + Send + 'static,
    ) -> Option<oneshot::Receiver<T>> {
        let (reply, answer) = oneshot::channel();
        let command = Box::new(move || {
            // Nobody waits any more: what comes back is dropped here, and leases return by that.
            let _unwanted = reply.send(f());
        });
        self.commands.send(command).ok()?;
        Some(answer)
    }
}

impl Worker {
    /// Calls `f` on the thread and blocks until it ends, at most for `patience`, after which it continues without the caller. `false` if `f` was
    /// not called, because the caller is that thread, which cannot wait for itself, or because the thread has ended.
    pub(super) fn finish(&self, f: impl FnOnce() + Send + 'static, patience: Duration) -> bool {
        if std::thread::current().id() == self.thread {
            return false;
        }
        let (done, ended) = std::sync::mpsc::channel();
        let command = Box::new(move || {
            f();
            let _impatient = done.send(());
        });
        if self.commands.send(command).is_err() {
            return false;
        }
        let _at_least_tried = ended.recv_timeout(patience);
        true
    }
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Worker")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn a_command_is_waited_for_but_not_longer_than_patience_and_never_by_its_own_thread() {
        let worker = Worker::start().unwrap();
        let (tell, told) = channel();
        let end = tell.clone();
        assert!(worker.finish(move || end.send("ended").unwrap(), Duration::MAX));
        assert_eq!(told.try_recv(), Ok("ended"));
        let (go, gate) = channel::<()>();
        assert!(worker.finish(move || gate.recv().unwrap(), Duration::ZERO));
        let inner = worker.clone();
        let on_itself = worker.hand_over(move || inner.finish(|| {}, Duration::MAX)).unwrap();
        go.send(()).unwrap();
        assert_eq!(on_itself.blocking_recv(), Ok(false));
        drop(tell);
    }
}
