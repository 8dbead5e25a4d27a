//! The hub as the steps see it, and a real Mosquitto as one.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;

use super::ledger::{Answer, Identity, Order};
use super::support::commands::{HUB, Request};
use super::support::mosquitto::{Mosquitto, Subscriber};
use super::support::relay::Relay;

pub trait Hub: Send {
    /// Address at which the gateway finds it.
    fn address(&self) -> SocketAddr;
    /// The gateway is subscribed to `site7/cmd/#`.
    fn is_subscribed(&self) -> bool;
    fn send(&self, order: &Order);
    /// PUBACKs of commands so far.
    fn acknowledged(&self) -> usize;
    /// It keeps no command for the gateway.
    fn is_empty(&self) -> bool;
    /// All that came, copies too.
    fn answers(&self) -> Vec<Answer>;
    /// Identities of the commands that expired in its queue, as far as it can be asked.
    fn dropped(&self) -> BTreeSet<String> {
        BTreeSet::new()
    }
    /// From now on the gateway gets no PUBACK of an answer: until [`release`](Self::release), or until its next connection.
    fn withhold(&self);
    fn release(&self) {}
    /// Meanwhile answers and PUBACKs of the gateway still come.
    fn hears_while_it_withholds(&self) -> bool {
        false
    }
    /// Loses the PUBACKs of commands beyond the first `count`, if this hub ever does.
    fn forget_pubacks_since(&self, _count: usize) {}
}

/// Mosquitto behind a line, which withholds by letting nothing through in either direction.
pub struct RealHub {
    hub: Mosquitto,
    line: Relay,
    reader: Subscriber,
}

impl RealHub {
    pub fn start(dir: &Path) -> Self {
        let hub = Mosquitto::start(dir, HUB);
        let reader = Subscriber::with_format(hub.address, "hmi/answers/#", "%t\t%D\t%P\t%x");
        Self { line: Relay::start(hub.address), hub, reader }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.hub.log_path()).unwrap()
    }
}

impl Hub for RealHub {
    fn address(&self) -> SocketAddr {
        self.line.address
    }

    fn is_subscribed(&self) -> bool {
        self.log().lines().any(|line| line.contains(": g ") && line.ends_with(" site7/cmd/#"))
    }

    fn send(&self, order: &Order) {
        let request = Request::new(&order.topic, &order.id).expiry(order.expiry.as_secs() as u32);
        let request = request.response(&order.response_topic());
        let request = match order.identity {
            Identity::CmdId => request.id(&order.id).correlation(&order.id),
            Identity::Correlation => request.correlation(&order.id),
            Identity::Content => request,
        };
        request.send(self.hub.address);
    }

    fn acknowledged(&self) -> usize {
        self.log().matches("Received PUBACK from g (").count()
    }

    fn is_empty(&self) -> bool {
        let log = self.log();
        let last = log.rsplit(" as g (p5").next().unwrap();
        let count = |part: &str| last.matches(part).count();
        count("Sending PUBLISH to g (") == count("Received PUBACK from g (")
    }

    fn answers(&self) -> Vec<Answer> {
        let arrived = self.reader.arrived().into_iter();
        arrived
            .map(|message| Answer {
                topic: message.topic,
                correlation: message.content_type,
                payload: message.payload,
            })
            .collect()
    }

    fn withhold(&self) {
        self.line.swallow();
    }
}
