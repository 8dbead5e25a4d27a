//! Requests of Sparkplug births, from the ingest to the nodes: by the listener, or by the local broker.

use edge_bridge::net::server::LocalPublisher;
use edge_bridge::wire::{Properties, Publish, QoS, Utf8};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{self, Receiver, Sender};

use crate::run::filters::readings::BirthRequest;

/// Most requests that wait to be published. One that finds no room is made again a minute later, by the data that still cannot be read.
const WAITING_MAX: usize = 64;

/// Way of the requests out of the ingest.
#[derive(Debug)]
pub(in crate::run) struct BirthRequests {
    ask: Sender<Publish>,
    /// Taken by who publishes.
    asked: Option<Receiver<Publish>>,
}

impl Default for BirthRequests {
    fn default() -> Self {
        let (ask, asked) = mpsc::channel(WAITING_MAX);
        Self { ask, asked: Some(asked) }
    }
}

impl BirthRequests {
    /// Passes a request on, if there is room.
    pub(super) fn ask(&self, request: BirthRequest) {
        let BirthRequest { topic, payload } = request;
        // The topic is a part of one that came, so it is one.
        let Ok(topic) = Utf8::try_from(topic.as_str()) else { return };
        tracing::debug!(topic = topic.as_str(), "data without a birth: its node is asked for it");
        let publish = Publish {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: false,
            topic,
            packet_id: None,
            properties: Properties::default(),
            payload,
        };
        if let Err(TrySendError::Full(publish)) = self.ask.try_send(publish) {
            tracing::debug!(topic = publish.topic.as_str(), "not asked: too many requests wait");
        }
    }

    /// Takes the end at which requests arrive. `None`: it was taken before.
    pub(super) fn take_asked(&mut self) -> Option<Receiver<Publish>> {
        self.asked.take()
    }
}

/// Publishes requests to clients of the listener, until it ends. None waits for a client: one that does not read would hold up those of all nodes.
pub(super) async fn publish(mut asked: Receiver<Publish>, listener: LocalPublisher) {
    while let Some(request) = asked.recv().await {
        match listener.send(request).await {
            Ok(settling) => drop(settling),
            Err(_) => return,
        }
    }
}
