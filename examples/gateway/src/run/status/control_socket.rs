//! Control socket: a Unix socket in the state directory, by which an operator on this machine sees the gateway's status, takes a copy of what waits,
//! and lists, retries, drops or exports messages that the hub refuses.
//!
//! A connection carries one request and its answer. The request is a line `status`, `list`, `retry FILTER`, `drop FILTER`, `export FILTER`, `backup`,
//! `mule`, `settle BYTES` with a receipt behind it, or that of a [tap](crate::run::tap), which takes no turn from the others, as `status` does not. The
//! answer is lines of JSON, or the pieces of a [`backup`] or a data mule's export, then `ok TEXT` or `error TEXT` with a summary for the operator. The
//! socket exists from the start on, also without a queue.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a shell: a socket and its tasks")]

pub(crate) mod backup;
mod connection_places;
mod export;
mod settle;

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use edge_bridge::Link;
use edge_bridge::escape::Escaped;
use edge_queue::aio::Queue;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::config::Config;
use crate::mule::export_head::CurrentHead;
use crate::run::queue::lane_names;
use crate::run::tap::Taps;
use crate::run::tap::connection::{self as tap, ClosedWithSocket, Ended};

use super::control_answers as text;
use super::outputs::json::json;
use super::snapshot::snapshot_maker::Snapshots;
use connection_places::Places;

/// File name of the socket in the state directory.
pub(crate) const SOCKET: &str = "control.sock";
/// Longest path of a Unix socket in bytes, its closing zero included (`sun_path` of Linux).
pub(crate) const PATH_BYTES_MAX: usize = 108;
/// Directory in which the socket is created, so that no process connects before its mode is set. Its path is not longer than the socket's.
const MAKING: &str = ".ctl";
/// Most requests that are answered at a time; further ones wait.
const ANSWERS_MAX: usize = 4;
/// Longest request line in bytes, a verb and a filter.
const LINE_BYTES_MAX: u64 = 4_096;
/// Time limit for the request, and for each part of the answer.
const WITHIN: Duration = Duration::from_secs(4);
/// Pause after an accept that failed.
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);
/// Pause before another attempt to create the socket, while there is no queue.
const BIND_AGAIN: Duration = Duration::from_secs(1);
/// The same while there is a queue: the disk may be full, with the queue's room reserved, and is freed some day.
const BIND_AGAIN_BESIDE_QUEUE: Duration = Duration::from_secs(10);

/// Socket that was bound and is not served yet.
struct Made {
    listener: std::os::unix::net::UnixListener,
    path: PathBuf,
}

/// Socket that is served; its file is removed when this value is dropped.
struct Socket {
    listener: UnixListener,
    path: PathBuf,
}

