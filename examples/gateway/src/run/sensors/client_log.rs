//! Log lines about local clients: failures as warnings, connects and disconnects at debug level.
//!
//! A refused client comes back every second, so each cause has one line a minute, whatever the client, and all causes share a budget of lines. Logins that
//! fail have one of their own, and a line a minute for each address, or IPv6 network of 64 bits. What ends the connection of a client that has logged in
//! has a line an hour for each [kind](ends) and client, with a count of those without.
//! Events without a line are counted, with their addresses, in the next line of their cause, or in one line for all causes that have none.
//! Clients choose their names and topics, so both are escaped.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use control_loop::OneLine;
use edge_bridge::client_network;
use edge_bridge::escape::Escaped;
use edge_bridge::listener::{ConnectionId, Damage, Event, Restored};
use edge_bridge::wire::{ReasonCode, TopicError, Utf8};

use crate::run::log::once_an_hour::OnceAnHour;

mod ends;
mod line_budget;

use ends::{Hourly, disconnected, refused_will, session_ended, taken_over};
use line_budget::{CAUSES_MAX, LineBudget};

const WARNINGS_PER_MINUTE: usize = 10;
const MINUTE_MS: u64 = 60_000;
/// Most characters of an error that are shown: its words, a name and a path.
const ERROR_CHARS_MAX: usize = 240;

/// Rate limit of the lines about clients.
#[derive(Debug)]
pub(in crate::run) struct ClientLog {
    budget: LineBudget,
    /// Budget of logins that fail, whose causes are addresses: whoever guesses passwords takes no line of anything else.
    logins: LineBudget,
    /// Rate limits of lines that each client has once an hour.
    hourly: BTreeMap<Hourly, OnceAnHour>,
    /// Connection of the client that was refused last.
    refused: Option<ConnectionId>,
}

impl Default for ClientLog {
    fn default() -> Self {
        Self {
            budget: LineBudget::new(WARNINGS_PER_MINUTE),
            logins: LineBudget::new(CAUSES_MAX),
            hourly: BTreeMap::new(),
            refused: None,
        }
    }
}

/// Failure of a client that the operator should see.
#[derive(Debug, PartialEq, Eq)]
struct Trouble {
    /// Key of the rate limit: the same text for all clients.
    cause: String,
    /// Text of the line, with the client's name.
    said: String,
}

impl ClientLog {
    /// Logs an event: a failure as a warning within the rate limit, anything else at debug level.
    pub(in crate::run) fn on_event(&mut self, up_ms: u64, event: &Event, address: Option<SocketAddr>) {
        let minute = up_ms / MINUTE_MS;
        let left_over = [self.budget.begin_minute(minute), self.logins.begin_minute(minute)];
        for held_back in left_over.into_iter().flatten() {
            tracing::warn!(%held_back, "more trouble of local clients than had lines");
        }
        if let Event::ClientsRestored(restored) = event {
            return tell_restored(restored);
        }
        // What is not about a connection has none.
        let shown = address.map(|address| address.to_string());
        let shown = shown.as_deref();
        let is_told = self.is_told_as_refused(event);
        let Some(Trouble { cause, said }) = trouble(event, address).filter(|_| !is_told) else {
            tracing::debug!(?event, address = shown, "local client");
            return;
        };
        if let Some((kind, client)) = Hourly::of(event, address) {
            match self.hourly.entry(kind).or_default().line(up_ms, client) {
                Some(held_back) if kind.is_expected() => {
                    tracing::info!(address = shown, held_back, "{said}");
                }
                Some(held_back) => tracing::warn!(address = shown, held_back, "{said}"),
                None => {}
            }
            return;
        }
        let due = match failed_login(event) {
            true => self.logins.due(login_cause(address), address),
            false => self.budget.due(cause, address),
        };
        if let Some(held_back) = due {
            tracing::warn!(address = shown, %held_back, "{said}");
        }
    }

