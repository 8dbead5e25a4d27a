//! Ends of connections and sessions: each is counted under one cause, with the messages that it costs, and a session that is taken over is told with both
//! users. Promise 12.

use std::net::SocketAddr;

use bytes::BytesMut;
use edge_bridge::ingest::Now;
use edge_bridge::listener::{
    Access, AllowAnonymous, Authenticate, ClientRef, Config, Event, Input, LoginRequest, SessionEnd,
    SessionUser, Standing, Stats,
};
use edge_bridge::session::{Closed, Violation};
use edge_bridge::wire::{self, Connect, Packet, PropertyId, ReasonCode, Value, Version};

use crate::listener_support::*;
use crate::{BOTH, site};

/// Lets everybody in, and has this for all who are there.
#[derive(Debug)]
struct Closing(Standing);

impl Authenticate for Closing {
    fn authenticate(&mut self, _: Now, _: &LoginRequest<'_>) -> Result<(), ReasonCode> {
        Ok(())
    }

    fn standing(&self, _: ClientRef<'_>) -> Standing {
        self.0
    }
}

/// Numbers of ends, a place for each cause.
fn counts(stats: &Stats) -> [u64; 12] {
    [
        stats.silent,
        stats.unfinished,
        stats.answers_unread,
        stats.without_connect,
        stats.violations,
        stats.taken_over,
        stats.asked_back,
        stats.closed_at_topic,
        stats.unanswerable,
        stats.peer_errors,
        stats.lost,
        stats.displaced + stats.closed_for_memory,
    ]
}

/// Ends a connection of a client in one way, and returns the numbers of ends.
fn ended(end: impl FnOnce(&mut Site, Peer), client: Connect) -> [u64; 12] {
    let mut site = site();
    let (peer, _) = site.connect(client);
    end(&mut site, peer);
    assert!(site.is_closed(peer));
    counts(&site.listener.stats())
}

/// One end, of the cause at this place.
fn only(at: usize) -> [u64; 12] {
    std::array::from_fn(|n| u64::from(n == at))
}

#[test]
fn each_end_is_counted_under_one_cause_and_a_proper_one_under_none() {
    let of = |version| connect("c", version);
    for version in BOTH {
        let cut = ended(Site::cut, of(version));
        assert_eq!(cut, only(10), "lost, {version:?}");
        let left = ended(|site, peer| site.send(peer, &[disconnect(ReasonCode::SUCCESS)]), of(version));
        assert_eq!(left, [0; 12], "its own DISCONNECT, {version:?}");
        let again = ended(|site, _| drop(site.connect(of(version))), of(version));
        assert_eq!(again, only(5), "taken over, {version:?}");
        let rights = |site: &mut Site, _| {
            site.listener.set_access(site.now, Access::of(Closing(Standing::LogsInAgain)));
            site.outputs();
        };
        assert_eq!(ended(rights, of(version)), only(6), "asked back, {version:?}");
        let stops = |site: &mut Site, _| {
            site.listener.shut_down(site.now);
            site.outputs();
        };
        assert_eq!(ended(stops, of(version)), [0; 12], "a stop, {version:?}");
    }
    // A PUBACK of 3.1.1 cannot refuse.
    let topic = |site: &mut Site, peer| site.send(peer, &[publish(1, "a/\u{1}", "x")]);
    assert_eq!(ended(topic, of(Version::V311)), only(7));
    let error = |site: &mut Site, peer| site.send(peer, &[disconnect(ReasonCode::PROTOCOL_ERROR)]);
    assert_eq!(ended(error, of(Version::V5)), only(9));
    let with_will = |site: &mut Site, peer| site.send(peer, &[disconnect(ReasonCode::DISCONNECT_WITH_WILL)]);
    assert_eq!(ended(with_will, of(Version::V5)), [0; 12]);
    // A hundred answers in one SUBACK are more than it takes.
    let narrow = properties(&[(PropertyId::MaximumPacketSize, Value::U32(64))]);
    let many = |site: &mut Site, peer| site.send(peer, &[subscribe(&["a"; 100])]);
    assert_eq!(ended(many, Connect { properties: narrow, ..of(Version::V5) }), only(8));
}

/// Whoever looks whether the port is open has lost nothing.
#[test]
fn a_connection_without_a_client_is_not_counted_as_lost() {
    let mut site = site();
    let peer = site.open(Version::V5);
    site.cut(peer);
    assert_eq!(counts(&site.listener.stats()), [0; 12]);
}

