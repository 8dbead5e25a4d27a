//! Ends of clients' connections and sessions: what the log says of each, and the kinds of trouble of which each client has a line an hour. Pure.

use std::net::SocketAddr;

use edge_bridge::escape::Escaped;
use edge_bridge::listener::{Event, SessionEnd, SessionUser};
use edge_bridge::session::{Closed, Violation};
use edge_bridge::wire::{DecodeErrorKind, PacketType, ReasonCode, Utf8};

use super::{Trouble, without_numbers};

/// Kind of trouble of which each client has a line an hour. What a faulty client does all day takes no line of another kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Hourly {
    /// Messages at QoS 0 that find no room.
    NoRoom,
    /// Silence, or as good as silence: sensors with a bad radio link do so all day.
    Silent,
    /// A broken rule of MQTT, WebSocket or TLS.
    Protocol,
    /// A session that its own user took over, from the same address.
    CameAgain,
    /// A session that another address took over: a second client of its name, or a sensor on a mobile line.
    TakenOver,
    /// A session that another user took over.
    TakenByAnother,
    /// Users, rights or certificates that have changed.
    AskedBack,
    /// A refused topic in MQTT 3.1.1.
    Topic,
    /// A will that its user may not publish any more.
    Will,
    /// Filters that were refused.
    Filter,
    /// An answer that is too large for the client.
    Unanswerable,
    /// An error that the client found.
    PeerError,
    /// The limit of memory.
    Memory,
    /// The limit of connections.
    Place,
}

impl Hourly {
    /// Returns the kind of an event of a client whose connection has this address, and the client; `None` if its cause has a line a minute, whoever the
    /// client is, or it has none.
    pub(super) fn of(event: &Event, address: Option<SocketAddr>) -> Option<(Self, &str)> {
        match event {
            Event::NoRoom { client, .. } => Some((Self::NoRoom, client)),
            Event::WillRefused { client, .. } => Some((Self::Will, client)),
            Event::Subscribed { client, refused, .. } if *refused > 0 => Some((Self::Filter, client)),
            Event::TakenOver { client, user, by_user, by_peer, .. } => {
                let [old, new] = [address, *by_peer].map(|address| address.map(|address| address.ip()));
                let kind = match user == by_user {
                    true if old == new => Self::CameAgain,
                    true => Self::TakenOver,
                    false => Self::TakenByAnother,
                };
                Some((kind, client))
            }
            Event::Disconnected { client: Some(client), why, .. } => Some((Self::of_end(why)?, client)),
            _ => None,
        }
    }

    fn of_end(why: &Closed) -> Option<Self> {
        match why {
            Closed::KeepAlive | Closed::UnfinishedPacket | Closed::AnswersUnread => Some(Self::Silent),
            Closed::Violation(_) => Some(Self::Protocol),
            Closed::Peer { reason, .. } if reason.is_error() => Some(Self::PeerError),
            Closed::Local(reason) => match *reason {
                ReasonCode::ADMINISTRATIVE_ACTION => Some(Self::AskedBack),
                ReasonCode::NOT_AUTHORIZED | ReasonCode::TOPIC_NAME_INVALID => Some(Self::Topic),
                ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR => Some(Self::Unanswerable),
                ReasonCode::QUOTA_EXCEEDED => Some(Self::Memory),
                ReasonCode::SERVER_BUSY => Some(Self::Place),
                // That of a session that is taken over has its line, with those who took it.
                _ => None,
            },
            _ => None,
        }
    }

    /// Returns whether nobody has to look at it: a client that comes again after its network was lost, or an operator's own change.
    pub(super) fn is_expected(self) -> bool {
        matches!(self, Self::CameAgain | Self::AskedBack)
    }
}

/// Returns the trouble of a client whose connection has ended, if it is one.
pub(super) fn disconnected(client: Option<&Utf8>, why: &Closed) -> Option<Trouble> {
    let kind = Hourly::of_end(why);
    let said = match kind {
        None if *why != Closed::Handshake => return None,
        // It was refused at its CONNECT, or had sent none.
        Some(Hourly::AskedBack | Hourly::Topic | Hourly::Unanswerable | Hourly::PeerError)
            if client.is_none() =>
        {
            return None;
        }
        Some(Hourly::Memory) => {
            "was disconnected: of all clients it held most for longest, and [local] max_memory is reached"
                .to_owned()
        }
        Some(Hourly::Place) => {
            let why = match client {
                Some(_) => "it had been silent, or was not read, for ten seconds or longer",
                None => "it had not logged in",
            };
            format!(
                "was disconnected to make place for a new one: {why}, and [local] max_connections is reached"
            )
        }
        Some(Hourly::AskedBack) => {
            "was disconnected: users, rights or certificates have changed, and it has to log in again"
                .to_owned()
        }
        Some(Hourly::Topic) => {
            "was disconnected: MQTT 3.1.1 has no other answer to a topic that is refused".to_owned()
        }
        Some(Hourly::Unanswerable) => {
            "was disconnected: an answer is larger than the Maximum Packet Size of its CONNECT".to_owned()
        }
        Some(Hourly::PeerError) => format!("ended its connection with an error: {}", reason_of(why)),
        _ => format!("was disconnected: {why}{}", key_of(why)),
    };
    let cause = match kind {
        Some(Hourly::Memory) => "memory".to_owned(),
        Some(Hourly::Place) => "places".to_owned(),
        _ => format!("disconnected: {}", without_numbers(&why.to_string())),
    };
    Some(Trouble { cause, said: format!("client {} {said}", name_of(client)) })
}