    /// Returns whether the event is the end of a connection that was refused, and so has its line. Nothing comes between both.
    fn is_told_as_refused(&mut self, event: &Event) -> bool {
        let refused = self.refused.take();
        if let Event::Refused { connection, .. } = event {
            self.refused = Some(*connection);
        }
        matches!(event, Event::Disconnected { client: None, connection, .. } if refused == Some(*connection))
    }
}

/// Returns whether the event is a login that fails.
fn failed_login(event: &Event) -> bool {
    let reasons = [ReasonCode::BAD_USER_NAME_OR_PASSWORD, ReasonCode::NOT_AUTHORIZED];
    matches!(event, Event::Refused { reason, .. } if reasons.contains(reason))
}

/// Returns the cause of a login that fails: its address, whatever the user and the reason; of IPv6 its network, in which one client has any number of
/// addresses.
fn login_cause(address: Option<SocketAddr>) -> String {
    address.map_or_else(String::new, |address| client_network(address.ip()).to_string())
}

/// Returns the text without its digits, such as seconds or byte positions, so that one cause has one text.
fn without_numbers(text: &str) -> String {
    text.replace(|c: char| c.is_ascii_digit(), "")
}

/// Describes a handshake that failed. What comes from the peer is escaped in the error, and would not be read twice escaped; an origin, which is
/// not, cannot end the line.
fn no_handshake(protocol: &str, error: &str, cause: &str) -> Trouble {
    let shown: String = error.chars().take(ERROR_CHARS_MAX).collect();
    Trouble {
        cause: format!("no {protocol}: {}", without_numbers(cause)),
        said: format!("no {protocol} with a client: {}{}", OneLine(&shown), key_of_handshake(error)),
    }
}

/// Returns the key by which a client's certificate is judged, or those of the listener's own, in brackets; nothing for another error.
fn key_of_handshake(error: &str) -> &'static str {
    let of_authorities =
        ["client: another authority", "client: a signature", "client: it shows no certificate"];
    if of_authorities.iter().any(|words| error.starts_with(words)) {
        " ([local] client_ca)"
    } else if error.starts_with("the client's certificate has") && error.contains("user name") {
        " ([local] client_user_from)"
    } else if error.starts_with("the server has no certificate to show") {
        " ([local] cert, key)"
    } else {
        ""
    }
}

/// Returns the cause for which a topic is refused, and the key that changes it.
fn cause_of_topic(topic: &str, error: &TopicError) -> (&'static str, &'static str) {
    match error {
        TopicError::Reserved if topic.starts_with("$SYS/") => {
            ("topic below $SYS", "$SYS is the gateway's, but for states of other bridges")
        }
        TopicError::Reserved => ("topic of the gateway's own", "[control], [alarms]"),
        TopicError::Denied => ("right", "[local] acl_file"),
        _ => ("topic", "[local] accept_control_characters"),
    }
}

/// Describes a SUBSCRIBE of which filters were refused.
fn refused_filters(client: &Utf8, refused: usize, filter: &Utf8, reason: ReasonCode) -> Trouble {
    let key = match reason {
        ReasonCode::QUOTA_EXCEEDED => " ([local] max_subscriptions)",
        _ => "",
    };
    let (client, filter) = (Escaped(client), Escaped(filter));
    let said = format!(
        "{refused} subscriptions of client \"{client}\" are refused, the first one to \"{filter}\": {reason}{key}"
    );
    Trouble { cause: "filter".to_owned(), said }
}

