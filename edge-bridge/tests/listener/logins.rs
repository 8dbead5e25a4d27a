//! Logins by a password file: who guesses is slowed down, and nobody else is. Promise 12.

use edge_bridge::access::{LoginMemory, Logins, PasswordFile};
use edge_bridge::listener::{Access, Input};
use edge_bridge::wire::{Connect, Packet, ReasonCode, Version};

use crate::listener_support::*;
use crate::{BOTH, site};

fn passwords(users: &[(&str, &str)]) -> PasswordFile {
    let line =
        |(user, password): &(&str, &str)| PasswordFile::line(user, password.as_bytes(), [3; 12]).unwrap();
    PasswordFile::parse(&users.iter().map(line).collect::<Vec<_>>().join("\n")).unwrap()
}

fn memory() -> LoginMemory {
    LoginMemory::new([1; 32])
}

fn guarded() -> Site {
    let mut site = site();
    let logins = Logins::new(passwords(&[("ann", "secret"), ("bob", "")]), memory());
    site.listener.set_access(site.now, Access::of(logins));
    site
}

/// Reason of the CONNACK that a client at this address gets.
fn login(site: &mut Site, address: &str, login: Option<(&str, &str)>, version: Version) -> ReasonCode {
    let connect = Connect {
        username: login.map(|(user, _)| text(user)),
        password: login.map(|(_, password)| password.as_bytes().to_vec().into()),
        ..connect("", version)
    };
    let connection = site.listener.accept_from(site.now, Some(address.parse().unwrap())).unwrap();
    let peer = Peer { connection, version };
    site.outputs();
    site.send(peer, &[Packet::Connect(Box::new(connect))]);
    let Some(Packet::ConnAck(ack)) = site.received(peer).pop() else { panic!("no CONNACK") };
    assert_eq!(site.is_closed(peer), ack.reason.is_error());
    site.cut(peer);
    ack.reason
}

#[test]
fn right_wrong_and_missing_logins_are_told_apart() {
    for version in BOTH {
        let mut site = guarded();
        for (given, expected) in [
            (Some(("ann", "secret")), ReasonCode::SUCCESS),
            (Some(("ann", "Secret")), ReasonCode::BAD_USER_NAME_OR_PASSWORD),
            (Some(("eve", "secret")), ReasonCode::BAD_USER_NAME_OR_PASSWORD),
            (Some(("bob", "")), ReasonCode::SUCCESS),
            (Some(("", "x")), ReasonCode::NOT_AUTHORIZED),
            (None, ReasonCode::NOT_AUTHORIZED),
        ] {
            assert_eq!(login(&mut site, "192.0.2.1:9", given, version), expected, "{given:?}");
        }
    }
}

#[test]
fn promise_12_who_guesses_is_slowed_down_and_clients_that_come_back_are_not() {
    let mut site = guarded();
    let right = Some(("ann", "secret"));
    let (plant, attacker) = ("192.0.2.1:9", "192.0.2.66:9");
    let other = Some(("bob", ""));
    assert_eq!(login(&mut site, attacker, right, Version::V5), ReasonCode::SUCCESS);
    assert_eq!(login(&mut site, attacker, other, Version::V5), ReasonCode::SUCCESS);
    let mut told = [0; 2];
    for n in 0..1_000 {
        let guess = format!("guess {n}");
        match login(&mut site, attacker, Some(("ann", &guess)), Version::V5) {
            ReasonCode::BAD_USER_NAME_OR_PASSWORD => told[0] += 1,
            ReasonCode::SERVER_BUSY => told[1] += 1,
            other => panic!("{other}"),
        }
    }
    assert_eq!(told, [10, 990]);
    assert_eq!(login(&mut site, attacker, right, Version::V5), ReasonCode::SERVER_BUSY, "the last guess");
    assert_eq!(login(&mut site, plant, right, Version::V5), ReasonCode::SUCCESS);
    assert_eq!(login(&mut site, attacker, other, Version::V5), ReasonCode::SUCCESS, "whom nobody guesses");
    assert_eq!(
        login(&mut site, plant, Some(("bob", "")), Version::V5),
        ReasonCode::SUCCESS,
        "another address"
    );
    site.pass(1_000);
    let guess = Some(("ann", "another"));
    assert_eq!(login(&mut site, attacker, guess, Version::V311), ReasonCode::BAD_USER_NAME_OR_PASSWORD);
    assert_eq!(
        login(&mut site, attacker, guess, Version::V311),
        ReasonCode::SERVER_UNAVAILABLE,
        "3.1.1 has no 0x89"
    );
}

#[test]
fn a_new_file_ends_the_connections_of_users_who_are_gone_or_have_another_password() {
    let mut site = site();
    let memory = memory();
    let before = passwords(&[("ann", "1"), ("bob", "2"), ("cat", "3")]);
    site.listener.set_access(site.now, Access::of(Logins::new(before.clone(), memory.clone())));
    let mut connect = |user: &str, password: &'static str| {
        let named = Connect {
            username: Some(text(user)),
            password: Some(password.into()),
            ..stays(user, Version::V5)
        };
        let (peer, ack) = site.connect(named);
        assert_eq!(ack.reason, ReasonCode::SUCCESS);
        peer
    };
    let peers = [connect("ann", "1"), connect("bob", "2"), connect("cat", "3")];
    let logins = Logins::new(passwords(&[("ann", "1"), ("bob", "new")]), memory).replacing(Some(&before));
    site.listener.set_access(site.now, Access::of(logins));
    site.outputs();
    assert_eq!(peers.map(|peer| site.is_closed(peer)), [false, true, true]);
    assert_eq!(site.listener.stats().sessions, 2, "that of a user who is gone has ended");
    let address = "192.0.2.1:9";
    let wrong = ReasonCode::BAD_USER_NAME_OR_PASSWORD;
    assert_eq!(login(&mut site, address, Some(("bob", "2")), Version::V5), wrong, "it was known before");
    assert_eq!(login(&mut site, address, Some(("bob", "new")), Version::V5), ReasonCode::SUCCESS);
}