/// Returns the reason of the client's DISCONNECT.
fn reason_of(why: &Closed) -> String {
    match why {
        Closed::Peer { reason, .. } => reason.to_string(),
        other => other.to_string(),
    }
}

/// Describes a session that was taken over.
pub(super) fn taken_over(event: &Event, address: Option<SocketAddr>) -> Option<Trouble> {
    let Event::TakenOver { connection, client, user, by_user, by_peer, .. } = event else { return None };
    let client = format!("client \"{}\"", Escaped(client));
    let at = by_peer.map_or_else(String::new, |peer| format!(" at {peer}"));
    let said = if user != by_user {
        let (user, by_user) = (user_of(user), user_of(by_user));
        let ended = match connection {
            Some(_) => format!("{client} of {user} was disconnected, and its session ended"),
            None => format!("the session of {client} of {user} ended"),
        };
        format!("{ended}: {by_user}{at} connected under its identifier")
    } else if Hourly::of(event, address).is_some_and(|(kind, _)| kind.is_expected()) {
        format!("{client} was disconnected: it connected again")
    } else {
        format!(
            "{client} was disconnected: a client{at} connected under its identifier; two of one name end each other's connection"
        )
    };
    Some(Trouble { cause: "taken over".to_owned(), said })
}

/// Describes a will that is not published.
pub(super) fn refused_will(client: &Utf8, topic: &Utf8, is_user_gone: bool) -> Trouble {
    let why = match is_user_gone {
        true => "its user is taken out ([local] password_file)",
        false => "its user has no right to the topic any more ([local] acl_file)",
    };
    let (client, topic) = (Escaped(client), Escaped(topic));
    let said = format!("the will of client \"{client}\" to \"{topic}\" is not published: {why}");
    Trouble { cause: "will".to_owned(), said }
}

/// Describes a session that ended with messages for its client, unless the client itself asked for that.
pub(super) fn session_ended(client: &Utf8, dropped: usize, why: SessionEnd) -> Option<Trouble> {
    let why = match why {
        _ if dropped == 0 => return None,
        SessionEnd::CleanStart => return None,
        SessionEnd::Expired => "its client stayed away for too long",
        SessionEnd::OtherUser => "another user connected under its identifier",
        SessionEnd::UserGone => "its user is taken out",
        SessionEnd::TooManyFilters => "it has more filters than [local] max_subscriptions allows",
        _ => "its place or its memory was needed",
    };
    Some(Trouble {
        cause: format!("session: {why}"),
        said: format!(
            "the session of client \"{}\" ended: {dropped} messages for it are dropped: {why}",
            Escaped(client)
        ),
    })
}

fn user_of(user: &SessionUser) -> String {
    match &user.name {
        Some(name) if user.is_certified => format!("user \"{}\" by certificate", Escaped(name)),
        Some(name) => format!("user \"{}\"", Escaped(name)),
        None => "nobody (without a user name)".to_owned(),
    }
}

fn name_of(client: Option<&Utf8>) -> String {
    let Some(client) = client else { return "that did not say its name".to_owned() };
    format!("\"{}\"", Escaped(client))
}

/// Error of the first byte of TLS where MQTT is expected.
const OF_TLS: DecodeErrorKind = DecodeErrorKind::HeaderFlags { packet: PacketType::Connect, flags: 6 };

/// Returns the key that lets in what broke the protocol, in brackets; nothing if there is none.
fn key_of(why: &Closed) -> &'static str {
    match why {
        Closed::Violation(Violation::Decode(error)) if error.kind == DecodeErrorKind::Mqtt31 => {
            " ([local] accept_mqtt_3_1)"
        }
        Closed::Violation(Violation::Decode(error)) if error.kind == OF_TLS => {
            ": it begins as TLS does ([local] tls_listen)"
        }
        _ => "",
    }
}
