//! Source of a password or a certificate that may change while the link runs. It is read again before each use, so that a change needs no
//! restart.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Time limit of a read. After it the last value is used, because a hanging disk must not stop the link.
const READ_WITHIN: Duration = Duration::from_secs(1);

type Read<T> = dyn Fn() -> io::Result<T> + Send + Sync;

/// Kind of the value, named in log lines.
#[derive(Debug, Clone, Copy)]
pub(super) enum Subject {
    HubPassword,
    ProxyPassword,
    Certificate,
}

/// Source that is read before each use, see the [module](self).
#[derive(Clone)]
pub(super) struct RereadSource<T> {
    subject: Subject,
    read: Arc<Read<T>>,
    /// Set while a read is under way, so that no second thread waits beside it.
    is_reading: Arc<AtomicBool>,
    /// Result of a read that came too late, or whose caller was gone. The next caller gets it: the source may tell a change only once.
    late: Arc<Mutex<Option<io::Result<T>>>>,
    /// Set once a log line has reported that the value cannot be read.
    is_failing: Arc<AtomicBool>,
}

impl<T: Send + 'static> RereadSource<T> {
    pub(super) fn new(subject: Subject, read: impl Fn() -> io::Result<T> + Send + Sync + 'static) -> Self {
        let (is_reading, is_failing) = (Arc::default(), Arc::default());
        Self { subject, read: Arc::new(read), is_reading, late: Arc::default(), is_failing }
    }

    /// Reads the value on a thread that may block. `None` if it cannot be read within [`READ_WITHIN`], so that the last one is used.
    pub(super) async fn read(&self) -> Option<T> {
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
        match self.subject {
            Subject::HubPassword => {
                tracing::warn!(%error, "cannot read the hub's password again: the last one is used");
            }
            Subject::ProxyPassword => {
                tracing::warn!(%error, "cannot read the proxy's password again: the last one is used");
            }
            Subject::Certificate => {
                tracing::warn!(%error, "cannot read the link's certificate again: the last one is used");
            }
        }
    }

    async fn read_in_time(&self) -> io::Result<T> {
        if self.is_reading.swap(true, Ordering::AcqRel) {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "an earlier read has not returned"));
        }
        if let Some(result) = take(&self.late) {
            self.is_reading.store(false, Ordering::Release);
            return result;
        }
        let (read, is_reading, late) = (self.read.clone(), self.is_reading.clone(), self.late.clone());
        let reading = tokio::task::spawn_blocking(move || {
            *late.lock().unwrap_or_else(PoisonError::into_inner) = Some(read());
            is_reading.store(false, Ordering::Release);
        });
        match tokio::time::timeout(READ_WITHIN, reading).await {
            Ok(Ok(())) => take(&self.late).unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into())),
            Ok(Err(ended)) => Err(io::Error::other(ended)),
            Err(late) => Err(late.into()),
        }
    }
}

fn take<T>(late: &Mutex<Option<T>>) -> Option<T> {
    late.lock().unwrap_or_else(PoisonError::into_inner).take()
}

impl<T> fmt::Debug for RereadSource<T> {
    /// Shows no value that was read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RereadSource").field("subject", &self.subject).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use bytes::Bytes;

    use super::*;

    #[tokio::test]
    async fn what_is_read_last_counts_and_a_failure_changes_nothing() {
        let file = Arc::new(Mutex::new(Some("old")));
        let read = file.clone();
        let source = RereadSource::new(Subject::HubPassword, move || {
            let content = *read.lock().unwrap();
            content.map(Bytes::from).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
        });
        assert_eq!(source.read().await.as_deref(), Some(&b"old"[..]));
        *file.lock().unwrap() = None;
        assert_eq!(source.read().await, None);
        *file.lock().unwrap() = Some("new");
        assert_eq!(source.read().await.as_deref(), Some(&b"new"[..]));
    }

    /// As of files that are read again only after a change.
    #[tokio::test]
    async fn what_was_read_too_late_is_not_lost() {
        let (unblock, blocked) = mpsc::channel::<()>();
        let (blocked, times) = (Mutex::new(blocked), Mutex::new(0));
        let source = RereadSource::new(Subject::Certificate, move || {
            let _ = blocked.lock().unwrap().recv();
            *times.lock().unwrap() += 1;
            Ok((*times.lock().unwrap() == 1).then_some("changed"))
        });
        assert_eq!(source.read().await, None, "late");
        drop(unblock);
        while source.is_reading.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
        assert_eq!(source.read().await, Some(Some("changed")));
        assert_eq!(source.read().await, Some(None));
    }

    #[tokio::test]
    async fn a_disk_that_hangs_costs_a_second_once_and_one_thread() {
        let (unblock, blocked) = mpsc::channel::<()>();
        let blocked = Mutex::new(blocked);
        let reads = Arc::new(AtomicBool::new(false));
        let seen = reads.clone();
        let source = RereadSource::new(Subject::HubPassword, move || {
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
