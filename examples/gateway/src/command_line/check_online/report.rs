//! Report of a visit to an address of the hub, in words.

use std::fmt;
use std::time::UNIX_EPOCH;

use control_loop::OneLine;
use edge_bridge::bridge::Stats;
use edge_bridge::net::HubTls;
use edge_bridge::session::ServerLimits;
use edge_bridge::wire::{QoS, Version};
use edge_page::date;

use crate::config::units::{human_bytes, human_duration};
use crate::config::{Config, Format};

use super::needed::Needed;
use super::visit::{Outcome, Published, Reached};

/// Report of the visit to one address; displayed as lines in the form of `check`.
pub(super) struct Report<'a> {
    pub(super) config: &'a Config,
    pub(super) address: &'a str,
    pub(super) needed: &'a Needed,
    pub(super) outcome: &'a Outcome,
}

/// Kind of failure at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    NotReached,
    /// The hub does not grant something that the configuration needs, or no connection at all.
    Refused,
}

impl Report<'_> {
    /// Returns the failure at this address; `None` if the hub grants all that was asked for.
    pub(super) fn failure(&self) -> Option<Failure> {
        let reached = match self.outcome {
            Outcome::NotReached(_) => return Some(Failure::NotReached),
            Outcome::Refused(_) => return Some(Failure::Refused),
            Outcome::Reached(reached) => reached,
        };
        let delivers = delivers(&reached.connected);
        let subscribes = reached.refused_filters.is_empty() && reached.unanswered_filters == 0;
        let publishes = reached.published.iter().all(|answer| *answer == Published::Accepted);
        (!(delivers && subscribes && publishes)).then_some(Failure::Refused)
    }
}

fn delivers(connected: &Stats) -> bool {
    connected.hub_limits.as_ref().is_none_or(|limits| limits.maximum_qos != QoS::AtMostOnce)
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let f = &mut Lines { f, begins: "online        " };
        match self.outcome {
            Outcome::NotReached(reason) => f.line(format_args!("{}: not reached: {reason}", self.address)),
            Outcome::Refused(reason) => f.line(format_args!("{}: FAILS: {reason}", self.address)),
            Outcome::Reached(reached) => {
                self.connection(f, reached)?;
                self.line_to_hub(f, reached)?;
                if let Some(limits) = &reached.connected.hub_limits {
                    self.window(f, reached.connected.version, limits.receive_maximum)?;
                    self.limits(f, limits)?;
                }
                self.subscriptions(f, reached)?;
                self.publications(f, reached)
            }
        }
    }
}

/// Writer of lines, of which the first has the title. Strings of the hub stay on their line.
struct Lines<'a, 'b> {
    f: &'a mut fmt::Formatter<'b>,
    begins: &'static str,
}

impl Lines<'_, '_> {
    fn line(&mut self, text: fmt::Arguments<'_>) -> fmt::Result {
        let begins = std::mem::replace(&mut self.begins, "              ");
        writeln!(self.f, "{begins}{}", OneLine(&text.to_string()))
    }
}

