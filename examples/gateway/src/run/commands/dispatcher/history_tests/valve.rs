//! Receiver of commands: a local client, which is there, away with a session that stays, or gone, and loops.

use edge_bridge::listener::Settled;
use edge_bridge::wire::{PropertyId, Publish};

use super::super::super::command::Ticket;
use super::super::tests::settled;
use super::planted::Bug;
use super::{World, id_of};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Valve {
    Subscribed,
    /// Its session is there, in which commands wait.
    Away,
    Gone,
}

/// A command that was given, until what became of it is told.
pub(super) struct Given {
    ticket: Ticket,
    id: u64,
    sent: Sent,
}

/// Way that it went.
enum Sent {
    /// Nobody was subscribed.
    ToNobody,
    /// In the session of a client that is away, until it expires there.
    IntoSession { expires_ms: u64 },
    /// With a client or a loop.
    ToClient { is_obeyed: bool },
}

impl World {
    /// A client that is there has it, and obeys at once, as does a loop that does not refuse.
    pub(super) fn give(&mut self, ticket: Ticket, publish: &Publish) {
        let id = id_of(publish);
        let mut sent = match self.valve {
            Valve::Subscribed => Sent::ToClient { is_obeyed: true },
            Valve::Away => {
                let seconds = publish.properties.u32(PropertyId::MessageExpiryInterval).unwrap();
                Sent::IntoSession { expires_ms: self.now_ms + u64::from(seconds) * 1_000 }
            }
            Valve::Gone => Sent::ToNobody,
        };
        if self.others.contains(&id) {
            // The same whenever it gets it.
            let end = match id % 6 {
                0 => None,
                1 => Some(Err("a reason".to_owned())),
                _ => Some(Ok(())),
            };
            let is_obeyed = end.as_ref().map_or(id.is_multiple_of(4), Result::is_ok);
            sent = Sent::ToClient { is_obeyed };
            self.decided.insert(ticket, end);
        }
        if matches!(sent, Sent::ToClient { is_obeyed: true }) {
            // The hub's seconds are begun ones.
            self.obey(id, 1_000);
        }
        self.given.push(Given { ticket, id, sent });
        if self.bug == Some(Bug::AcknowledgedWhenGiven) && self.repeatable.contains(&id) {
            self.hub.remove(&id);
        }
    }

    /// Obeys a command, which may be as late as this.
    fn obey(&mut self, id: u64, late_ms: u64) {
        let is_again = self.was_obeyed(id) && !self.again.remove(&id);
        self.twice = self.twice.or(is_again.then_some(id));
        self.obeyed.push((id, self.restarts));
        let is_late = self.expires_ms.get(&id).is_none_or(|expires_ms| expires_ms + late_ms < self.now_ms);
        self.late = self.late.or(is_late.then_some(id));
    }

    /// Tells what became of a command that was given, or lets a client that is away come back.
    pub(super) fn settle_one(&mut self) {
        if self.given.is_empty() {
            return;
        }
        let at = usize::try_from(self.below(self.given.len() as u64)).unwrap();
        let Given { ticket, id, sent } = self.given.swap_remove(at);
        if let Some(mut end) = self.decided.remove(&ticket) {
            if self.bug == Some(Bug::SilenceIsRefusal) {
                end = end.or_else(|| Some(Err("nothing heard".to_owned())));
            }
            return self.dispatcher.decided(self.clock(), self.wall(), ticket, end);
        }
        let settled = match sent {
            Sent::IntoSession { expires_ms } => {
                self.valve = Valve::Subscribed;
                if self.one_in(2) && self.now_ms < expires_ms {
                    // Its session goes on. Our seconds are begun ones, too.
                    self.obey(id, 2_000);
                    return self.given.push(Given { ticket, id, sent: Sent::ToClient { is_obeyed: true } });
                }
                // A clean start, or the message has expired.
                let written = u32::from(self.bug == Some(Bug::WaitingIsWritten));
                Settled { written, ..settled(0, 1) }
            }
            Sent::ToClient { is_obeyed: true } => self.acknowledged_or_not(id),
            Sent::ToClient { is_obeyed: false } | Sent::ToNobody => settled(0, 0),
        };
        self.dispatcher.settled(self.clock(), self.wall(), ticket, settled);
    }

    fn acknowledged_or_not(&mut self, id: u64) -> Settled {
        if self.one_in(6) {
            // Without its PUBACK it is given again until its time is over.
            self.again.extend(self.repeatable.contains(&id).then_some(id));
            let written = u32::from(self.bug != Some(Bug::WrittenIsWaiting));
            return Settled { written, ..settled(0, 1) };
        }
        if self.bug == Some(Bug::AcknowledgementLost) { settled(0, 1) } else { settled(1, 0) }
    }
}
