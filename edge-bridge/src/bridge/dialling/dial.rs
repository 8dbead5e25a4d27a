//! Dialling of the hub: starts connections, keeps session state from one to the next, and waits for the back-off between two attempts.

use crate::bridge::connection::{Connection, HubClose};
use crate::bridge::packing::pack::Pack;
use crate::bridge::spool::Spool;
use crate::bridge::{Core, Event, Output, Phase};
use crate::ingest::Now;
use crate::session::Closed;
use crate::wire::PacketId;

use super::address_choice::End;
use super::takeover_signs::TakeoverSigns;
use super::version_choice::VersionChoice;

/// Milliseconds after which a connection counts as stable without a PUBACK, because there may have been no message to acknowledge.
const STABLE_MS: u64 = 30_000;

/// Timeout of the first CONNACK, in milliseconds; doubles with each further CONNECT without an answer, up to the client's configured timeout.
const HANDSHAKE_MS: u64 = 4_000;

/// Longest delay in milliseconds before the next dial while the link searches for the poison message at which the hub closes.
const HURRIED_MS: u64 = 300;

/// First packet identifier of a connection, spread over all identifiers; seed 0 gives 1. The multiplier is that of Fibonacci hashing (Knuth,
/// TAOCP 3, 6.4).
fn first_packet_id(seed: u64) -> PacketId {
    let [high, low, ..] = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
    PacketId::new(u16::from_be_bytes([high, low])).unwrap_or(PacketId::MIN)
}

/// Returns whether the hub refused the CONNECT.
fn is_refused(closed: &Closed) -> bool {
    matches!(closed, Closed::Refused(_)) || VersionChoice::is_refused(closed)
}

impl<S: Spool, P: Pack> Core<S, P> {
    pub(in crate::bridge) fn dial(&mut self) {
        self.phase = Phase::Dialing;
        self.stats.dials += 1;
        self.out.push_back(Output::Dial { address: self.addresses.current() });
    }

    pub(in crate::bridge) fn connect(&mut self, now: Now) {
        self.epoch += 1;
        let mut resume = self.resume.take();
        if let Some(resume) = &mut resume {
            if resume.is_doubtful() {
                self.uplink.begin_again(resume);
            }
            self.uplink.prepare_resume(now.up_ms, resume, &self.spool);
        }
        let mut client = self.config.client.clone();
        if let Some(choice) = self.connect_choices.get_mut(self.addresses.current()) {
            choice.adapt(now.up_ms, &mut client);
        }
        self.stats.will_left_out = client.will.is_none() && self.config.client.will.is_some();
        client.first_packet_id = first_packet_id(self.config.seed.wrapping_add(self.epoch - 1));
        // A path that swallows CONNECT must not cost the whole timeout when it heals meanwhile; a slow hub gets more with every attempt.
        // Dials that are refused, as in a long outage, do not count: they say nothing of the hub's pace.
        let patience_ms = HANDSHAKE_MS << self.unanswered_connects.saturating_sub(1).min(8);
        client.handshake_timeout_ms = client.handshake_timeout_ms.min(patience_ms);
        let mut connection = Connection::new(now, self.epoch, client, resume);
        connection.session.limit_in_flight(now.up_ms, self.uplink.in_flight_limit());
        connection.session.set_path(self.path);
        if self.addresses.is_elsewhere() {
            connection.session.set_elsewhere();
        }
        self.phase = Phase::Up(Box::new(connection));
    }