/// Describes an event of a connection with this address that the operator should see. `None`: the event is normal operation.
fn trouble(event: &Event, address: Option<SocketAddr>) -> Option<Trouble> {
    match event {
        Event::Refused { client, user, reason, .. } => Some(Trouble {
            cause: format!("refused: {reason}"),
            said: match &user.name {
                Some(user) => format!(
                    "client \"{}\" of user \"{}\" was refused: {reason}",
                    Escaped(client),
                    Escaped(user)
                ),
                None => format!("client \"{}\" without a user name was refused: {reason}", Escaped(client)),
            },
        }),
        Event::NoProxyHeader { error, .. } => Some(Trouble {
            cause: format!("no PROXY header: {}", without_numbers(error)),
            said: format!("a connection of a trusted proxy is closed: {error} ([local] trusted_proxies)"),
        }),
        Event::NoTls { error, .. } => Some(no_handshake("TLS", error, error)),
        Event::NoWebSocket { error, .. } => {
            // Behind a colon stands the origin, which the client chose: each one would be a cause of its own.
            Some(no_handshake("WebSocket", error, error.split(':').next().unwrap_or_default()))
        }
        Event::TopicRefused { client, topic, error, .. } => {
            let (cause, key) = cause_of_topic(topic, error);
            let (client, topic) = (Escaped(client), Escaped(topic));
            Some(Trouble {
                cause: cause.to_owned(),
                said: format!(
                    "client \"{client}\" publishes to \"{topic}\", which is refused: {error} ({key})"
                ),
            })
        }
        Event::NoRoom { client, .. } => Some(Trouble {
            cause: "no room".to_owned(),
            said: format!(
                "messages of client \"{}\" at QoS 0 are given up: the queue has no room, being full or behind a slow disk",
                Escaped(client)
            ),
        }),
        Event::Subscribed { client, refused, first_refused: Some((filter, reason)), .. } => {
            Some(refused_filters(client, *refused, filter, *reason))
        }
        Event::WillRefused { client, topic, is_user_gone, .. } => {
            Some(refused_will(client, topic, *is_user_gone))
        }
        Event::TakenOver { .. } => taken_over(event, address),
        Event::Disconnected { client, why, .. } => disconnected(client.as_ref(), why),
        Event::SessionEnded { client, dropped, why } => session_ended(client, *dropped, *why),
        other => trouble_with_saving(other),
    }
}

/// Logs how many clients, sessions and messages of the last process were restored, if there were any.
fn tell_restored(restored: &Restored) {
    let Restored { sessions, retained, waiting, expired, refused, ref damage, .. } = *restored;
    if let Some(damage) = damage {
        tell_damage(damage);
    }
    if refused > 0 {
        tracing::warn!(
            sessions,
            retained,
            waiting,
            expired,
            refused,
            "not all clients of the last run are back: beyond the limits of now, or on the gateway's own topics"
        );
    } else if sessions + retained + expired > 0 {
        tracing::info!(sessions, retained, waiting, expired, "clients of the last run are back");
    }
}

/// Logs what damage to the file of clients cost.
fn tell_damage(damage: &Damage) {
    let Damage { sessions, retained, waiting, wills, unknown, is_minimum, ref clients, .. } = *damage;
    let clients: Vec<_> = clients.iter().map(|client| format!("\"{}\"", Escaped(client))).collect();
    tracing::warn!(
        sessions,
        retained,
        waiting,
        wills,
        unknown,
        is_minimum,
        clients = %clients.join(", "),
        "the file of clients was damaged and is kept as clients.bad: so many sessions and messages of the last run are lost, the others are back"
    );
}

fn trouble_with_saving(event: &Event) -> Option<Trouble> {
    let (cause, said) = match event {
        Event::ClientsNotRestored { error } => (
            "restore",
            format!(
                "sessions and retained messages of the last run cannot be read; their file is set aside as `clients.bad`, if its directory allows it: {error}"
            ),
        ),
        Event::ClientsNotSaved { error } => {
            ("save", format!("sessions and retained messages cannot be saved: {error}"))
        }
        Event::ClientsLeftOut { count } => (
            "left out",
            format!(
                "{count} sessions, retained messages and messages that wait for clients are more than are saved: a restart loses them"
            ),
        ),
        _ => return None,
    };
    Some(Trouble { cause: cause.to_owned(), said })
}

#[cfg(test)]
mod tests;