/// The shell reports it, since the packets are in order; what came before it counts.
#[test]
fn a_rule_that_the_transport_broke_is_the_cause_of_the_end() {
    let broken = || Violation::WebSocket("a frame that is not masked".to_owned());
    let mut site = site();
    let client = site.client("c", Version::V5);
    site.listener.handle_input(site.now, client.connection, Input::Broken(broken()));
    site.cut(client);
    let other = site.client("d", Version::V5);
    site.listener.handle_input(site.now, other.connection, Input::Broken(broken()));
    site.send(other, &[disconnect(ReasonCode::SUCCESS)]);
    let ends = site.events.iter().filter_map(|event| match event {
        Event::Disconnected { why, .. } => Some(why.clone()),
        _ => None,
    });
    let own = Closed::Peer { reason: ReasonCode::SUCCESS, session_expiry_s: None };
    assert_eq!(ends.collect::<Vec<_>>(), [Closed::Violation(broken()), own]);
    assert_eq!(site.listener.stats().violations, 1);
}

fn of_user(user: Option<&str>) -> Connect {
    Connect { username: user.map(text), ..stays("panel", Version::V311) }
}

fn connect_from(site: &mut Site, address: &str, connect: Connect) -> Peer {
    let connection = site.listener.accept_from(site.now, address.parse().ok()).unwrap();
    let peer = Peer { connection, version: connect.version };
    site.send(peer, &[Packet::Connect(Box::new(connect))]);
    peer
}

fn takeovers(site: &Site) -> Vec<(Event, Option<SocketAddr>)> {
    let told = site.events.iter().filter_map(|event| match event {
        Event::TakenOver { by_peer, .. } => Some((event.clone(), *by_peer)),
        _ => None,
    });
    told.collect()
}

/// MQTT lets anybody end another's session by its identifier: the operator is to see who did.
#[test]
fn a_takeover_is_told_with_both_users_and_the_address() {
    let [ann, eve] = ["ann", "eve"].map(|name| SessionUser { name: Some(text(name)), is_certified: false });
    let mut site = site();
    site.listener.set_access(site.now, Access::of(AllowAnonymous));
    let first = connect_from(&mut site, "10.0.0.7:1", of_user(Some("ann")));
    assert!(takeovers(&site).is_empty());
    let second = connect_from(&mut site, "10.0.0.7:2", of_user(Some("ann")));
    let third = connect_from(&mut site, "10.0.0.8:3", of_user(Some("eve")));
    let event =
        |connection: Option<Peer>, user: &SessionUser, by: Peer, by_user: &SessionUser, from: &str| {
            let (connection, by, client) =
                (connection.map(|peer| peer.connection), by.connection, text("panel"));
            let (user, by_user, by_peer) = (user.clone(), by_user.clone(), from.parse().ok());
            (Event::TakenOver { connection, client, user, by, by_user, by_peer }, by_peer)
        };
    let expected = [
        event(Some(first), &ann, second, &ann, "10.0.0.7:2"),
        event(Some(second), &ann, third, &eve, "10.0.0.8:3"),
    ];
    assert_eq!(takeovers(&site), expected);
    assert_eq!(site.listener.stats().taken_over, 2);
    // Of an absent client there is no connection to end, and what waits for it is lost all the same.
    site.cut(third);
    site.events.clear();
    let own = connect_from(&mut site, "10.0.0.8:4", of_user(Some("eve")));
    assert!(takeovers(&site).is_empty(), "her own she keeps");
    site.cut(own);
    let nobody = connect_from(&mut site, "10.0.0.9:5", of_user(None));
    let expected = [event(None, &eve, nobody, &SessionUser::default(), "10.0.0.9:5")];
    assert_eq!(takeovers(&site), expected);
    assert_eq!(site.listener.stats().taken_over, 2, "no connection ended");
    assert!(expected[0].0.connection() == Some(nobody.connection));
}

/// A site at which three messages wait for the absent client "panel" of the user ann, whose session lasts for 100 s at most.
fn three_wait(version: Version) -> Site {
    let mut config = Config::default();
    (config.session_expiry_max_s, config.max_sessions) = (100, 1);
    let mut site = Site::new(config);
    let (panel, _) = site.connect(Connect { username: Some(text("ann")), ..stays("panel", version) });
    site.send(panel, &[subscribe(&["a"])]);
    site.cut(panel);
    (0..3).for_each(|n| site.publish(&message("a", &n.to_string())));
    site
}

