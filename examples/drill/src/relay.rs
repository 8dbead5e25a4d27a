//! The wide-area link: a TCP relay on loopback that passes bytes late, and that can be cut or left half-open.
//!
//! Each direction is a paced queue (bytes wait side by side, not one after the other), so the delay does not limit the
//! throughput. TCP's own handshake is not delayed, and there is no limit on bandwidth.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the relay is a shell: sockets, tasks and time are its job"
)]

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use super::story::Fault;

/// Delay in one direction; a round trip takes twice as long.
pub(crate) const ONE_WAY_DELAY: Duration = Duration::from_millis(250);

/// Largest piece that is read at once, and how many may be on their way per direction and connection: at most 4 MiB.
const CHUNK_BYTES: usize = 8 * 1024;
const CHUNKS_ON_THE_WAY: usize = 512;
/// Most connections, more than a gateway ever opens; beyond it new ones wait to be accepted.
const CONNECTIONS_MAX: usize = 64;

/// Counts of both directions, seen from the gateway: `up` is what it sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    pub(crate) up_bytes: u64,
    pub(crate) down_bytes: u64,
    pub(crate) connections: u64,
}

/// The running relay; dropping it ends every connection.
#[derive(Debug)]
pub(crate) struct Relay {
    address: SocketAddr,
    condition: watch::Sender<Condition>,
    /// Last condition that the listener has acted on.
    applied: watch::Receiver<u64>,
    counters: Arc<Counters>,
    task: JoinHandle<()>,
}

/// Condition of the link. `epoch` grows with each change, so that a fault shorter than a poll still ends every connection it met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Condition {
    epoch: u64,
    fault: Fault,
}

#[derive(Debug, Default)]
struct Counters {
    up: AtomicU64,
    down: AtomicU64,
    connections: AtomicU64,
}

