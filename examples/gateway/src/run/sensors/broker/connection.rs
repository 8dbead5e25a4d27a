//! One connection to the local broker.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::BytesMut;
use edge_bridge::ingest::{Answer, Inbound, Ingest};
use edge_bridge::net::intake::Permit;
use edge_bridge::net::tcp_stream::Stream;
use edge_bridge::puback_chain::ConnectionId;
use edge_bridge::session::{
    AckHandle, Closed, Connected, Event, Input, Output, Session, SessionOutcome, Token, Violation,
};
use edge_bridge::wire::{
    DecodeErrorKind, Publish, QoS, ReasonCode, RetainHandling, Subscription, Utf8, Version,
};
use tokio::io::{AsyncReadExt, ReadHalf};
use tokio::sync::mpsc::Receiver;
use tokio::time::{sleep_until, timeout};

use crate::run::sensors::held_receipts::Tell;
use crate::run::subscribed_filters::tell_unkept;

use super::Client;
use super::writer::Writer;

/// Read buffer of a connection, in bytes.
const READ_BYTES: usize = 16 * 1024;
/// Bytes of memory of a message without PUBACK, beside topic and payload.
const OVERHEAD_BYTES: usize = 64;
/// Pause until the next check, in milliseconds, while the session has no deadline.
const IDLE_MS: u64 = 60_000;
/// Time limit of the last packets of a connection that ends.
const GOODBYE_WITHIN: Duration = Duration::from_secs(1);

/// Result of a connection at its end.
pub(super) struct Ended {
    pub(super) why: String,
    /// Set if the broker had accepted every subscription on this connection.
    pub(super) was_useful: bool,
}

/// Received message that waits for room in the queue.
struct Held {
    publish: Publish,
    ack: Option<AckHandle>,
    /// Up time of its arrival.
    arrived_ms: u64,
}

impl Held {
    fn bytes(&self) -> usize {
        self.publish.topic.len() + self.publish.payload.len() + OVERHEAD_BYTES
    }

    /// Returns the message with what is left of its Message Expiry Interval: there may have been no room for days.
    fn message(&self, now_ms: u64) -> Inbound {
        let mut message = Inbound::new(Utf8::default(), Version::V5, &self.publish);
        message.age(now_ms.saturating_sub(self.arrived_ms));
        message
    }
}

/// State that lives as long as the connection.
struct Connection {
    id: ConnectionId,
    session: Session,
    reader: ReadHalf<Stream>,
    writer: Writer,
    received: BytesMut,
    /// Received messages that wait for room in the queue, before the ingest gets them.
    held: VecDeque<Held>,
    /// As in [`Ended`].
    was_useful: bool,
    ended: Option<String>,
}

impl Client {
    pub(super) async fn serve(&mut self, stream: Stream) -> Ended {
        self.epoch += 1;
        let id = ConnectionId(self.epoch);
        let now_ms = self.clock.now().up_ms;
        let session = Session::client(now_ms, self.epoch, self.config.clone(), self.resume.take());
        self.chain.open(id, None);
        let (reader, writer) = tokio::io::split(stream);
        let mut connection = Connection {
            id,
            session,
            reader,
            writer: Writer::new(writer),
            received: BytesMut::new(),
            held: VecDeque::new(),
            was_useful: false,
            ended: None,
        };
        let ended = self.drive(&mut connection).await;
        self.chain.close(id);
        if connection.session.had_session() {
            self.resume = Some(connection.session.into_resume());
        }
        Ended { why: ended, was_useful: connection.was_useful }
    }

    /// Serves the connection until it ends. Returns the reason in words.
    async fn drive(&mut self, connection: &mut Connection) -> String {
        let mut stopped = self.stopped.clone();
        let intake = self.intake.clone();
        let mut asked_for_commit = false;
        loop {
            let is_stopping = *stopped.borrow();
            self.turn(connection, is_stopping);
            if let Some(why) = connection.ended.take() {
                // What is left says goodbye; whether it arrives changes nothing.
                let _ = timeout(GOODBYE_WITHIN, connection.writer.end()).await;
                return why;
            }
            if is_stopping {
                if !std::mem::replace(&mut asked_for_commit, true) {
                    intake.commit();
                }
                if self.chain.pending() == 0 && connection.writer.is_done() {
                    let now_ms = self.clock.now().up_ms;
                    connection.session.disconnect(now_ms, ReasonCode::NORMAL_DISCONNECTION);
                    continue;
                }
            }
            let may_read = !is_stopping && connection.held.is_empty() && self.chain.may_read(connection.id);
            if may_read {
                connection.received.reserve(READ_BYTES);
            }
            let now_ms = self.clock.now().up_ms;
            let lane =
                connection.held.front().and_then(|next| self.ingest.lane_of(next.publish.topic.as_str()));
            let due_ms = connection.session.next_deadline().unwrap_or(now_ms + IDLE_MS).max(now_ms + 1);
            tokio::select! {
                read = connection.reader.read_buf(&mut connection.received), if may_read => match read {
                    Ok(0) => connection.ended = Some("the broker closed the connection".to_owned()),
                    Ok(_) => {}
                    Err(error) => connection.ended = Some(error.to_string()),
                },
                sent = connection.writer.send(), if !connection.writer.is_done() => {
                    if let Err(error) = sent {
                        connection.ended = Some(error.to_string());
                    }
                }
                () = self.receipts.woken() => {
                    self.receipts.take().into_iter().for_each(|ticket| self.chain.resolve(ticket, ReasonCode::SUCCESS));
                }
                permit = intake.reserve_in(lane), if !is_stopping && !connection.held.is_empty() => match permit {
                    Some(permit) => self.take_in_next(connection, permit),
                    None => return "the queue is closed".to_owned(),
                },
                () = sleep_until(self.clock.at(due_ms)) => {
                    let now_ms = self.clock.now().up_ms;
                    if !may_read {
                        connection.session.leave_unread(now_ms);
                    }
                    connection.session.handle_timeout(now_ms);
                }
                Some(request) = next_request(&mut self.birth_requests), if !is_stopping => self.publish(connection, &request),
                _ = stopped.changed(), if !is_stopping => {}
            }
        }
    }

