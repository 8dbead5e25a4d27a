//! Hubs that close at a SUBSCRIBE instead of refusing it, step by step, without a network.

use crate::link_support::*;
use edge_bridge::bridge::{Event, Input};
use edge_bridge::wire::{Packet, PacketId, Properties, PropertyId, QoS, ReasonCode, SubAck, Value};

const DENIED: &str = "denied/#";

/// A hub that grants all filters but one, at which it closes, and takes every message.
struct Hub {
    link: Link,
    /// Filters of each SUBSCRIBE.
    asked: Vec<Vec<String>>,
    delivered: usize,
    ends: usize,
}

impl Hub {
    fn new(filters: &[&'static str]) -> Self {
        let mut link = Link::new();
        for filter in filters {
            link.core.subscribe(at(link.now_ms), text(filter), QoS::AtLeastOnce);
        }
        Self { link, asked: Vec::new(), delivered: 0, ends: 0 }
    }

    /// Answers what the link has sent, in order; closes at the filter, and answers nothing behind it.
    fn answer(&mut self) {
        for packet in std::mem::take(&mut self.link.packets) {
            match packet {
                Packet::Subscribe(subscribe) => {
                    let filters: Vec<_> = subscribe.filters.iter().map(|s| s.filter.to_string()).collect();
                    self.asked.push(filters.clone());
                    if filters.iter().any(|filter| filter == DENIED) {
                        self.ends += 1;
                        self.link.packets.clear();
                        self.link.input(Input::HungUp(None));
                        self.link.redial();
                        self.link.connect(true, &[]);
                        return;
                    }
                    let reasons = vec![ReasonCode::GRANTED_QOS_1; filters.len()];
                    let packet_id: PacketId = subscribe.packet_id;
                    let properties = Properties::default();
                    self.link.receive(&Packet::SubAck(SubAck { packet_id, properties, reasons }));
                }
                Packet::Publish(publish) => {
                    self.delivered += 1;
                    self.link.answer(publish.packet_id.unwrap().get(), ReasonCode::SUCCESS);
                }
                Packet::PingReq => self.link.receive(&Packet::PingResp),
                _ => {}
            }
        }
    }

    fn run(&mut self, ms: u64) {
        let end_ms = self.link.now_ms + ms;
        while self.link.now_ms < end_ms {
            self.answer();
            self.link.now_ms += 50;
            self.link.timeout();
        }
    }
}

/// It was: the hub got nothing, and the message that was on its way at each end was parked as the cause.
#[test]
fn a_hub_that_closes_at_a_filter_gets_the_messages_and_the_other_filters() {
    let mut hub = Hub::new(&[DENIED, "cmd/#", "more/#"]);
    hub.link.push("a");
    hub.link.connect(false, &[]);
    hub.run(60_000);
    let stats = hub.link.core.stats();
    assert_eq!((stats.poison, stats.parked, hub.delivered), (0, 0, 1), "{:?}", hub.asked);
    let together = hub.asked.iter().take_while(|filters| filters.len() == 3).count();
    assert_eq!(together, 3, "the network may break thrice");
    assert!(hub.asked[together..].iter().all(|filters| filters.len() == 1), "{:?}", hub.asked);
    for granted in ["cmd/#", "more/#"] {
        let times = hub.asked[together..].iter().filter(|filters| filters[0] == granted).count();
        assert_eq!(times, 1, "{granted}: {:?}", hub.asked);
    }
    let refused: Vec<_> = stats.refused_subscriptions.iter().map(|r| r.filter.to_string()).collect();
    assert_eq!(refused, [DENIED]);
    let told = hub.link.events.iter().filter(
        |event| matches!(event, Event::SubscriptionRefused(refused) if refused.filter.as_str() == DENIED),
    );
    assert_eq!(told.count(), 1, "once");
    // The delay grows to ten minutes, and messages flow meanwhile.
    let ends = hub.ends;
    hub.link.push("b");
    hub.run(4_000_000);
    assert_eq!(hub.delivered, 2);
    assert!((8..=16).contains(&(hub.ends - ends)), "{}", hub.ends - ends);
}

/// A message at which the hub closes is found all the same, a few connections later.
#[test]
fn a_message_at_which_the_hub_closes_before_its_suback_came_is_found() {
    let mut link = Link::new();
    link.core.subscribe(at(link.now_ms), text("cmd/#"), QoS::AtLeastOnce);
    link.push("poison");
    for end in 0..8 {
        link.packets.clear();
        link.connect(end > 0, &[]);
        if link.sent().is_empty() {
            break;
        }
        link.input(Input::HungUp(None));
        link.redial();
    }
    assert_eq!(link.core.stats().poison, 1);
}

/// It was: due at once and for ever, a turn without end.
#[test]
fn a_refused_filter_that_no_longer_fits_into_a_packet_waits() {
    for closes in [false, true] {
        let mut link = Link::new();
        link.core.subscribe(at(link.now_ms), text(&"x".repeat(100)), QoS::AtLeastOnce);
        for n in 0..3 {
            link.packets.clear();
            link.connect(n > 0, &[]);
            if !closes {
                let asked = link.packets.iter().find_map(|packet| match packet {
                    Packet::Subscribe(subscribe) => Some(subscribe.packet_id),
                    _ => None,
                });
                let (packet_id, properties) = (asked.unwrap(), Properties::default());
                let reasons = vec![ReasonCode::NOT_AUTHORIZED];
                link.receive(&Packet::SubAck(SubAck { packet_id, properties, reasons }));
            }
            link.input(Input::HungUp(None));
            link.redial();
        }
        link.connect(true, &[(PropertyId::MaximumPacketSize, Value::U32(60))]);
        let (mut turns, end_ms) = (0, link.now_ms + 600_000);
        while link.now_ms < end_ms && turns < 1_000 {
            link.now_ms = link.core.next_deadline().unwrap().max(link.now_ms);
            link.timeout();
            link.receive(&Packet::PingResp);
            turns += 1;
        }
        assert!(turns < 200, "closes: {closes}");
    }
}
