//! One MQTT connection on a socket: drives an `edge-bridge` session for the drill's sensors and its hub.

#![allow(clippy::disallowed_types, reason = "the drill is a shell: its sensors and its hub own sockets")]

use std::future;

use bytes::{Buf, BytesMut};
use edge_bridge::session::{Accept, Event, Input, Output, Session};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::clock::Clock;

pub(crate) struct Connection {
    pub(crate) session: Session,
    stream: TcpStream,
    clock: Clock,
    inbox: BytesMut,
    outbox: BytesMut,
    /// Set if the inbox may hold a packet that was not looked at.
    unread: bool,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream, session: Session, clock: Clock) -> Self {
        // Without it Nagle's algorithm holds small packets back; the drill measures delays.
        let _ = stream.set_nodelay(true);
        Self { session, stream, clock, inbox: BytesMut::new(), outbox: BytesMut::new(), unread: false }
    }

    /// Server: takes the waiting client in; what came behind its CONNECT is read next.
    pub(crate) fn accept(&mut self, accept: Accept) {
        self.session.accept(self.clock.story_ms(), accept);
        self.unread = true;
    }

    /// Writes what is due, reads, and returns what happened. After `Event::Closed` there is nothing more. Cancel safe.
    pub(crate) async fn next(&mut self) -> Event {
        loop {
            if let Some(event) = self.drain().await {
                return event;
            }
            if self.unread {
                let before = self.inbox.len();
                self.session.handle_input(self.clock.story_ms(), Input::Bytes(&mut self.inbox));
                self.unread = self.inbox.len() < before && !self.inbox.is_empty();
                continue;
            }
            let timeout_ms = self.session.next_deadline();
            let timeout = async {
                match timeout_ms {
                    Some(at_ms) => self.clock.until(at_ms).await,
                    None => future::pending().await,
                }
            };
            tokio::select! {
                read = self.stream.read_buf(&mut self.inbox) => match read {
                    Ok(1..) => {
                        self.unread = true;
                        continue;
                    }
                    Ok(0) | Err(_) => self.session.handle_input(self.clock.story_ms(), Input::Closed),
                },
                () = timeout => self.session.handle_timeout(self.clock.story_ms()),
            }
        }
    }

    /// Sends everything the session wants to send, until it has an event.
    async fn drain(&mut self) -> Option<Event> {
        loop {
            while self.outbox.has_remaining() {
                // Takes out only what was written, so a cancelled call loses nothing.
                if self.stream.write_buf(&mut self.outbox).await.is_err() {
                    self.outbox.clear();
                    self.session.handle_input(self.clock.story_ms(), Input::Closed);
                }
            }
            match self.session.poll_output()? {
                Output::Transmit(bytes) => self.outbox.extend_from_slice(&bytes),
                Output::Event(event) => return Some(event),
            }
        }
    }
}