/// A user who was taken out while the file was not in force, or logged in by the old file while the new one was on its way.
#[test]
fn a_login_that_was_right_by_another_file_does_not_count() {
    let (mut site, memory) = (site(), memory());
    let set = |site: &mut Site, users: &[(&str, &str)]| {
        site.listener.set_access(site.now, Access::of(Logins::new(passwords(users), memory.clone())));
        site.outputs();
    };
    let (address, bob, wrong) = ("192.0.2.1:9", Some(("bob", "2")), ReasonCode::BAD_USER_NAME_OR_PASSWORD);
    set(&mut site, &[("ann", "1"), ("bob", "2")]);
    assert_eq!(login(&mut site, address, bob, Version::V5), ReasonCode::SUCCESS);
    for users in [&[("ann", "1")][..], &[("ann", "1"), ("bob", "other")]] {
        set(&mut site, users);
        assert_eq!(login(&mut site, address, bob, Version::V5), wrong, "{users:?}");
    }
}

/// The last word of a user who is gone is nobody's, of one who has to log in again it is his.
#[test]
fn the_will_of_a_connected_user_who_is_gone_is_not_published() {
    let (mut site, memory) = (site(), memory());
    let before = passwords(&[("ann", "1"), ("bob", "2")]);
    site.listener.set_access(site.now, Access::of(Logins::new(before.clone(), memory.clone())));
    for (name, user, password) in [("gone", "bob", "2"), ("again", "ann", "1")] {
        let will = will(&format!("store/{name}"), &[]);
        let named = Connect {
            username: Some(text(user)),
            password: Some(password.into()),
            ..connect(name, Version::V5)
        };
        assert_eq!(site.connect(Connect { will, ..named }).1.reason, ReasonCode::SUCCESS);
    }
    let logins = Logins::new(passwords(&[("ann", "new")]), memory).replacing(Some(&before));
    site.listener.set_access(site.now, Access::of(logins));
    site.outputs();
    let stored = site.stored.iter().flat_map(|(_, rows)| rows).map(|row| &*row.topic).collect::<Vec<_>>();
    assert_eq!(stored, ["store/again"]);
}

#[test]
fn logins_that_were_right_and_guesses_outlive_a_change_of_the_file() {
    let mut site = site();
    let memory = memory();
    let file = passwords(&[("ann", "secret"), ("bob", "")]);
    let set = |site: &mut Site| {
        let logins = Logins::new(file.clone(), memory.clone()).replacing(Some(&file));
        site.listener.set_access(site.now, Access::of(logins));
    };
    set(&mut site);
    let address = "192.0.2.1:9";
    assert_eq!(login(&mut site, address, Some(("ann", "secret")), Version::V5), ReasonCode::SUCCESS);
    for _ in 0..10 {
        login(&mut site, address, Some(("ann", "guess")), Version::V5);
    }
    set(&mut site);
    assert_eq!(login(&mut site, address, Some(("ann", "guess")), Version::V5), ReasonCode::SERVER_BUSY);
    let right = Some(("ann", "secret"));
    assert_eq!(login(&mut site, address, right, Version::V5), ReasonCode::SERVER_BUSY, "guessed there");
    assert_eq!(login(&mut site, "192.0.2.2:9", right, Version::V5), ReasonCode::SUCCESS, "known from before");
}

#[test]
fn without_a_user_in_the_file_no_name_counts_but_that_of_a_certificate() {
    let mut site = site();
    let logins = Logins::new(PasswordFile::default(), memory()).allow_anonymous(true);
    site.listener.set_access(site.now, Access::of(logins));
    for _ in 0..20 {
        let given = Some(("oven3", "x"));
        assert_eq!(login(&mut site, "192.0.2.1:9", given, Version::V5), ReasonCode::NOT_AUTHORIZED);
    }
    assert_eq!(login(&mut site, "192.0.2.1:9", None, Version::V5), ReasonCode::SUCCESS);
    let peer = site.open(Version::V5);
    site.listener.handle_input(site.now, peer.connection, Input::Certified(text("oven3")));
    let named = Connect { username: Some(text("panel")), ..connect("c", Version::V5) };
    site.send(peer, &[Packet::Connect(Box::new(named))]);
    let Some(Packet::ConnAck(ack)) = site.received(peer).pop() else { panic!("no CONNACK") };
    assert_eq!(ack.reason, ReasonCode::SUCCESS, "whatever name its CONNECT gives");
    let (nameless, plain) = (site.open(Version::V5), site.client("plain", Version::V5));
    site.listener.disconnect_certified(site.now);
    site.outputs();
    assert!(site.is_closed(peer));
    assert!(site.is_closed(nameless), "its certificate may have been judged before");
    assert!(!site.is_closed(plain));
}
