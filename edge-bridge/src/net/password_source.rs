//! Password of the hub or of a proxy, which may change while the link runs: read again before each login, so that a rotated one needs no
//! restart.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;

/// Time for a read. After it the connection goes on with the last password: a disk that hangs must not hold up the link.
const READ_WITHIN: Duration = Duration::from_secs(1);

type Read = dyn Fn() -> io::Result<Bytes> + Send + Sync;

/// Owner of a password.
#[derive(Debug, Clone, Copy)]
pub(super) enum Owner {
    Hub,
    Proxy,
}

/// Source of a password.
#[derive(Clone)]
pub(super) struct PasswordSource {
    owner: Owner,
    read: Arc<Read>,
    /// A read has not returned yet: no second thread waits beside it.
    is_reading: Arc<AtomicBool>,
    /// Set once the log says that the file cannot be read.
    is_failing: Arc<AtomicBool>,
}

impl PasswordSource {
    pub(super) fn new(owner: Owner, read: impl Fn() -> io::Result<Bytes> + Send + Sync + 'static) -> Self {
        Self { owner, read: Arc::new(read), is_reading: Arc::default(), is_failing: Arc::default() }
    }

    /// Reads on a thread that may block. `None`: the last password stays.
    pub(super) async fn read(&self) -> Option<Bytes> {
        let result = self.read_in_time().await;
        match &result {
            Ok(_) => self.is_failing.store(false, Ordering::Relaxed),
            Err(error) => {
                if !self.is_failing.swap(true, Ordering::Relaxed) {
                    self.warn(error);
                }
            }
        }
        result.ok()
    }

    fn warn(&self, error: &io::Error) {
        match self.owner {
            Owner::Hub => {
                tracing::warn!(%error, "cannot read the hub's password again: the last one is used");
            }
            Owner::Proxy => {
                tracing::warn!(%error, "cannot read the proxy's password again: the last one is used");
            }
        }
    }

    async fn read_in_time(&self) -> io::Result<Bytes> {
        if self.is_reading.swap(true, Ordering::AcqRel) {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "an earlier read has not returned"));
        }
        let (read, is_reading) = (self.read.clone(), self.is_reading.clone());
        let reading = tokio::task::spawn_blocking(move || {
            let result = read();
            is_reading.store(false, Ordering::Release);
            result
        });
        match tokio::time::timeout(READ_WITHIN, reading).await {
            Ok(Ok(result)) => result,
            Ok(Err(ended)) => Err(io::Error::other(ended)),
            Err(late) => Err(late.into()),
        }
    }
}

impl fmt::Debug for PasswordSource {
    /// Shows all but the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordSource").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, mpsc};

    use super::*;

    #[tokio::test]
    async fn what_is_read_last_counts_and_a_failure_changes_nothing() {
        let file = Arc::new(Mutex::new(Some("old")));
        let read = file.clone();
        let source = PasswordSource::new(Owner::Hub, move || {
            let content = *read.lock().unwrap();
            content.map(Bytes::from).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
        });
        assert_eq!(source.read().await.as_deref(), Some(&b"old"[..]));
        *file.lock().unwrap() = None;
        assert_eq!(source.read().await, None);
        *file.lock().unwrap() = Some("new");
        assert_eq!(source.read().await.as_deref(), Some(&b"new"[..]));
    }

    #[tokio::test]
    async fn a_disk_that_hangs_costs_a_second_once_and_one_thread() {
        let (unblock, blocked) = mpsc::channel::<()>();
        let blocked = Mutex::new(blocked);
        let reads = Arc::new(AtomicBool::new(false));
        let seen = reads.clone();
        let source = PasswordSource::new(Owner::Hub, move || {
            assert!(!seen.swap(true, Ordering::SeqCst), "a second read beside the first");
            let _ = blocked.lock().unwrap().recv();
            seen.store(false, Ordering::SeqCst);
            Ok(Bytes::from_static(b"late"))
        });
        let start = tokio::time::Instant::now();
        assert_eq!(source.read().await, None);
        assert!(start.elapsed() >= READ_WITHIN);
        assert_eq!(source.read().await, None, "the first one still waits");
        drop(unblock);
        while source.is_reading.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
        assert_eq!(source.read().await.as_deref(), Some(&b"late"[..]));
    }
}
