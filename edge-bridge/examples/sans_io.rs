//! The protocol without a network: two sessions, a client's and a server's, whose bytes this program carries from one to the other.
//!
//! ```text
//! connected
//! received, not acknowledged: 1 in flight
//! acknowledged: 0 in flight
//! after a minute: open
//! ```
#![forbid(unsafe_code)]

use std::error::Error;

use bytes::BytesMut;
use edge_bridge::session::{
    Accept, AckHandle, ClientConfig, Event, Input, Output, ServerConfig, Session, Token,
};
use edge_bridge::wire::{Properties, Publish, QoS, ReasonCode, Utf8};

/// Two ends of a connection, and the time of both.
struct Pair {
    now_ms: u64,
    client: Session,
    server: Session,
}

impl Pair {
    /// Carries bytes both ways until nobody has anything more to say. Returns the events of the client and of the server.
    fn carry(&mut self) -> (Vec<Event>, Vec<Event>) {
        let (mut of_client, mut of_server) = (Vec::new(), Vec::new());
        loop {
            let there = carry(self.now_ms, &mut self.client, &mut self.server, &mut of_client);
            let back = carry(self.now_ms, &mut self.server, &mut self.client, &mut of_server);
            if there + back == 0 {
                return (of_client, of_server);
            }
        }
    }
}

/// Returns the number of bytes that went over.
fn carry(now_ms: u64, from: &mut Session, to: &mut Session, events: &mut Vec<Event>) -> usize {
    let mut wire = BytesMut::new();
    while let Some(output) = from.poll_output() {
        match output {
            Output::Transmit(bytes) => wire.extend_from_slice(&bytes),
            Output::Event(event) => events.push(event),
        }
    }
    let carried = wire.len();
    to.handle_input(now_ms, Input::Bytes(&mut wire));
    carried
}

fn received(events: &[Event]) -> Option<AckHandle> {
    events.iter().find_map(|event| match event {
        Event::Publish { ack, .. } => *ack,
        _ => None,
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let client = Session::client(0, 1, ClientConfig::new(Utf8::from_static("sensor")), None);
    let server = Session::server(0, 1, ServerConfig::default());
    let mut pair = Pair { now_ms: 0, client, server };
    let (_, events) = pair.carry();
    assert!(matches!(events[..], [Event::Connect(_)]));
    pair.server.accept(0, Accept::default());
    let (events, _) = pair.carry();
    assert!(matches!(events[..], [Event::Connected(_)]));
    println!("connected");

    let message = Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: Utf8::from_static("plant/1/data"),
        packet_id: None,
        properties: Properties::default(),
        payload: "21.5".into(),
    };
    pair.client.publish(0, Token(7), &message)?;
    let (_, events) = pair.carry();
    let ack = received(&events).ok_or("no message")?;
    println!("received, not acknowledged: {} in flight", pair.client.in_flight());
    pair.server.ack(0, ack, ReasonCode::SUCCESS)?;
    let (events, _) = pair.carry();
    assert!(matches!(events[..], [Event::Acked { token: Token(7), .. }]));
    println!("acknowledged: {} in flight", pair.client.in_flight());

    // Time passes only when it is told: here a minute in which nobody says anything but pings.
    while let Some(at_ms) = pair.client.next_deadline().filter(|at_ms| *at_ms <= 60_000) {
        pair.now_ms = at_ms;
        pair.client.handle_timeout(at_ms);
        pair.carry();
    }
    println!("after a minute: {}", if pair.client.is_open() { "open" } else { "closed" });
    assert!(pair.client.is_open());
    Ok(())
}