    pub(in crate::bridge) fn connection_over(&mut self, now: Now, closed: &Closed, why: Option<String>) {
        let Phase::Up(connection) = std::mem::replace(&mut self.phase, Phase::Offline) else { return };
        self.stats.traffic.add(&connection.session.traffic());
        self.path = connection.session.path();
        self.gave_up = connection.is_given_up(closed);
        if self.gave_up {
            self.path.on_break();
        }
        // Two clients under one identifier throw each other out, however much each gets done in between.
        let taken_over = TakeoverSigns::is_said(closed);
        let lasted_ms = now.up_ms.saturating_sub(connection.since_ms);
        let blame = connection.blame(closed).filter(|close| !self.is_for_a_filter(now, *close));
        // One that refused a message may close for that, as Mosquitto 2.0 does.
        let has_cause = blame.is_none() || connection.refused;
        let sign = self.takeover.on_over(closed, has_cause, lasted_ms);
        let answered = connection.accepted || is_refused(closed);
        self.note_answer(answered, closed);
        let is_dialled_otherwise = self.connects_otherwise(now, &connection, closed);
        let stable = connection.acked || lasted_ms >= STABLE_MS;
        // Who has the same identifier has it at the other addresses too.
        let end =
            if is_dialled_otherwise || taken_over { End::Stays } else { connection.end(stable, closed) };
        let names_a_message = blame.is_some_and(|close| close.names_a_message);
        let here = connection.session.sent_here();
        let too_large =
            self.uplink.on_size_closed(now.up_ms, names_a_message, &mut self.spool, &mut self.stats);
        // An end that has its cause says nothing of what was not answered.
        let blame = blame.filter(|_| here > 0 && too_large.is_none() && !connection.session.owes_pubcomp());
        let poison = blame.map_or_else(Vec::new, |close| {
            self.uplink.on_hub_closed(now.up_ms, here, close, &mut self.spool, &mut self.stats)
        });
        // Others that were acknowledged here are no progress then.
        let is_quick = blame.is_some() && lasted_ms < STABLE_MS && self.uplink.poison.is_too_quick(now.up_ms);
        if stable && !taken_over && !is_quick {
            self.backoff.reset();
        }
        let sign = sign.filter(|_| too_large.is_none() && poison.is_empty());
        let unanswered = if connection.is_unanswered {
            let window = connection.session.window();
            self.uplink.on_unanswered(now.up_ms, window, &mut self.spool, &mut self.stats)
        } else {
            Vec::new()
        };
        if connection.session.had_session() {
            let mut resume = connection.session.into_resume();
            let parked = too_large.into_iter().flatten().chain(poison).chain(unanswered);
            parked.for_each(|token| resume.forget(token));
            self.uplink.on_over(resume.uncompleted());
            self.resume = Some(resume);
        }
        self.uplink_events();
        self.stall.set_waiting(now.up_ms, false);
        self.idle_ping.set_listening(now.up_ms, false);
        self.out.push_back(Output::Hangup);
        if self.is_stopping {
            let reason = closed.to_string();
            self.out.push_back(Output::Event(Event::Disconnected { reason, retry_in_ms: None }));
            return;
        }
        let is_hurried = blame.is_some_and(|close| close.names_a_message) && self.uplink.is_hurried();
        let goes_on = self.addresses.on_over(end);
        let reason = why.unwrap_or_else(|| closed.to_string());
        let reason = sign.map_or(reason.clone(), |sign| format!("{reason}; {sign}"));
        let in_ms = match self.delay_ms(answered, goes_on) {
            in_ms if taken_over => in_ms.max(self.takeover.next_ms()),
            in_ms if is_hurried && !is_quick => in_ms.min(HURRIED_MS),
            in_ms => in_ms,
        };
        self.wait(now, in_ms, reason);
    }

    /// Records whether a CONNECT was answered; the timeout of the next CONNACK depends on it.
    fn note_answer(&mut self, answered: bool, closed: &Closed) {
        if answered {
            self.unanswered_connects = 0;
        } else if matches!(closed, Closed::Handshake) {
            self.unanswered_connects = self.unanswered_connects.saturating_add(1);
        }
    }

    /// Returns whether the hub closed while a SUBSCRIBE had no SUBACK. A topic filter is then suspected before any message.
    fn is_for_a_filter(&mut self, now: Now, close: HubClose) -> bool {
        let Some(refused) = self.downlink.on_hub_closed(now.up_ms, close.reason) else { return false };
        self.stats.refused_subscriptions = self.downlink.refused();
        let events = refused.into_iter().map(|refused| Output::Event(Event::SubscriptionRefused(refused)));
        self.out.extend(events);
        true
    }

    /// Returns whether the same address is dialled again with a changed CONNECT: another MQTT version, no bridge bit, or no will.
    fn connects_otherwise(&mut self, now: Now, connection: &Connection, closed: &Closed) -> bool {
        let choice = self.connect_choices.get_mut(self.addresses.current());
        let Some(event) = choice.and_then(|choice| choice.on_over(now.up_ms, connection, closed)) else {
            return false;
        };
        // Back in the first version it is nothing new.
        let is_other =
            !matches!(event, Event::OtherVersion(version) if version == self.config.client.version);
        self.out.push_back(Output::Event(event));
        is_other
    }

    /// Plans the next dial after a failed one. `answered`: a proxy answered with a refusal.
    pub(in crate::bridge) fn not_dialed(&mut self, now: Now, reason: String, answered: bool) {
        let goes_on = self.addresses.on_over(End::InVain);
        let in_ms = self.delay_ms(answered, goes_on);
        self.wait(now, in_ms, reason);
    }

    /// Returns the delay before the next dial, in milliseconds. `answered`: the hub answered by MQTT, or a proxy did; TCP alone does not count.
    /// `goes_on`: the next address belongs to the same round.
    fn delay_ms(&mut self, answered: bool, goes_on: bool) -> u64 {
        match (goes_on, answered) {
            (true, _) => self.backoff.first_ms(),
            (false, true) => self.backoff.next_ms(),
            (false, false) => self.backoff.next_silent_ms(),
        }
    }