impl Report<'_> {
    fn connection(&self, f: &mut Lines<'_, '_>, reached: &Reached) -> fmt::Result {
        let Reached { connect_ms, connected, .. } = reached;
        let version = match connected.version {
            Some(Version::V311) => "MQTT 3.1.1",
            _ => "MQTT 5",
        };
        let client_id = &self.config.hub.client_id;
        f.line(format_args!("{}: connected in {connect_ms} ms, {version}", self.address))?;
        f.line(format_args!(
            "as {client_id}-check, so that a running gateway keeps its session: rights of {client_id} itself are not seen"
        ))
    }

    /// Writes the round trip, and what TLS agreed on.
    fn line_to_hub(&self, f: &mut Lines<'_, '_>, reached: &Reached) -> fmt::Result {
        match reached.round_trip_ms {
            Some(ms) => f.line(format_args!("round trip {ms} ms, of an UNSUBSCRIBE and its answer"))?,
            None => f.line(format_args!("no answer to an UNSUBSCRIBE: the round trip is not known"))?,
        }
        let Some(HubTls { version, certificate_end, .. }) = reached.tls else { return Ok(()) };
        match certificate_end.and_then(|end| end.duration_since(UNIX_EPOCH).ok()) {
            Some(end) => f.line(format_args!(
                "{version}; the hub's certificate is valid until {}",
                date(i64::try_from(end.as_millis()).unwrap_or(i64::MAX))
            )),
            None => f.line(format_args!("{version}; the end of the hub's certificate cannot be read")),
        }
    }

    /// Writes which of the two limits of messages on their way counts, the hub's or the gateway's. MQTT 3.1.1 has none of the hub's.
    fn window(&self, f: &mut Lines<'_, '_>, version: Option<Version>, receive_maximum: u16) -> fmt::Result {
        let window = self.config.hub.window;
        if version == Some(Version::V311) {
            return Ok(());
        }
        let most = receive_maximum.min(window);
        f.line(format_args!(
            "at most {most} messages without their PUBACK: Receive Maximum {receive_maximum}, [hub] window = {window}"
        ))
    }

    /// Writes the hub's limits as far as they differ from those that MQTT has anyway.
    fn limits(&self, f: &mut Lines<'_, '_>, limits: &ServerLimits) -> fmt::Result {
        if limits.maximum_qos == QoS::AtMostOnce {
            f.line(format_args!("FAILS: the hub accepts QoS 0 alone: nothing can be delivered there"))?;
        }
        if limits.maximum_packet_size != u32::MAX {
            let size = human_bytes(limits.maximum_packet_size.into());
            f.line(format_args!("packets of at most {size}: a larger message is parked, and counted"))?;
        }
        if !limits.retain_available {
            let tables = self.config.routes.iter().any(|route| route.format == Format::Compact);
            let batches = if tables { "batches carry their names; " } else { "" };
            f.line(format_args!("no retained messages: {batches}messages are published without the flag"))?;
        }
        let kept = match limits.session_expiry_s {
            u32::MAX => "until it comes back".to_owned(),
            seconds => format!("for {}", human_duration(std::time::Duration::from_secs(seconds.into()))),
        };
        let what = if self.config.commands.is_empty() { "the session is" } else { "commands are" };
        f.line(format_args!("{what} kept for a gateway that is away {kept} (Session Expiry)"))
    }

    fn subscriptions(&self, f: &mut Lines<'_, '_>, reached: &Reached) -> fmt::Result {
        for filter in &self.needed.filters {
            let refused = reached.refused_filters.iter().find(|(refused, _)| refused == filter);
            match refused {
                Some((_, reason)) => {
                    f.line(format_args!("FAILS: may not subscribe to {filter}: {reason}"))?;
                }
                None if reached.unanswered_filters == 0 => {
                    f.line(format_args!("may subscribe to {filter}"))?;
                }
                None => {}
            }
        }
        if reached.unanswered_filters > 0 {
            let (without, all) = (reached.unanswered_filters, self.needed.filters.len());
            f.line(format_args!("FAILS: {without} of {all} subscriptions have no answer"))?;
        }
        Ok(())
    }

    fn publications(&self, f: &mut Lines<'_, '_>, reached: &Reached) -> fmt::Result {
        if self.needed.topics.is_empty() {
            return f.line(format_args!(
                "whether it may publish was not tried: --publish sends an empty message to each topic"
            ));
        }
        let says_nothing = reached.connected.version == Some(Version::V311);
        for (topic, answer) in self.needed.topics.iter().zip(&reached.published) {
            match answer {
                Published::Accepted if says_nothing => f.line(format_args!(
                    "{topic}: acknowledged, which in MQTT 3.1.1 also a hub says that throws it away"
                ))?,
                Published::Accepted => f.line(format_args!("may publish to {topic}"))?,
                Published::Refused(reason) => {
                    f.line(format_args!("FAILS: may not publish to {topic}: {reason}"))?;
                }
                Published::Closed => {
                    f.line(format_args!("FAILS: the hub closes the connection at a message to {topic}"))?;
                }
                Published::Unanswered => f.line(format_args!("FAILS: no answer to a message to {topic}"))?,
            }
        }
        Ok(())
    }
}