impl Socket {
    fn listen(made: Made) -> io::Result<Self> {
        Ok(Self { listener: UnixListener::from_std(made.listener)?, path: made.path })
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Queue and link to the hub that requests are about.
#[derive(Debug)]
pub(crate) struct QueueAndLink {
    /// Head of the exports of a data mule.
    mule: CurrentHead,
    queue: Queue,
    link: Link,
    /// Note of a copy of the backlog: the names of the lanes.
    lanes: Vec<u8>,
}

impl QueueAndLink {
    /// Lets requests be about queue and link, which are open now. Returns the head of a data mule's exports, which has to follow the routes.
    pub(crate) fn show(later: &LaterQueue, config: &Config, queue: &Queue, link: &Link) -> CurrentHead {
        let mule = CurrentHead::of(queue.gateway_id(), config);
        let lanes = lane_names::to_note(&config.queue.lanes);
        let opened = Self { mule: mule.clone(), queue: queue.clone(), link: link.clone(), lanes };
        // They are opened once.
        let _ = later.set(opened);
        mule
    }
}

/// Queue and link, empty until they are open.
pub(crate) type LaterQueue = Arc<OnceLock<QueueAndLink>>;

/// Starts to serve the socket. Returns the task, and the notification that the first attempt to create the socket has ended.
pub(crate) fn start(
    state: &Path,
    snapshots: Snapshots,
    opened: &LaterQueue,
    taps: &Taps,
) -> (JoinHandle<()>, oneshot::Receiver<()>) {
    let (tried, has_tried) = oneshot::channel();
    let served = serve(state.to_owned(), snapshots, opened.clone(), taps.clone(), tried);
    (tokio::spawn(served), has_tried)
}

/// Serves the socket until the future is dropped. While the socket cannot be created, the gateway goes on without it. `tried` is sent after the
/// first attempt to create it.
async fn serve(
    state: PathBuf,
    snapshots: Snapshots,
    opened: LaterQueue,
    taps: Taps,
    tried: oneshot::Sender<()>,
) {
    let _closed = ClosedWithSocket(taps.clone());
    let socket = bound(&state, || opened.get().is_some(), tried).await;
    let answers = Arc::new(Semaphore::new(ANSWERS_MAX));
    let mut places = Places::default();
    loop {
        let Ok((stream, _)) = socket.listener.accept().await else {
            tokio::time::sleep(ACCEPT_AGAIN).await;
            continue;
        };
        if !places.make_room() {
            // Whoever cannot take it at once sees that the connection ends.
            // Not by `try_write`: the runtime has not looked yet if the stream takes it.
            let told = b"error too many requests are being answered: try again\n";
            let _ = stream.into_std().and_then(|mut stream| stream.write_all(told));
            continue;
        }
        let has_request = Arc::new(AtomicBool::new(false));
        let (snapshots, opened, answers, taps) =
            (snapshots.clone(), opened.clone(), answers.clone(), taps.clone());
        let is_asked = has_request.clone();
        let connection = tokio::spawn(async move {
            if let Err(error) = serve_one(stream, &is_asked, &answers, (&snapshots, &opened, &taps)).await {
                tracing::debug!(%error, "control socket");
            }
        });
        places.add(connection.abort_handle(), has_request);
        // A request that came with the connection is read before the next one is let in.
        tokio::task::yield_now().await;
    }
}

/// Returns the socket as soon as it can be created. While it cannot although the queue is open, that is logged once.
async fn bound(state: &Path, is_open: impl Fn() -> bool, tried: oneshot::Sender<()>) -> Socket {
    let (mut tried, mut is_told) = (Some(tried), false);
    loop {
        // Before the attempt: one that failed while the queue was not open is soon made once more.
        let is_open = is_open();
        let dir = state.to_owned();
        // A disk that hangs must not hold up the runtime's only thread.
        let made = tokio::task::spawn_blocking(move || bind(&dir)).await;
        let made = made.unwrap_or_else(|error| Err(io::Error::other(error)));
        let made = made.and_then(Socket::listen);
        // Whoever waits for it may be gone.
        let _ = tried.take().map(|tried| tried.send(()));
        match made {
            Ok(socket) => {
                if is_told {
                    tracing::info!("the control socket is there");
                }
                return socket;
            }
            Err(error) if is_open && !std::mem::replace(&mut is_told, true) => {
                let path = state.join(SOCKET);
                tracing::error!(path = %path.display(), %error, "no control socket: `edge-gateway status`, `parked`, `backup`, `mule`, `tap` and `check --measured` do not work; tried again every 10 s");
            }
            Err(_) => {}
        }
        tokio::time::sleep(if is_open { BIND_AGAIN_BESIDE_QUEUE } else { BIND_AGAIN }).await;
    }
}

/// Creates the socket. The socket file of an ended process, on which no process listens, is replaced.
fn bind(state: &Path) -> io::Result<Made> {
    let path = state.join(SOCKET);
    check_length(&path)?;
    match fs::symlink_metadata(&path) {
        Ok(there) if there.file_type().is_socket() => {
            // Without the queue's lock it may be that of another gateway, which has no queue either.
            if std::os::unix::net::UnixStream::connect(&path).is_ok() {
                return Err(io::Error::new(ErrorKind::AddrInUse, "another gateway answers there"));
            }
        }
        Ok(_) => return Err(io::Error::new(ErrorKind::AlreadyExists, "something else is in its place")),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let making = state.join(MAKING);
    if fs::symlink_metadata(&making).is_ok_and(|there| there.is_dir()) {
        let _ = fs::remove_file(making.join("s"));
        fs::remove_dir(&making)?;
    }
    DirBuilder::new().mode(0o700).create(&making)?;
    let made = making.join("s");
    let listener = std::os::unix::net::UnixListener::bind(&made)?;
    listener.set_nonblocking(true)?;
    fs::set_permissions(&made, Permissions::from_mode(0o600))?;
    fs::rename(&made, &path)?;
    let made = Made { listener, path };
    fs::remove_dir(&making)?;
    Ok(made)
}

/// Checks that a socket can have this path.
///
/// # Errors
/// The path is too long; the text names both lengths.
pub(crate) fn check_length(path: &Path) -> io::Result<()> {
    let bytes = path.as_os_str().len();
    if bytes < PATH_BYTES_MAX {
        return Ok(());
    }
    let limit = PATH_BYTES_MAX - 1;
    let text = format!("its path has {bytes} bytes, a socket's at most {limit}: choose a shorter --state");
    Err(io::Error::new(ErrorKind::InvalidInput, text))
}

async fn serve_one(
    mut stream: UnixStream,
    is_asked: &AtomicBool,
    answers: &Semaphore,
    (snapshots, opened, taps): (&Snapshots, &LaterQueue, &Taps),
) -> io::Result<()> {
    let mut line = String::new();
    let (reader, _) = stream.split();
    let mut reader = BufReader::with_capacity(512, reader.take(LINE_BYTES_MAX));
    timeout(WITHIN, reader.read_line(&mut line)).await??;
    is_asked.store(true, Ordering::Relaxed);
    let begun = reader.buffer().to_vec();
    if let Some(request) = line.strip_suffix('\n').and_then(|line| line.strip_prefix("tap ")) {
        let last = match tap::serve(&mut stream, request, taps).await {
            Ended::Done(done) => format!("ok {done}\n"),
            Ended::Refused(error) => format!("error {error}\n"),
            Ended::Gone(error) => return Err(error),
        };
        return say(&mut stream, last.as_bytes()).await;
    }
    let request = line.strip_suffix('\n');
    // The status is made at once; it must be seen beside copies that hold all turns. Nobody closes the semaphore.
    let _turn = match request {
        Some("status") => None,
        _ => answers.acquire().await.ok(),
    };
    let last = match request {
        Some(line) => match answer(&mut stream, (line, begun), snapshots, opened).await {
            Ok(done) => format!("ok {done}\n"),
            Err(Failed::Said(error)) => format!("error {error}\n"),
            Err(Failed::Gone(error)) => return Err(error),
        },
        None => "error one line is expected, of at most 4096 bytes\n".to_owned(),
    };
    // What pieces left in the socket's buffer goes before it.
    backup::write_slowly(&mut stream, last.as_bytes()).await
}

enum Failed {
    Said(String),
    Gone(io::Error),
}

impl From<edge_bridge::net::ByHandError> for Failed {
    fn from(error: edge_bridge::net::ByHandError) -> Self {
        Self::Said(error.to_string())
    }
}

/// Writes all lines of the answer but the last. Returns the summary for the last one. `begun` are bytes behind the request's line that came with it.
async fn answer(
    stream: &mut UnixStream,
    (line, begun): (&str, Vec<u8>),
    snapshots: &Snapshots,
    opened: &LaterQueue,
) -> Result<String, Failed> {
    if line == "status" {
        let snapshot = snapshots.snapshot().await;
        say(stream, json(&snapshot).as_bytes()).await.map_err(Failed::Gone)?;
        return Ok(snapshot.verdict);
    }
    let Some(QueueAndLink { mule, queue, link, lanes }) = opened.get() else {
        return Err(Failed::Said("there is no queue yet".to_owned()));
    };
    match line {
        "backup" => return backup::serve(stream, (queue, lanes), link, "").await,
        "mule" => return backup::serve(stream, (queue, lanes), link, &mule.to_line()).await,
        _ => {}
    }
    match line.split_once(' ').unwrap_or((line, "")) {
        ("settle", bytes) => settle::serve(stream, (bytes, begun), queue).await,
        ("list", _) => {
            let list = link.parked().await?;
            say(stream, text::list(&list).as_bytes()).await.map_err(Failed::Gone)?;
            Ok(format!("{} parked", list.parked))
        }
        ("retry", filter) => {
            link.retry_parked(filter).await?;
            tracing::info!(filter = %format_args!("\"{}\"", Escaped(filter)), "refused messages are tried again, asked for by hand");
            Ok("tried again now".to_owned())
        }
        ("drop", filter) => {
            let count = link.drop_parked(filter).await?;
            tracing::warn!(filter = %format_args!("\"{}\"", Escaped(filter)), %count, "refused messages dropped by hand");
            Ok(format!("{count} dropped"))
        }
        ("export", filter) => export::serve(stream, link, filter).await,
        (verb, _) => Err(Failed::Said(format!(
            "\"{verb}\" is none of status, list, retry, drop, export, backup, mule, settle, tap"
        ))),
    }
}

async fn say(stream: &mut UnixStream, bytes: &[u8]) -> io::Result<()> {
    timeout(WITHIN, stream.write_all(bytes)).await?
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;
    use crate::run::log::captured_log::captured;

    #[test]
    fn what_a_killed_process_left_is_replaced_and_a_socket_that_answers_is_not() {
        let state = tempfile::tempdir().unwrap();
        let (path, making) = (state.path().join(SOCKET), state.path().join(MAKING));
        fs::create_dir(&making).unwrap();
        for left in [&path, &making.join("s")] {
            drop(UnixListener::bind(left).unwrap());
        }
        let made = bind(state.path()).unwrap();
        UnixStream::connect(&path).unwrap();
        assert_eq!(
            (fs::metadata(&path).unwrap().permissions().mode() & 0o777, making.exists()),
            (0o600, false)
        );
        assert!(bind(state.path()).is_err_and(|error| error.kind() == ErrorKind::AddrInUse));
        UnixStream::connect(&made.path).unwrap();
    }

    /// A disk that was full at the start has room again: no restart is needed.
    #[test]
    fn the_socket_comes_once_there_is_room_for_it_and_its_absence_is_told_once() {
        let state = tempfile::tempdir().unwrap();
        let path = state.path().join(SOCKET);
        fs::write(&path, "in its place").unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        let lines = captured(|| {
            runtime.unwrap().block_on(async {
                let (tried, has_tried) = oneshot::channel();
                let bound = timeout(Duration::from_secs(600), bound(state.path(), || true, tried));
                let freed = async {
                    has_tried.await.unwrap();
                    tokio::time::sleep(3 * BIND_AGAIN_BESIDE_QUEUE).await;
                    fs::remove_file(&path).unwrap();
                };
                assert_eq!(tokio::join!(bound, freed).0.unwrap().path, path);
            });
        });
        let told =
            ["no control socket", "the control socket is there"].map(|line| lines.matches(line).count());
        assert_eq!(told, [1, 1], "{lines}");
    }
}