/// An operator finds in the counters what the log tells of lost messages.
#[test]
fn messages_of_a_session_that_ends_are_counted_unless_its_own_client_ends_it() {
    type Ends = fn(&mut Site);
    let ends: [(SessionEnd, Ends, [u64; 2]); 5] = [
        (SessionEnd::Expired, |site| site.pass(100_000), [3, 0]),
        (SessionEnd::OtherUser, |site| drop(site.connect(of_user(Some("eve")))), [3, 0]),
        (
            SessionEnd::UserGone,
            |site| {
                site.listener.set_access(site.now, Access::of(Closing(Standing::Gone)));
                site.outputs();
            },
            [3, 0],
        ),
        (
            SessionEnd::CleanStart,
            |site| drop(site.connect(Connect { clean_start: true, ..of_user(Some("ann")) })),
            [0, 0],
        ),
        (SessionEnd::GivenUp, |site| _ = site.client("other", Version::V5), [0, 3]),
    ];
    for (version, (why, end, counted)) in BOTH.into_iter().flat_map(|version| ends.map(|end| (version, end)))
    {
        let mut site = three_wait(version);
        end(&mut site);
        let told = site.events.iter().filter_map(|event| match event {
            Event::SessionEnded { dropped, why, .. } => Some((*dropped, *why)),
            _ => None,
        });
        assert_eq!(told.collect::<Vec<_>>(), [(3, why)], "{version:?}");
        let stats = site.listener.stats();
        assert_eq!([stats.dropped_ended, stats.dropped_full], counted, "{why:?}, {version:?}");
        assert_eq!(site.settled.iter().map(|settled| settled.dropped).sum::<u32>(), 3);
    }
}

/// Tells that the peer of a connection that is not being read is gone, with these packets unread.
fn go(site: &mut Site, peer: Peer, unread: &[Packet]) {
    let mut bytes = BytesMut::new();
    unread.iter().for_each(|packet| wire::encode(packet, peer.version, &mut bytes).unwrap());
    site.listener.handle_input(site.now, peer.connection, Input::Gone { unread: &bytes });
    site.outputs();
}

/// At the limit of connections one makes place, however it would have ended without that.
#[test]
fn a_connection_that_makes_place_is_counted_as_displaced_alone() {
    type Before = fn(&mut Site, Peer);
    let befores: [(&str, Before); 4] = [
        ("silent", |site, _| site.pass(10_000)),
        ("gone", |site, peer| go(site, peer, &[])),
        ("gone with an error", |site, peer| go(site, peer, &[disconnect(ReasonCode::PROTOCOL_ERROR)])),
        ("broken, and gone", |site, peer| {
            let broken = Violation::WebSocket("a frame that is not masked".to_owned());
            site.listener.handle_input(site.now, peer.connection, Input::Broken(broken));
            go(site, peer, &[]);
        }),
    ];
    for (name, before) in befores {
        let mut config = Config::default();
        config.max_connections = 1;
        let mut site = Site::new(config);
        let unread = site.client("c", Version::V5);
        site.set_room(false);
        site.send(unread, &[publish(1, "store/a", "x")]);
        before(&mut site, unread);
        site.client("d", Version::V5);
        assert!(site.is_closed(unread), "{name}");
        assert_eq!(counts(&site.listener.stats()), only(11), "{name}");
    }
}

#[test]
fn a_connection_that_is_closed_for_memory_is_counted_for_that_alone() {
    let mut config = Config::default();
    (config.max_memory, config.max_unwritten_bytes) = (1 << 20, 8 << 20);
    let mut site = Site::new(config);
    let (reader, _) = site.connect(connect("reader", Version::V5));
    site.send(reader, &[subscribe(&["a"])]);
    site.stuck.insert(reader.connection);
    go(&mut site, reader, &[disconnect(ReasonCode::PROTOCOL_ERROR)]);
    for _ in 0..100 {
        if site.is_closed(reader) {
            break;
        }
        site.publish(&message("a", &"x".repeat(200_000)));
        site.pass(100);
    }
    assert_eq!(site.listener.stats().closed_for_memory, 1);
    assert_eq!(counts(&site.listener.stats()), only(11));
}
