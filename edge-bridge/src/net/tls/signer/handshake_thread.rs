//! Threads for handshakes with a signer. rustls signs in the middle of a poll and blocks there until the signer has answered, so such a handshake is
//! not polled by the runtime's thread, which serves all connections, but by one of its own. The blocking pool is no place for it: a signer that hangs
//! would take its few threads from the files that are read there.

use std::io;
use std::sync::Arc;
use std::thread;

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};

/// Most threads of a key, as many as the handshakes that a [listener](crate::net::server) has at a time.
const THREADS_MAX: usize = 64;

/// Threads of a key's handshakes, see the [module](self). Clones share their number.
#[derive(Debug, Clone)]
pub(in crate::net::tls) struct HandshakeThreads(Arc<Semaphore>);

impl HandshakeThreads {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(THREADS_MAX)))
    }

    /// Runs a handshake on a thread of its own. One whose caller is gone ends with its next poll, at the latest when the signer's time is over.
    ///
    /// # Errors
    ///
    /// Those of the handshake; there is no thread for it.
    pub(in crate::net::tls) async fn run<T: Send + 'static>(
        &self,
        handshake: impl Future<Output = io::Result<T>> + Send + 'static,
    ) -> io::Result<T> {
        let place = self.0.clone().acquire_owned().await.map_err(io::Error::other)?;
        let (mut to_caller, result) = oneshot::channel();
        let runtime = Handle::current();
        let thread = move || {
            let _place = place;
            runtime.block_on(async move {
                let ended = tokio::select! {
                    biased;
                    () = to_caller.closed() => return,
                    ended = handshake => ended,
                };
                // The caller may have gone.
                let _ = to_caller.send(ended);
            });
        };
        thread::Builder::new().name("tls-handshake".to_owned()).spawn(thread)?;
        result.await.map_err(io::Error::other)?
    }
}
