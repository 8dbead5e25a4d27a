//! Rights on topics: what a client may not do is refused, told, and costs nobody else. Promise 12.

use std::collections::HashSet;

use edge_bridge::listener::{Access, AllowAnonymous, Authenticate, Authorize, ClientRef, Event, Standing};
use edge_bridge::session::Closed;
use edge_bridge::wire::{Connect, PropertyId, Publish, ReasonCode, TopicError, Value, Version};

use crate::listener_support::*;
use crate::{BOTH, EXPIRY, site};

/// Topics of a client are those that begin with its user name, or its client identifier without one; `all` everybody may read.
#[derive(Debug, Clone, Copy)]
struct OwnTopics;

impl Authorize for OwnTopics {
    fn may_publish(&mut self, client: ClientRef<'_>, topic: &str) -> bool {
        topic.starts_with(client.user.unwrap_or(client.client_id))
    }

    fn may_receive(&mut self, client: ClientRef<'_>, topic: &str) -> bool {
        topic == "all" || self.may_publish(client, topic)
    }
}

/// Lets nobody stay but these users.
#[derive(Debug)]
struct Only(HashSet<&'static str>);

impl Authenticate for Only {
    fn authenticate(
        &mut self,
        _: edge_bridge::ingest::Now,
        _: &edge_bridge::listener::LoginRequest<'_>,
    ) -> Result<(), ReasonCode> {
        Ok(())
    }

    fn standing(&self, client: ClientRef<'_>) -> Standing {
        match client.user {
            Some(user) if self.0.contains(user) => Standing::Stays,
            Some(_) => Standing::Gone,
            None => Standing::LogsInAgain,
        }
    }
}

fn own_topics() -> Access {
    Access::of(AllowAnonymous).with_rights(OwnTopics)
}

fn guarded() -> Site {
    let mut site = site();
    site.listener.set_access(site.now, own_topics());
    site
}

fn user(name: &str, client_id: &str, version: Version) -> Connect {
    Connect { username: Some(text(name)), ..stays(client_id, version) }
}

fn refusals(site: &Site) -> usize {
    let denied = |event: &&Event| matches!(event, Event::TopicRefused { error: TopicError::Denied, .. });
    site.events.iter().filter(denied).count()
}

#[test]
fn a_message_without_the_right_reaches_nobody_and_is_told() {
    let mut site = guarded();
    let (ann, _) = site.connect(user("ann", "a", Version::V5));
    let (bob, _) = site.connect(user("bob", "b", Version::V311));
    site.send(ann, &[subscribe(&["#"])]);
    site.received(ann);
    site.send(
        ann,
        &[publish(1, "ann/x", "1"), publish(2, "bob/x", "2"), qos0("store/x", "3"), publish(3, "ann", "4")],
    );
    let acks = site.received(ann);
    let reasons: Vec<_> = acks
        .iter()
        .filter_map(|packet| match packet {
            edge_bridge::wire::Packet::PubAck(ack) => Some(ack.reason),
            _ => None,
        })
        .collect();
    assert_eq!(reasons, [ReasonCode::SUCCESS, ReasonCode::NOT_AUTHORIZED, ReasonCode::SUCCESS]);
    let seen: Vec<_> = site.listener.ingest_mut().seen.iter().map(|m| m.topic.to_string()).collect();
    assert_eq!(seen, ["ann/x", "ann"]);
    site.send(bob, &[qos0("ann/x", "5"), publish(1, "bob/x", "6")]);
    assert_eq!((site.pubacks(bob).len(), site.is_closed(bob)), (1, false));
    site.send(bob, &[publish(2, "ann/x", "7")]);
    assert!(site.pubacks(bob).is_empty() && site.is_closed(bob), "3.1.1 has no reasons");
    assert_eq!((refusals(&site), site.listener.stats().topics_refused), (2, 4), "said once per connection");
}

/// An operator who changes the rights sees who is still refused, and what user to give them to.
#[test]
fn a_refused_topic_is_told_with_its_user_and_again_under_changed_rights() {
    let mut site = guarded();
    let (ann, _) = site.connect(user("ann", "a", Version::V5));
    site.send(ann, &[publish(1, "bob/x", "1"), publish(2, "bob/x", "2")]);
    site.listener.set_access(site.now, own_topics());
    site.send(ann, &[publish(3, "bob/y", "3"), publish(4, "bob/z", "4")]);
    let told: Vec<_> = site
        .events
        .iter()
        .filter_map(|event| match event {
            Event::TopicRefused { client, user, topic, .. } => {
                Some((client.as_str(), user.name.as_deref(), topic.as_str()))
            }
            _ => None,
        })
        .collect();
    assert_eq!(told, [("a", Some("ann"), "bob/x"), ("a", Some("ann"), "bob/y")]);
    assert_eq!(site.listener.stats().topics_refused, 4);
}

#[test]
fn a_subscriber_gets_what_it_may_have_and_nothing_else() {
    for version in BOTH {
        let mut site = guarded();
        let (ann, _) = site.connect(user("ann", "a", version));
        let (bob, _) = site.connect(user("bob", "b", version));
        let retained = |topic| Publish { retain: true, ..message(topic, "kept") };
        for topic in ["ann/r", "bob/r", "all"] {
            site.publish(&retained(topic));
        }
        site.send(ann, &[subscribe(&["#", "bob/+"])]);
        assert_eq!(site.payloads(ann), ["kept", "kept"], "ann/r and all");
        site.send(bob, &[qos0("bob/x", "bob's"), publish(1, "bob/x", "bob's")]);
        site.publish(&message("bob/cmd", "his"));
        site.publish(&message("ann/cmd", "hers"));
        assert_eq!(site.payloads(ann), ["hers"]);
    }
}

#[test]
fn a_will_needs_the_right_when_it_is_left_and_when_it_is_published() {
    let mut site = guarded();
    let leave = |site: &mut Site, client: &str, topic: &str| {
        let connect = Connect { will: will(topic, &[]), ..user("store", client, Version::V5) };
        let (peer, ack) = site.connect(connect);
        assert_eq!(ack.reason, ReasonCode::SUCCESS);
        peer
    };
    let denied = leave(&mut site, "a", "ann/will");
    assert_eq!(refusals(&site), 1);
    site.cut(denied);
    let allowed = leave(&mut site, "b", "store/will");
    site.cut(allowed);
    let late = leave(&mut site, "c", "store/late");
    site.listener.set_access(site.now, Access::of(AllowAnonymous).with_rights(Nothing));
    site.cut(late);
    let seen: Vec<_> = site.listener.ingest_mut().seen.iter().map(|m| m.topic.to_string()).collect();
    assert_eq!(seen, ["store/will"]);
    assert_eq!(site.listener.stats().topics_refused, 2);
    assert_eq!(refused_wills(&site), [("c", Some("store"), "store/late", false)]);
}

fn refused_wills(site: &Site) -> Vec<(&str, Option<&str>, &str, bool)> {
    let told = site.events.iter().filter_map(|event| match event {
        Event::WillRefused { client, user, topic, is_user_gone } => {
            Some((client.as_str(), user.name.as_deref(), topic.as_str(), *is_user_gone))
        }
        _ => None,
    });
    told.collect()
}

/// Whoever watches the client by its will does not learn of its end, so the operator has to.
#[test]
fn the_will_of_a_user_who_is_taken_out_is_refused_counted_and_told() {
    for (version, is_there) in [(Version::V311, true), (Version::V5, true), (Version::V5, false)] {
        let mut site = site();
        let delay = [(PropertyId::WillDelayInterval, Value::U32(60))];
        let of = |topic| will(topic, if version == Version::V5 { &delay } else { &[] });
        let (ann, _) = site.connect(Connect { will: of("ann/will"), ..user("ann", "a", version) });
        // Without a user name, which is asked for now: it may come back.
        site.connect(Connect { will: of("n/will"), ..stays("n", version) });
        if !is_there {
            site.cut(ann);
        }
        site.listener.set_access(site.now, Access::of(Only(["bob"].into())));
        site.outputs();
        site.pass(60_000);
        let seen: Vec<_> = site.listener.ingest_mut().seen.iter().map(|m| m.topic.to_string()).collect();
        assert_eq!(seen, ["n/will"], "{version:?}");
        assert_eq!(site.listener.stats().topics_refused, 1);
        assert_eq!(refused_wills(&site), [("a", Some("ann"), "ann/will", true)]);
    }
}

#[derive(Debug)]
struct Nothing;

impl Authorize for Nothing {
    fn may_publish(&mut self, _: ClientRef<'_>, _: &str) -> bool {
        false
    }

    fn may_receive(&mut self, _: ClientRef<'_>, _: &str) -> bool {
        false
    }
}

#[test]
fn who_may_not_stay_is_disconnected_and_what_waits_without_the_right_is_dropped() {
    for version in BOTH {
        let mut site = site();
        let (ann, _) = site.connect(user("ann", "a", version));
        let (bob, _) = site.connect(user("bob", "b", version));
        let nobody = site.client("n", version);
        site.send(bob, &[subscribe(&["#"])]);
        site.cut(bob);
        for topic in ["ann/x", "bob/x", "ann/y"] {
            site.publish(&message(topic, topic));
        }
        let access = Access::of(Only(["bob"].into())).with_rights(OwnTopics);
        site.listener.set_access(site.now, access);
        site.outputs();
        assert!(site.is_closed(ann) && site.is_closed(nobody));
        let why = Closed::Local(ReasonCode::ADMINISTRATIVE_ACTION);
        let ended =
            |event: &&Event| matches!(event, Event::Disconnected { why: reason, .. } if *reason == why);
        assert_eq!(site.events.iter().filter(ended).count(), 2);
        let stats = site.listener.stats();
        assert_eq!(
            (stats.dropped_denied, stats.connections, stats.sessions),
            (2, 0, 2),
            "a gone user's session has ended"
        );
        assert_eq!(site.settled.iter().map(|settled| settled.dropped).sum::<u32>(), 2);
        let (bob, ack) = site.connect(user("bob", "b", version));
        assert!(ack.session_present);
        assert_eq!(site.payloads(bob), ["bob/x"]);
    }
}

/// A client identifier is no secret: whoever takes it gets nothing that waits for its owner.
#[test]
fn a_session_is_its_users_alone() {
    let mut site = site();
    let (ann, _) = site.connect(user("ann", "panel", Version::V311));
    site.send(ann, &[subscribe(&["cmd"])]);
    site.cut(ann);
    site.publish(&message("cmd", "for ann"));
    let (thief, ack) = site.connect(user("eve", "panel", Version::V311));
    assert!(!ack.session_present);
    site.publish(&message("cmd", "later"));
    assert!(site.payloads(thief).is_empty());
    let (again, ack) = site.connect(user("eve", "panel", Version::V311));
    assert!(ack.session_present && site.is_closed(thief), "her own she keeps");
    let anonymous = stays("panel", Version::V5);
    assert_eq!(anonymous.properties.u32(EXPIRY), Some(3600), "it would take a session up");
    assert!(!site.connect(anonymous).1.session_present && site.is_closed(again));
}
