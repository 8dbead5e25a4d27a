//! Retained messages come in portions, however many filters match them, and before newer ones of their topics.

use std::collections::BTreeMap;

use edge_bridge::listener::Config;
use edge_bridge::wire::{Packet, PacketId, Properties, Publish, ReasonCode, Unsubscribe, Version};

use crate::listener_support::*;

const MESSAGES: usize = 1_000;
/// Most messages of a portion.
const PORTION: u64 = 128;

fn site() -> (Site, Peer) {
    site_of(Config::default())
}

fn site_of(config: Config) -> (Site, Peer) {
    let mut site = Site::new(config);
    let publisher = site.client("publisher", Version::V5);
    for n in 0..MESSAGES {
        site.send(publisher, &[retained(&format!("a/b/c/d/e/f/{n:03}"), "old")]);
    }
    (site, publisher)
}

/// A SUBSCRIBE whose filters each match all messages.
fn ninety_six_filters() -> Packet {
    let level = |mask: u32, at: u32| {
        if mask & (1 << at) == 0 { ["a", "b", "c", "d", "e", "f"][at as usize] } else { "+" }
    };
    let filter = |mask: u32| (0..6).map(|at| level(mask, at)).collect::<Vec<_>>().join("/");
    let filters: Vec<_> =
        (0..64).map(|mask| filter(mask) + "/#").chain((0..32).map(|mask| filter(mask) + "/+")).collect();
    subscribe(&filters.iter().map(String::as_str).collect::<Vec<_>>())
}

fn topics(messages: &[Publish]) -> BTreeMap<String, usize> {
    let mut topics = BTreeMap::new();
    messages.iter().for_each(|message| *topics.entry(message.topic.as_str().to_owned()).or_default() += 1);
    topics
}

#[test]
fn one_packet_brings_one_portion_and_the_rest_comes_between_the_packets_of_others() {
    let (mut site, publisher) = site();
    let subscriber = site.client("subscriber", Version::V5);
    let before = site.listener.stats().sent;
    site.send(subscriber, &[ninety_six_filters()]);
    let mut sent = site.listener.stats().sent;
    assert!((1..=PORTION).contains(&(sent - before)), "{}", sent - before);
    let mut portions = 0;
    while site.listener.next_deadline().is_some_and(|at_ms| at_ms <= site.now.up_ms) {
        site.listener.handle_timeout(site.now);
        site.outputs();
        let now = site.listener.stats().sent;
        assert!(now - sent <= PORTION, "{}", now - sent);
        sent = now;
        portions += 1;
        assert!(portions <= 100, "it never ends");
        site.send(publisher, &[publish(portions, "store/x", "1")]);
        site.resolve(0);
        assert_eq!(site.pubacks(publisher).last(), Some(&(portions, ReasonCode::SUCCESS)));
    }
    assert!(portions > 5, "{portions}");
    let topics = topics(&site.messages(subscriber));
    assert_eq!((topics.len(), topics.values().max()), (MESSAGES, Some(&1)), "each once, for all filters");
}

/// Each walk that was begun waits for the client.
#[test]
fn a_client_that_does_not_read_makes_no_work() {
    let mut config = Config::default();
    config.max_unwritten_bytes = 2_000;
    let (mut site, _) = site_of(config);
    let subscriber = site.client("subscriber", Version::V5);
    site.stuck.insert(subscriber.connection);
    site.send(subscriber, &[ninety_six_filters()]);
    site.listener.handle_timeout(site.now);
    for _ in 0..100 {
        site.send(subscriber, &[ninety_six_filters()]);
        site.pass(0);
    }
    let stats = site.listener.stats();
    assert_eq!(stats.dropped_full, 0, "nothing is looked for that has no room");
    let due = site.listener.next_deadline();
    assert!(due.is_none_or(|at_ms| at_ms > site.now.up_ms), "{due:?}");
}

#[test]
fn a_message_that_comes_before_the_walk_has_reached_its_topic_is_the_last_of_it() {
    let (mut site, publisher) = site();
    let subscriber = site.client("subscriber", Version::V5);
    site.send(subscriber, &[ninety_six_filters()]);
    let (late, replaced, early) = ("a/b/c/d/e/f/998", "a/b/c/d/e/f/999", "a/b/c/d/e/f/000");
    for topic in [late, early] {
        site.send(publisher, &[qos0(topic, "new")]);
    }
    site.send(publisher, &[retained(replaced, "new")]);
    site.pass(0);
    let messages = site.messages(subscriber);
    let of = |topic: &str| -> Vec<_> {
        messages.iter().filter(|m| m.topic.as_str() == topic).map(|m| (payload(m), m.retain)).collect()
    };
    let both = [("old".to_owned(), true), ("new".to_owned(), false)];
    assert_eq!((of(late), of(early)), (both.to_vec(), both.to_vec()));
    assert_eq!(of(replaced), [("new".to_owned(), false)]);
    assert_eq!(messages.len(), MESSAGES + 2);
}

#[test]
fn what_is_not_subscribed_any_more_does_not_come() {
    let (mut site, _) = site();
    let subscriber = site.client("subscriber", Version::V5);
    let unsubscribe = Packet::Unsubscribe(Unsubscribe {
        packet_id: PacketId::MAX,
        properties: Properties::default(),
        filters: vec![text("a/b/#")],
    });
    site.send(subscriber, &[subscribe(&["a/b/#"]), unsubscribe]);
    site.pass(0);
    assert!(site.messages(subscriber).len() as u64 <= PORTION);
}

/// A session that stays gets the rest on its next connection.
#[test]
fn it_goes_on_in_the_next_connection() {
    let mut site = Site::new(Config::default());
    for n in 0..MESSAGES {
        site.publish(&Publish { retain: true, ..message(&format!("a/{n:03}"), "x") });
    }
    let mut subscriber = site.client("subscriber", Version::V5);
    site.send(subscriber, &[subscribe(&["a/#"])]);
    let mut topics = BTreeMap::new();
    for _ in 0..100 {
        let messages = site.messages(subscriber);
        for message in &messages {
            *topics.entry(message.topic.as_str().to_owned()).or_insert(0) += 1;
            site.send(subscriber, &[puback(message.packet_id.unwrap().get())]);
        }
        site.cut(subscriber);
        subscriber = site.client("subscriber", Version::V5);
        site.pass(0);
    }
    assert_eq!((topics.len(), topics.values().max()), (MESSAGES, Some(&1)));
}
