//! The load generator and the subscriber: sessions of `edge-bridge` on plain sockets.

#![allow(clippy::disallowed_types, reason = "the generator owns sockets")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use edge_bridge::session::{ClientConfig, Event, Input, Output, Session, Token};
use edge_bridge::wire::{Properties, Publish, QoS, ReasonCode, Subscription, Utf8};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::Stream;
use super::arrivals::{Arrivals, payload};

const TOPIC: &str = "bench/line2/data";
const WINDOW: u16 = 100;

/// Counts what comes to the hub until it is aborted.
pub(super) async fn subscribe(hub: SocketAddr, arrivals: Arc<Arrivals>) -> Result<JoinHandle<()>, String> {
    let mut connection = Connection::open(hub, "bench-subscriber").await?;
    let filters = vec![Subscription::new(text(TOPIC)?, QoS::AtLeastOnce)];
    connection.session.subscribe(connection.now_ms(), filters).map_err(|e| e.to_string())?;
    connection.until(|event| matches!(event, Event::SubAck(_))).await?;
    Ok(tokio::spawn(async move {
        loop {
            let now_ms = connection.now_ms();
            while let Some(event) = connection.event() {
                let Event::Publish { publish, ack } = event else { continue };
                arrivals.arrived(&publish.payload);
                if let Some(ack) = ack {
                    // Stale only after a reconnect, and there is none.
                    let _fresh = connection.session.ack(now_ms, ack, ReasonCode::SUCCESS);
                }
            }
            if let Err(error) = connection.turn().await {
                // The round that waits will say what is missing.
                eprintln!("bridge: subscriber: {error}");
                return;
            }
        }
    }))
}

/// Publishes a stream of messages to `entrance`; the time until the last one was at the hub.
pub(super) async fn round(
    entrance: SocketAddr,
    round: u32,
    stream: Stream,
    arrivals: &Arrivals,
    at_most: Duration,
) -> Result<Duration, String> {
    let all = arrivals.expect(round, stream.messages);
    let mut connection = Connection::open(entrance, &format!("bench-publisher-{round}")).await?;
    let start = Instant::now();
    let work = async {
        publish(&mut connection, round, stream).await?;
        all.await.map_err(|_| "the subscriber is gone".to_owned())
    };
    let end = tokio::time::timeout(at_most, work).await.map_err(|_| {
        format!("{} of {} messages did not reach the hub", arrivals.missing(), stream.messages)
    })??;
    Ok(end.duration_since(start))
}

/// Fills the window whenever half of it is free, until everything is acknowledged. Filling it after each PUBACK would
/// measure the system calls of a ping-pong, and flatter whoever acknowledges in groups. A paced stream sends each message at its time.
async fn publish(connection: &mut Connection, round: u32, stream: Stream) -> Result<(), String> {
    let Stream { messages, rate } = stream;
    let topic = text(TOPIC)?;
    let (mut next, mut acked) = (0, 0);
    let start = Instant::now();
    let due = |number: u32| rate.map(|rate| start + Duration::from_secs(number.into()) / rate);
    while acked < messages {
        let now_ms = connection.now_ms();
        let refill = rate.is_some() || connection.session.room() >= WINDOW / 2;
        let is_due = |number| due(number).is_none_or(|at| at <= Instant::now());
        while refill && next < messages && is_due(next) && connection.session.room() > 0 {
            let publish = Publish {
                dup: false,
                qos: QoS::AtLeastOnce,
                retain: false,
                topic: topic.clone(),
                packet_id: None,
                properties: Properties::default(),
                payload: payload(round, next),
            };
            let token = Token(u64::from(next));
            connection.session.publish(now_ms, token, &publish).map_err(|e| e.to_string())?;
            next += 1;
        }
        while let Some(event) = connection.event() {
            if let Event::Acked { reason, .. } = event {
                if reason.is_error() {
                    return Err(format!("a message was refused: {reason:?}"));
                }
                acked += 1;
            }
        }
        if acked < messages {
            match due(next).filter(|_| next < messages) {
                // What a turn has begun when its time is over, the next one goes on with.
                Some(at) => {
                    let turned = tokio::time::timeout_at(at.into(), connection.turn()).await;
                    turned.unwrap_or(Ok(()))?;
                }
                None => connection.turn().await?,
            }
        }
    }
    connection.session.disconnect(connection.now_ms(), ReasonCode::NORMAL_DISCONNECTION);
    while connection.event().is_some() {}
    connection.flush().await
}

/// A session on a socket.
struct Connection {
    session: Session,
    stream: TcpStream,
    start: Instant,
    inbox: BytesMut,
    outbox: BytesMut,
}

impl Connection {
    async fn open(address: SocketAddr, client_id: &str) -> Result<Connection, String> {
        let stream = TcpStream::connect(address).await.map_err(|e| format!("{address}: {e}"))?;
        stream.set_nodelay(true).map_err(|e| e.to_string())?;
        let mut config = ClientConfig::new(text(client_id)?);
        config.clean_start = true;
        config.session_expiry_s = 0;
        config.max_in_flight = WINDOW;
        config.receive_maximum = 1_000;
        let mut connection = Connection {
            session: Session::client(0, 0, config, None),
            stream,
            start: Instant::now(),
            inbox: BytesMut::with_capacity(64 * 1024),
            outbox: BytesMut::with_capacity(64 * 1024),
        };
        connection.until(|event| matches!(event, Event::Connected(_))).await?;
        Ok(connection)
    }

    fn now_ms(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }

    /// Waits for this event and drops those before it.
    async fn until(&mut self, wanted: impl Fn(&Event) -> bool) -> Result<(), String> {
        loop {
            while let Some(event) = self.event() {
                if wanted(&event) {
                    return Ok(());
                }
            }
            self.turn().await?;
        }
    }

    /// The next event; what is to be sent is collected on the way.
    fn event(&mut self) -> Option<Event> {
        loop {
            match self.session.poll_output()? {
                Output::Transmit(bytes) => self.outbox.extend_from_slice(&bytes),
                Output::Event(event) => return Some(event),
            }
        }
    }

    /// Sends what is to be sent, then waits for bytes and hands them over.
    async fn turn(&mut self) -> Result<(), String> {
        if self.session.is_closed() {
            return Err("the connection was closed".to_owned());
        }
        let before = self.inbox.len();
        self.session.handle_input(self.now_ms(), Input::Bytes(&mut self.inbox));
        if self.inbox.len() < before {
            // There was more than one turn's worth of packets.
            return Ok(());
        }
        self.flush().await?;
        let read = self.stream.read_buf(&mut self.inbox).await.map_err(|e| e.to_string())?;
        let input = if read == 0 { Input::Closed } else { Input::Bytes(&mut self.inbox) };
        self.session.handle_input(self.start.elapsed().as_millis() as u64, input);
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), String> {
        self.stream.write_all_buf(&mut self.outbox).await.map_err(|e| e.to_string())
    }
}

fn text(text: &str) -> Result<Utf8, String> {
    Utf8::try_from(text).map_err(|e| e.to_string())
}