impl Relay {
    /// Starts on a free loopback port and passes everything on to `hub`.
    pub(crate) async fn start(hub: SocketAddr, one_way_delay: Duration) -> io::Result<Self> {
        let listener = reserve(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?.listen(128)?;
        let address = listener.local_addr()?;
        let (condition, watch) = watch::channel(Condition { epoch: 0, fault: Fault::Normal });
        let (applying, applied) = watch::channel(0);
        let counters = Arc::new(Counters::default());
        let door =
            Door { address, hub, one_way_delay, condition: watch, applying, counters: Arc::clone(&counters) };
        let task = tokio::spawn(async move {
            // Only a port taken by another process ends the relay early; the drill then fails for want of arrivals.
            if let Err(error) = door.keep(listener).await {
                tracing::error!(event = "drill.relay", %error, "the relay lost its port");
            }
        });
        Ok(Self { address, condition, applied, counters, task })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes the link and returns when the change holds: after `Cut` a new connection is refused.
    pub(crate) async fn set(&mut self, fault: Fault) {
        let mut epoch = 0;
        self.condition.send_modify(|condition| {
            if condition.fault != fault {
                *condition = Condition { epoch: condition.epoch + 1, fault };
            }
            epoch = condition.epoch;
        });
        // An error means that the listener's task has ended: there is nothing to wait for.
        let _ = self.applied.wait_for(|applied| *applied >= epoch).await;
    }

    /// Everything that entered the relay, also what a half-open link swallowed.
    pub(crate) fn traffic(&self) -> Traffic {
        Traffic {
            up_bytes: self.counters.up.load(Ordering::Relaxed),
            down_bytes: self.counters.down.load(Ordering::Relaxed),
            connections: self.counters.connections.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The listening side.
struct Door {
    address: SocketAddr,
    hub: SocketAddr,
    one_way_delay: Duration,
    condition: watch::Receiver<Condition>,
    applying: watch::Sender<u64>,
    counters: Arc<Counters>,
}

impl Door {
    async fn keep(mut self, listener: TcpListener) -> io::Result<()> {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        // Dropping the set (the relay's end) aborts the connections.
        let mut connections = JoinSet::new();
        let mut listener = Some(listener);
        loop {
            let condition = *self.condition.borrow_and_update();
            let shut = if condition.fault == Fault::Cut {
                drop(listener.take());
                // Bound but not listening: connections are refused, and the port cannot become anybody's, not even
                // the source port of the gateway's own attempt (TCP would then connect to itself).
                Some(reserve(self.address)?)
            } else {
                None
            };
            self.applying.send_replace(condition.epoch);
            if let Some(socket) = shut {
                if self.condition.changed().await.is_err() {
                    return Ok(());
                }
                listener = Some(socket.listen(128)?);
                continue;
            }
            let Some(open) = &listener else { return Ok(()) };
            tokio::select! {
                changed = self.condition.changed() => if changed.is_err() { return Ok(()) },
                Ok((gateway, place)) = accept(open, &places) => {
                    self.counters.connections.fetch_add(1, Ordering::Relaxed);
                    let link = Link {
                        hub: self.hub,
                        delay: self.one_way_delay,
                        condition: self.condition.clone(),
                        counters: Arc::clone(&self.counters),
                    };
                    connections.spawn(async move {
                        link.carry(gateway, condition).await;
                        drop(place);
                    });
                }
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, place))
}

/// A bound socket that does not listen yet.
fn reserve(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Relayed connection.
struct Link {
    hub: SocketAddr,
    delay: Duration,
    condition: watch::Receiver<Condition>,
    counters: Arc<Counters>,
}

impl Link {
    /// Carries bytes until either end closes or the link changes. A change ends the connection in any case: `Cut` at
    /// once; `HalfOpen` when it is over, for what was swallowed is gone and would be a hole in the stream.
    async fn carry(mut self, mut gateway: TcpStream, born: Condition) {
        if born.fault == Fault::HalfOpen {
            self.swallow(&mut gateway, None, born.epoch).await;
            return reset(&gateway);
        }
        let Ok(mut hub) = TcpStream::connect(self.hub).await else { return reset(&gateway) };
        // Without it Nagle's algorithm would add its own delay to ours.
        let _ = (gateway.set_nodelay(true), hub.set_nodelay(true));
        let mut condition = self.condition.clone();
        let changed = tokio::select! {
            closed = self.pump(&mut gateway, &mut hub) => {
                if closed.is_err() {
                    reset(&gateway);
                    reset(&hub);
                }
                return;
            }
            changed = condition.wait_for(|now| now.epoch != born.epoch) => changed.map(|now| *now),
        };
        if let Ok(Condition { fault: Fault::HalfOpen, epoch }) = changed {
            self.swallow(&mut gateway, Some(&mut hub), epoch).await;
        }
        reset(&gateway);
        reset(&hub);
    }

    /// Relays both directions until both have ended. An error in one ends both.
    async fn pump(&self, gateway: &mut TcpStream, hub: &mut TcpStream) -> io::Result<()> {
        let (from_gateway, to_gateway) = gateway.split();
        let (from_hub, to_hub) = hub.split();
        tokio::try_join!(
            delayed(from_gateway, to_hub, self.delay, &self.counters.up),
            delayed(from_hub, to_gateway, self.delay, &self.counters.down),
        )?;
        Ok(())
    }

    /// Reads and forgets until the epoch ends. A close by one end is not passed on either.
    async fn swallow(&mut self, gateway: &mut TcpStream, hub: Option<&mut TcpStream>, epoch: u64) {
        let Self { condition, counters, .. } = self;
        let discard_hub = async {
            if let Some(hub) = hub {
                discard(hub, &counters.down).await;
            }
        };
        tokio::select! {
            _ = condition.wait_for(|now| now.epoch != epoch) => {}
            _ = async { tokio::join!(discard(gateway, &counters.up), discard_hub, std::future::pending::<()>()) } => {}
        }
    }
}

/// Passes bytes on in order, each `delay` after it was read. The end of the stream is delayed as well.
async fn delayed(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    delay: Duration,
    counter: &AtomicU64,
) -> io::Result<()> {
    let (queue, mut due) = mpsc::channel::<(Instant, Vec<u8>)>(CHUNKS_ON_THE_WAY);
    let read = async move {
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let n = from.read(&mut chunk).await?;
            counter.fetch_add(n as u64, Ordering::Relaxed);
            let bytes = chunk.get(..n).map(<[u8]>::to_vec).unwrap_or_default();
            let sent = queue.send((Instant::now() + delay, bytes)).await;
            if n == 0 || sent.is_err() {
                return io::Result::Ok(());
            }
        }
    };
    let write = async move {
        while let Some((at, bytes)) = due.recv().await {
            tokio::time::sleep_until(at).await;
            if bytes.is_empty() {
                return to.shutdown().await;
            }
            to.write_all(&bytes).await?;
        }
        Ok(())
    };
    tokio::try_join!(read, write)?;
    Ok(())
}

async fn discard(stream: &mut TcpStream, counter: &AtomicU64) {
    let mut chunk = vec![0; CHUNK_BYTES];
    while let Ok(n @ 1..) = stream.read(&mut chunk).await {
        counter.fetch_add(n as u64, Ordering::Relaxed);
    }
}

/// The close that follows becomes a RST: the other end notices at once, and no TIME_WAIT is left.
fn reset(stream: &TcpStream) {
    // Fails only on a socket that is already gone.
    let _ = stream.set_zero_linger();
}

#[cfg(test)]
mod tests;
