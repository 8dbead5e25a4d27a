//! Limit of one publisher per input at a time: a second publisher makes the input bad, so that no client can overrule a sensor. Pure.

use edge_bridge::wire::Utf8;
use std::net::SocketAddr;

/// Publisher of one input.
#[derive(Debug, Default)]
pub(super) struct Publisher {
    owner: Option<Owner>,
    /// Time at which a dispute ends, in nanoseconds.
    disputed_until_ns: u64,
    is_told: bool,
}

/// Client that publishes the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) client: Utf8,
    /// Source address of the client's last message.
    pub(super) peer: Option<SocketAddr>,
    /// Time of the client's last message, in nanoseconds.
    at_ns: u64,
}

/// Result for a message's sender.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// The only publisher. `ended`: a dispute has just ended.
    Alone { ended: bool },
    /// One of two publishers. `began`: a dispute has just begun, with this client before.
    Disputed { began: Option<Owner> },
}

impl Publisher {
    /// Handles a message of `client`, from this address. The input is free again after `free_after_ns` without a message of its publisher, and a
    /// dispute ends the same time after the last message of another publisher.
    pub(super) fn message(
        &mut self,
        client: &Utf8,
        peer: Option<SocketAddr>,
        now_ns: u64,
        free_after_ns: u64,
    ) -> Standing {
        let is_free = |owner: &Owner| now_ns.saturating_sub(owner.at_ns) >= free_after_ns;
        match &mut self.owner {
            Some(owner) if owner.client == *client => (owner.peer, owner.at_ns) = (peer, now_ns),
            Some(owner) if !is_free(owner) => {
                self.disputed_until_ns = now_ns.saturating_add(free_after_ns);
                let began = (!std::mem::replace(&mut self.is_told, true)).then(|| owner.clone());
                return Standing::Disputed { began };
            }
            _ => self.owner = Some(Owner { client: client.clone(), peer, at_ns: now_ns }),
        }
        if now_ns < self.disputed_until_ns {
            return Standing::Disputed { began: None };
        }
        Standing::Alone { ended: std::mem::take(&mut self.is_told) }
    }

    /// Takes back the report of the last begin or end of a dispute: [`message`](Self::message) returns it again.
    pub(super) fn untold(&mut self) {
        self.is_told = !self.is_told;
    }

    /// Handles the disconnection of a client: another one may publish at once.
    pub(super) fn left(&mut self, client: &Utf8) {
        if self.owner.as_ref().is_some_and(|owner| owner.client == *client) {
            self.owner = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_publisher_makes_a_dispute_until_one_has_been_alone_for_a_while() {
        let (sensor, thief) = (Utf8::from_static("sensor"), Utf8::from_static("thief"));
        let peer: Option<SocketAddr> = Some("192.0.2.7:4711".parse().unwrap());
        let mut input = Publisher::default();
        let alone = |ended| Standing::Alone { ended };
        let began = |client: &Utf8, at_ns| Standing::Disputed {
            began: Some(Owner { client: client.clone(), peer, at_ns }),
        };
        assert_eq!(input.message(&sensor, None, 0, 100), alone(false));
        assert_eq!(input.message(&sensor, peer, 1, 100), alone(false));
        assert_eq!(input.message(&thief, None, 50, 100), began(&sensor, 1), "the address of now");
        assert_eq!(input.message(&sensor, peer, 60, 100), Standing::Disputed { began: None });
        // There was no room to tell it.
        input.untold();
        assert_eq!(input.message(&thief, None, 70, 100), began(&sensor, 60));
        assert_eq!(input.message(&thief, None, 140, 100), Standing::Disputed { began: None }, "told once");
        assert_eq!(input.message(&sensor, peer, 150, 100), Standing::Disputed { began: None });
        assert_eq!(input.message(&sensor, peer, 239, 100), Standing::Disputed { began: None });
        assert_eq!(input.message(&sensor, peer, 240, 100), alone(true));
        input.untold();
        assert_eq!(input.message(&sensor, peer, 241, 100), alone(true));
        assert_eq!(input.message(&sensor, peer, 242, 100), alone(false));
        // Silent for so long that its last value is stale: another one may come.
        assert_eq!(input.message(&thief, None, 342, 100), alone(false));
        // A sensor that said goodbye, and its replacement.
        input.left(&thief);
        assert_eq!(input.message(&sensor, peer, 343, 100), alone(false));
        input.left(&thief);
        assert_eq!(input.message(&thief, None, 344, 100), began(&sensor, 343));
    }
}
