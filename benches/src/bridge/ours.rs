//! Our bridge as a process of its own: the sensors' server, the queue on disk and the link, composed as an
//! application does. This program again, with a hidden argument, so that its processor time can be told apart.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use edge_bridge::bridge::RawPack;
use edge_bridge::ingest::{Answer, Inbound, Ingest, Now};
use edge_bridge::listener::Ticket;
use edge_bridge::net::server::{Receipts, Server, Sink};
use edge_bridge::{Bridge, Row};
use edge_queue::{Config, Pending, PushError, Queue, aio};
use tokio::sync::{Notify, mpsc};

use super::process::Process;

/// The hidden argument.
pub(crate) const CHILD: &str = "bridge-child";
/// More than the generator ever has unacknowledged.
const PENDING_MAX: usize = 4_096;

/// Starts the child; where it listens.
pub(super) async fn start(hub: SocketAddr, spool: &Path) -> Result<(SocketAddr, Process), String> {
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let mut command = Command::new(program);
    command.arg(CHILD).arg(hub.to_string()).arg(spool).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut process = Process::spawn(&mut command)?;
    let output = process.child().stdout.take().ok_or("the child has no output")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line).map_err(|e| e.to_string())?;
    let address =
        line.trim().parse().map_err(|_| format!("the child said {line:?}, not where it listens"))?;
    Ok((address, process))
}

/// The child: says where it listens, and lives until its input ends.
pub(crate) fn child(hub: &str, spool: &str) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|e| e.to_string())?.block_on(async {
        let queue = Queue::open(spool, Config::default()).map_err(|e| e.to_string())?;
        let drained = aio::Queue::of(queue.clone()).map_err(|e| e.to_string())?;
        let consumer = drained.consumer("hub").await.map_err(|e| e.to_string())?;
        let url = format!("mqtt://{hub}");
        let (_link, _task) = Bridge::builder(&url)
            .client_id("bench-ours")
            .start_on(&drained, consumer, RawPack::new(false))
            .map_err(|e| e.to_string())?;
        let server = Server::builder()
            .start("127.0.0.1:0", StoreAll, |receipts| ToQueue::new(queue, drained.clone(), receipts))
            .await
            .map_err(|e| e.to_string())?;
        let mut output = std::io::stdout();
        writeln!(output, "{}", server.local_addr())
            .and_then(|()| output.flush())
            .map_err(|e| e.to_string())?;
        let ended = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await;
        ended.map_err(|e| e.to_string())?.map(drop).map_err(|e| e.to_string())
    })
}

/// Every message is one row, as it came.
struct StoreAll;

impl Ingest for StoreAll {
    fn ingest(&mut self, _: Now, message: &Inbound) -> Answer {
        Answer::Store(vec![Row::new(message.topic.clone(), message.payload.clone())])
    }
}

/// Rows into the queue, receipts back to the server.
struct ToQueue {
    queue: Queue,
    pending: mpsc::Sender<(Ticket, Vec<Pending>)>,
    wanted: Arc<Notify>,
}

impl ToQueue {
    fn new(queue: Queue, drained: aio::Queue, receipts: Receipts) -> ToQueue {
        let (pending, mut waiting) = mpsc::channel::<(Ticket, Vec<Pending>)>(PENDING_MAX);
        tokio::spawn(async move {
            // Commits resolve in order of the pushes, so waiting in this order holds nothing up.
            while let Some((ticket, rows)) = waiting.recv().await {
                for row in rows {
                    if row.await.is_err() {
                        return;
                    }
                }
                receipts.resolve(ticket);
            }
        });
        let wanted = Arc::new(Notify::new());
        let asked = wanted.clone();
        tokio::spawn(async move {
            loop {
                asked.notified().await;
                if let Err(error) = drained.commit().await {
                    eprintln!("commit: {error}");
                }
            }
        });
        ToQueue { queue, pending, wanted }
    }
}

impl Sink for ToQueue {
    fn has_room(&mut self) -> bool {
        self.pending.capacity() > 0
    }

    fn push(&mut self, ticket: Ticket, rows: Vec<Row>) -> Result<(), Vec<Row>> {
        let Ok(place) = self.pending.try_reserve() else { return Err(rows) };
        let pushed = rows.iter().map(|row| self.queue.push(row.clone().into_queue_row()));
        match pushed.collect::<Result<Vec<Pending>, PushError>>() {
            Ok(pending) => {
                place.send((ticket, pending));
                Ok(())
            }
            // One row per message: none of it was taken.
            Err(_) => Err(rows),
        }
    }

    fn commit(&mut self) {
        self.wanted.notify_one();
    }
}