    /// Publishes at QoS 0. What the broker does not get is asked for again.
    fn publish(&self, connection: &mut Connection, request: &Publish) {
        if let Err(error) = connection.session.publish(self.clock.now().up_ms, Token(0), request) {
            tracing::debug!(%error, "a birth is not asked for");
        }
    }

    /// Moves everything that can be moved without waiting. No further packet is decoded while a message waits for room.
    fn turn(&mut self, connection: &mut Connection, is_stopping: bool) {
        self.flush(connection);
        while !is_stopping && connection.held.is_empty() && self.chain.may_read(connection.id) {
            let before = connection.received.len();
            let now_ms = self.clock.now().up_ms;
            connection.session.handle_input(now_ms, Input::Bytes(&mut connection.received));
            self.flush(connection);
            if connection.received.len() == before {
                return;
            }
        }
    }

    fn flush(&mut self, connection: &mut Connection) {
        let now_ms = self.clock.now().up_ms;
        while let Some(release) = self.chain.poll(now_ms) {
            // A stale handle is that of a connection that is gone: the broker sends the message again.
            let _ = connection.session.ack(now_ms, release.ack, release.reason);
        }
        while let Some(output) = connection.session.poll_output() {
            match output {
                Output::Transmit(bytes) => connection.writer.put(&bytes),
                Output::Event(event) => self.on_event(connection, event),
            }
        }
    }

    fn on_event(&mut self, connection: &mut Connection, event: Event) {
        match event {
            Event::Connected(connected) => self.on_connected(connection, &connected),
            Event::Publish { publish, ack } => {
                let arrived_ms = self.clock.now().up_ms;
                connection.held.push_back(Held { publish, ack, arrived_ms });
            }
            Event::SubAck(ack) => {
                for (filter, reason) in self.filters.iter().zip(&ack.reasons) {
                    if reason.is_error() {
                        tracing::error!(%filter, %reason, "the local broker refuses the subscription: not ready");
                    }
                }
                let is_whole = !ack.reasons.iter().any(|reason| reason.is_error());
                connection.was_useful |= is_whole;
                self.state.set_connected(is_whole, self.clock.now().up_ms);
            }
            Event::UnsubAck(_) => {
                if let Err(error) =
                    self.target.subscribed.unsubscribed(&std::mem::take(&mut self.unsubscribing))
                {
                    tell_unkept(&error);
                }
            }
            Event::Closed(why) => connection.ended = Some(in_words(&why)),
            _ => {}
        }
    }

    fn on_connected(&mut self, connection: &mut Connection, connected: &Connected) {
        self.state.accept();
        let now_ms = self.clock.now().up_ms;
        let (session_present, was_lost) = match connected.session {
            SessionOutcome::New => (false, self.target.expects_session),
            SessionOutcome::Resumed | SessionOutcome::Unknown | SessionOutcome::Moved(_) => (true, false),
            SessionOutcome::Lost(_) => (false, true),
        };
        self.target.expects_session = true;
        let (broker, port) = (&self.target.host, self.target.port);
        if self.lines.there() {
            tracing::info!(broker, port, session_present, "subscribed at the local broker");
        }
        if was_lost && let Some(not_logged) = self.lines.session_lost(now_ms) {
            tracing::warn!(
                broker,
                port,
                not_logged,
                "the local broker had lost our session, and with it what came while we were away"
            );
        }
        if let Err(why) = self.subscribe(connection) {
            connection.ended = Some(why);
        }
    }

