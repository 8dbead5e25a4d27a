//! Publishers at the gateway: each sends its messages in order on one connection, and after a restart those without a PUBACK again.

use std::collections::VecDeque;

use bytes::BytesMut;
use edge_bridge::session::{
    Accept, AckHandle, ClientConfig, Event, Input, Output, ServerConfig, Session, Token,
};
use edge_bridge::wire::{Properties, Publish, QoS, Utf8};

use crate::bounds::MESSAGES_MAX;

#[derive(Debug, Clone, Default, Hash)]
pub(crate) struct Publisher {
    /// Messages with a PUBACK: the first ones.
    pub(crate) acked: usize,
    /// Messages that were sent on this connection, or have their PUBACK.
    pub(crate) sent: usize,
    /// Most messages that were ever sent: those below are repeats.
    pub(crate) ever_sent: usize,
    /// PUBACKs that left on this connection.
    pub(crate) released: usize,
    /// PUBACKs under way.
    pub(crate) pubacks: VecDeque<usize>,
}

impl Publisher {
    /// The connection is gone, and what was under way on it.
    pub(crate) fn reconnect(&mut self) {
        (self.sent, self.released) = (self.acked, self.acked);
        self.pubacks.clear();
    }

    pub(crate) fn on_puback(&mut self) {
        self.acked += usize::from(self.pubacks.pop_front().is_some());
    }
}

/// Handles of a session's received messages: the chain takes no others.
pub(crate) fn handles() -> [AckHandle; 2 * MESSAGES_MAX] {
    let mut client = Session::client(0, 1, ClientConfig::new(Utf8::from_static("publisher")), None);
    let mut server = Session::server(0, 1, ServerConfig::default());
    let mut handles = Vec::new();
    for round in 0..4 {
        if round == 2 {
            let message = Publish {
                dup: false,
                qos: QoS::AtLeastOnce,
                retain: false,
                topic: Utf8::from_static("any"),
                packet_id: None,
                properties: Properties::default(),
                payload: "x".into(),
            };
            (0..2 * MESSAGES_MAX as u64).for_each(|n| client.publish(0, Token(n), &message).unwrap());
        }
        let mut bytes = BytesMut::new();
        while let Some(output) = client.poll_output() {
            if let Output::Transmit(part) = output {
                bytes.extend_from_slice(&part);
            }
        }
        server.handle_input(0, Input::Bytes(&mut bytes));
        let mut answer = BytesMut::new();
        while let Some(output) = server.poll_output() {
            match output {
                Output::Transmit(part) => answer.extend_from_slice(&part),
                Output::Event(Event::Connect(_)) => server.accept(0, Accept::default()),
                Output::Event(Event::Publish { ack, .. }) => handles.extend(ack),
                Output::Event(_) => {}
            }
        }
        client.handle_input(0, Input::Bytes(&mut answer));
    }
    handles.try_into().unwrap()
}