    fn wait(&mut self, now: Now, in_ms: u64, reason: String) {
        self.phase = Phase::Waiting { until_ms: now.up_ms + in_ms };
        self.stats.last_error = Some(reason.clone());
        self.out.push_back(Output::Event(Event::Disconnected { reason, retry_in_ms: Some(in_ms) }));
    }
}

#[cfg(test)]
mod tests {
    use crate::bridge::Input;
    use crate::bridge::config::LinkConfig;
    use crate::bridge::packing::pack::RawPack;
    use crate::bridge::spool::MemorySpool;
    use crate::bridge::test_uplink::text;
    use crate::bridge::uplink_event::UplinkEvent;
    use crate::row::Row;
    use crate::session::ClientConfig;
    use crate::wire::Version;

    use super::*;
    use bytes::Bytes;

    /// Refused dials of a long outage say nothing of a hub that is slow: behind them a CONNECT that is swallowed costs no more than
    /// after a short one.
    #[test]
    fn patience_with_a_connack_grows_with_connects_that_get_none() {
        let config = LinkConfig::new(ClientConfig::new(text("site7")));
        let mut core = Core::new(config, MemorySpool::new(10, 1_000), RawPack::new(false));
        let at = |up_ms| Now { up_ms, wall_ms: 0 };
        let mut now_ms = 0;
        core.start(at(now_ms));
        for _ in 0..20 {
            core.handle_input(at(now_ms), Input::DialFailed("refused".to_owned()));
            now_ms = core.next_deadline().unwrap();
            core.handle_timeout(at(now_ms));
        }
        for patience_ms in [4_000, 4_000, 8_000, 16_000, 20_000, 20_000] {
            core.handle_input(at(now_ms), Input::Dialed);
            let until_ms = core.next_deadline().unwrap();
            assert_eq!(until_ms - now_ms, patience_ms);
            core.handle_timeout(at(until_ms));
            now_ms = core.next_deadline().unwrap();
            core.handle_timeout(at(now_ms));
        }
    }

    /// A hub that does not know the bridge bit refuses the level as an unknown version; an older one closes. After either the next CONNECT is of MQTT
    /// 3.1.1 again, without the bit.
    #[test]
    fn a_hub_that_takes_no_bridge_bit_gets_a_plain_connect_of_the_same_version() {
        for answer in [Some([0x20, 2, 0, 1]), None] {
            let mut client = ClientConfig::new(text("site7"));
            (client.version, client.bridge_bit) = (Version::V311, true);
            let mut config = LinkConfig::new(client);
            config.any_version = true;
            let mut core = Core::new(config, MemorySpool::new(10, 1_000), RawPack::new(false));
            let at = |up_ms| Now { up_ms, wall_ms: 0 };
            let mut now_ms = 0;
            core.start(at(now_ms));
            let mut levels = Vec::new();
            for answer in [answer, Some([0x20, 2, 0, 0])] {
                core.handle_input(at(now_ms), Input::Dialed);
                while let Some(output) = core.poll_output() {
                    if let Output::Transmit(bytes) = output {
                        levels.push(bytes[8]);
                    }
                }
                if let Some(answer) = answer {
                    core.handle_input(at(now_ms), Input::Bytes(&mut answer.as_slice().into()));
                }
                core.handle_input(at(now_ms), Input::HungUp(None));
                now_ms = core.next_deadline().unwrap();
                core.handle_timeout(at(now_ms));
            }
            assert_eq!(levels, [0x84, 4], "{answer:?}");
        }
    }

    /// A 3.1.1 hub that denies a topic can only close. The topic is reported at the second end, before the search for a poison message is over.
    #[test]
    fn the_topic_at_which_the_hub_closes_is_told_at_the_second_end_and_once() {
        let mut client = ClientConfig::new(text("site7"));
        client.version = Version::V311;
        let mut spool = MemorySpool::new(10, 1_000);
        spool.push(0, Row::new(text("denied"), Bytes::from_static(b"x"))).unwrap();
        let mut core = Core::new(LinkConfig::new(client), spool, RawPack::new(false));
        let at = |up_ms| Now { up_ms, wall_ms: 0 };
        let mut now_ms = 0;
        core.start(at(now_ms));
        let mut told = Vec::new();
        for end in 1..=4 {
            core.handle_input(at(now_ms), Input::Dialed);
            core.handle_input(at(now_ms), Input::Bytes(&mut [0x20, 2, 0, 0].as_slice().into()));
            core.handle_input(at(now_ms + 1), Input::HungUp(None));
            while let Some(output) = core.poll_output() {
                if let Output::Event(Event::Uplink(UplinkEvent::ClosedAt { topic })) = output {
                    told.push((end, topic.to_string()));
                }
            }
            now_ms = core.next_deadline().unwrap();
            core.handle_timeout(at(now_ms));
        }
        assert_eq!(told, [(2, "denied".to_owned())]);
    }
}