    /// Subscribes also on a resumed session, because an earlier configuration may have had other topics. Topics that are no longer needed are
    /// unsubscribed after the new ones are subscribed, so that a message between the two comes twice rather than not at all.
    fn subscribe(&mut self, connection: &mut Connection) -> Result<(), String> {
        let now_ms = self.clock.now().up_ms;
        let wanted = self.filters.iter().map(Utf8::as_str);
        let gone = self.target.subscribed.subscribing(wanted);
        let filters = self.filters.iter().cloned().map(subscription).collect();
        connection.session.subscribe(now_ms, filters).map_err(|error| error.to_string())?;
        if gone.is_empty() {
            return Ok(());
        }
        tracing::info!(topics = ?gone, "no longer wanted: unsubscribed at the local broker");
        let filters: Result<_, _> = gone.iter().map(|filter| Utf8::try_from(filter.as_str())).collect();
        let filters = filters.map_err(|error| error.to_string())?;
        self.unsubscribing = gone;
        connection.session.unsubscribe(now_ms, filters).map(drop).map_err(|error| error.to_string())
    }

    fn take_in_next(&mut self, connection: &mut Connection, permit: Permit<'_>) {
        let Some(held) = connection.held.pop_front() else { return };
        let (now, id) = (self.clock.now(), connection.id);
        let (ack, bytes, message) = (held.ack, held.bytes(), held.message(now.up_ms));
        let answer = self.ingest.ingest(now, &message);
        let group = self.ingest.group();
        let (rows, ticket) = match answer {
            Answer::Store(rows) if !rows.is_empty() => {
                (rows, self.chain.store(now.up_ms, id, group, ack, bytes))
            }
            Answer::Withhold(rows) => (rows, self.chain.withhold(now.up_ms, id, group, ack, bytes)),
            Answer::Store(_) | Answer::Absorb => {
                self.chain.absorb(now.up_ms, id, group, ack, bytes);
                return;
            }
            Answer::Refuse(reason) => {
                let letter = self.ingest.dead_letter(&message, reason);
                (vec![letter], self.chain.store(now.up_ms, id, group, ack, bytes))
            }
        };
        permit.put(rows, self.ingest.take_link().then(Tell::Publisher(self.receipts.clone(), ticket)));
        if self.chain.wants_commit_for(now.up_ms, id) {
            self.ingest.commit(&self.intake);
        }
    }
}

/// Returns the end of the connection in words. A broker that speaks no MQTT 5 refuses a login in the form of 3.1.1, by return codes of the same meaning.
fn in_words(closed: &Closed) -> String {
    if let Closed::Violation(Violation::Decode(error)) = closed
        && let DecodeErrorKind::ConnAckWithoutProperties(code @ (4 | 5)) = error.kind
        && let Some(reason) = ReasonCode::from_v311_connack(code)
    {
        return Closed::Refused(reason).to_string();
    }
    closed.to_string()
}

/// Waits for a request of a birth.
async fn next_request(requests: &mut Option<Receiver<Publish>>) -> Option<Publish> {
    match requests {
        Some(requests) => requests.recv().await,
        None => std::future::pending().await,
    }
}

/// Returns a subscription as bridges make them: the retain flag is kept as published, and retained messages come only once per session.
fn subscription(filter: Utf8) -> Subscription {
    let mut subscription = Subscription::new(filter, QoS::AtLeastOnce);
    subscription.retain_as_published = true;
    subscription.retain_handling = RetainHandling::SendIfNew;
    subscription
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use edge_bridge::wire::{DecodeError, PropertiesBuilder, PropertyId, Value};

    use super::*;

    #[test]
    fn a_login_that_is_refused_in_the_form_of_mqtt_3_1_1_is_told_as_one() {
        let ended = |code| {
            let error = DecodeError { kind: DecodeErrorKind::ConnAckWithoutProperties(code), offset: 2 };
            in_words(&Closed::Violation(Violation::Decode(error)))
        };
        for (code, reason) in [(4, ReasonCode::BAD_USER_NAME_OR_PASSWORD), (5, ReasonCode::NOT_AUTHORIZED)] {
            assert_eq!(ended(code), Closed::Refused(reason).to_string());
        }
        assert!(ended(1).contains("does the server speak MQTT 5?"));
    }

    /// \[MQTT-3.3.2-6\]: as a message that waits in the listener, or in the queue.
    #[test]
    fn the_expiry_of_a_message_runs_while_it_waits_for_room() {
        let expiring = |seconds: Option<u32>| {
            let mut properties = PropertiesBuilder::new();
            if let Some(seconds) = seconds {
                properties.push(PropertyId::MessageExpiryInterval, Value::U32(seconds)).unwrap();
            }
            let publish = Publish {
                dup: false,
                qos: QoS::AtLeastOnce,
                retain: false,
                topic: Utf8::from_static("a"),
                packet_id: None,
                properties: properties.finish(),
                payload: Bytes::from_static(b"x"),
            };
            Held { publish, ack: None, arrived_ms: 1_000 }
        };
        for (said_s, now_ms, ttl_ms) in [
            (Some(60), 1_000, Some(60_000)),
            (Some(60), 31_000, Some(30_000)),
            (Some(60), 7_201_000, Some(0)),
            (None, 7_201_000, None),
        ] {
            let message = expiring(said_s).message(now_ms);
            assert_eq!(message.to_row().ttl_ms, ttl_ms, "{said_s:?} at {now_ms}");
        }
    }
}
