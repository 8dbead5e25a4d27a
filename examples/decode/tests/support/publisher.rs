//! A client that publishes much: a bridge of our own, at QoS 1.

use edge_bridge::wire::{PropertiesBuilder, PropertyId, Utf8, Value};
use edge_bridge::{Bridge, Row};

use super::mosquitto::Mosquitto;

/// Messages on their way at once.
const AT_ONCE: usize = 50;

pub struct Publisher {
    runtime: tokio::runtime::Runtime,
    bridge: Bridge,
}

/// Topic, content type, retain flag, payload.
pub type Outgoing<'a> = (String, Option<&'a str>, bool, Vec<u8>);

impl Publisher {
    pub fn start(broker: &Mosquitto) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let bridge = runtime.block_on(Bridge::builder(&broker.url()).client_id("publisher").start()).unwrap();
        Self { runtime, bridge }
    }

    /// Returns with all PUBACKs.
    pub fn publish<'a>(&self, messages: impl IntoIterator<Item = Outgoing<'a>>) {
        self.runtime.block_on(async {
            let mut receipts = std::collections::VecDeque::new();
            for (topic, content_type, retain, payload) in messages {
                let mut row = Row::new(Utf8::try_from(topic.as_str()).unwrap(), payload.into());
                row.retain = retain;
                if let Some(content_type) = content_type {
                    let mut properties = PropertiesBuilder::new();
                    properties.push(PropertyId::ContentType, Value::Utf8(content_type)).unwrap();
                    row.properties = properties.finish();
                }
                receipts.push_back(self.bridge.publish_row(row).await.unwrap());
                if receipts.len() >= AT_ONCE {
                    receipts.pop_front().unwrap().await.unwrap();
                }
            }
            for receipt in receipts {
                receipt.await.unwrap();
            }
        });
    }
}
