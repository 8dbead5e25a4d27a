//! Second half of QoS 2 for published messages (§4.3.3): the peer has taken the message (PUBREC), and its identifier is in use until PUBCOMP. The
//! PUBREL is owed also on the next connection of the session (§4.4).

use std::collections::VecDeque;

use super::bytes_in_transit::Wrote;
use crate::wire::PacketId;

/// Estimated bytes of memory for an identifier.
const RELEASE_BYTES: usize = 48;
/// Most connections in a row on which PUBRELs of unknown identifiers are written and none is answered.
const TRIES: u8 = 10;

/// Exchange whose PUBREC has come.
#[derive(Debug, Clone, Copy)]
struct Release {
    id: PacketId,
    /// Time and position of the PUBREL on this connection; `None` before it is written.
    wrote: Option<Wrote>,
    origin: Origin,
}

/// How an identifier came to be released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// PUBREC on this connection: the message has a place in the Receive Maximum until PUBCOMP.
    Here,
    /// PUBREC on an earlier connection.
    Before,
    /// The peer may hold it from a time of which this side knows nothing. Contains the number of connections on which its PUBREL was written and
    /// no such one was answered.
    Unknown(u8),
}

/// Exchanges that the next connection of the session continues.
#[derive(Debug, Clone, Default)]
pub(super) struct Owed(Vec<(PacketId, Origin)>);

impl Owed {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds an identifier that the peer may hold.
    pub(super) fn add_unknown(&mut self, id: PacketId) {
        if self.0.iter().all(|(owed, _)| *owed != id) {
            self.0.push((id, Origin::Unknown(0)));
        }
    }

    /// Estimates the memory of the exchanges, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.0.len() * RELEASE_BYTES
    }
}

/// Exchanges between PUBREC and PUBCOMP, in the order of their PUBRECs, in which their PUBRELs leave (\[MQTT-4.6.0-4\]). They are as few as there
/// are [identifiers](super::packet_id::QOS_2_IDS), so that a list is cheaper than a map.
#[derive(Debug, Default)]
pub(super) struct Releases {
    open: VecDeque<Release>,
    /// Set once the peer has answered the PUBREL of an unknown identifier on this connection.
    answers_unknown: bool,
}

impl Releases {
    /// Continues with the exchanges of earlier connections of the session.
    pub(super) fn resumed(Owed(owed): Owed) -> Self {
        let release = |(id, origin)| Release { id, wrote: None, origin };
        Self { open: owed.into_iter().map(release).collect(), answers_unknown: false }
    }

    /// Adds identifiers that the peer may hold from a time of which this side knows nothing.
    pub(super) fn add_unknown(&mut self, ids: impl Iterator<Item = PacketId>) {
        for id in ids {
            if !self.is_id_used(id) {
                self.open.push_back(Release { id, wrote: None, origin: Origin::Unknown(0) });
            }
        }
    }

    /// Adds the exchange of a message whose PUBREC came on the connection on which it was written.
    pub(super) fn add(&mut self, id: PacketId) {
        self.open.push_back(Release { id, wrote: None, origin: Origin::Here });
    }

    /// Returns the first exchange whose PUBREL was not written on this connection; `None` if there is none.
    pub(super) fn next_unwritten(&self) -> Option<PacketId> {
        self.open.iter().find(|release| release.wrote.is_none()).map(|release| release.id)
    }

    /// Records that the PUBREL of an exchange was written.
    pub(super) fn on_written(&mut self, id: PacketId, wrote: Wrote) {
        if let Some(release) = self.open.iter_mut().find(|release| release.id == id) {
            release.wrote = Some(wrote);
        }
    }

    /// Ends an exchange by its PUBCOMP. Returns the PUBREL that was answered, and whether a place in the Receive Maximum becomes free. `None` if
    /// no PUBREL with this identifier was written on this connection.
    pub(super) fn complete(&mut self, id: PacketId) -> Option<(Wrote, bool)> {
        let at = self.open.iter().position(|release| release.id == id && release.wrote.is_some())?;
        let Release { wrote, origin, .. } = self.open.remove(at)?;
        if matches!(origin, Origin::Unknown(_)) {
            self.answers_unknown = true;
        }
        Some((wrote?, origin == Origin::Here))
    }

    pub(super) fn is_id_used(&self, id: PacketId) -> bool {
        self.open.iter().any(|release| release.id == id)
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// Estimates the memory of the exchanges, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.open.len() * RELEASE_BYTES
    }

    /// Ends the connection and returns the exchanges that the next one continues. Unknown identifiers are given up after [`TRIES`] connections: a peer
    /// that ends the connection at their PUBRELs would never get another message.
    pub(super) fn into_owed(self) -> Owed {
        let owed = self.open.into_iter().filter_map(|Release { id, wrote, origin }| match origin {
            Origin::Here | Origin::Before => Some((id, Origin::Before)),
            Origin::Unknown(_) if self.answers_unknown => Some((id, Origin::Unknown(0))),
            Origin::Unknown(tries) => {
                let tries = tries + u8::from(wrote.is_some());
                (tries < TRIES).then_some((id, Origin::Unknown(tries)))
            }
        });
        Owed(owed.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(id: u16) -> PacketId {
        PacketId::new(id).unwrap()
    }

    #[test]
    fn a_pubrel_is_owed_on_each_connection_until_pubcomp() {
        let mut releases = Releases::default();
        releases.add(id(7));
        releases.add(id(3));
        assert_eq!(releases.complete(id(3)).map(|(_, place)| place), None, "PUBREL did not leave yet");
        for expected in [7, 3] {
            assert_eq!(releases.next_unwritten(), Some(id(expected)));
            releases.on_written(id(expected), Wrote::default());
        }
        assert_eq!(releases.next_unwritten(), None);
        assert_eq!(releases.complete(id(7)).map(|(_, place)| place), Some(true));
        assert_eq!(releases.complete(id(7)).map(|(_, place)| place), None);
        assert!(releases.is_id_used(id(3)) && !releases.is_id_used(id(7)));
        assert_eq!((releases.len(), releases.bytes()), (1, RELEASE_BYTES));

        let mut releases = Releases::resumed(releases.into_owed());
        assert_eq!(releases.next_unwritten(), Some(id(3)));
        releases.on_written(id(3), Wrote::default());
        let place = releases.complete(id(3)).map(|(_, place)| place);
        assert_eq!(place, Some(false), "its place was one of the connection before");
        assert!(releases.into_owed().is_empty());
    }

    #[test]
    fn an_unknown_identifier_is_given_up_after_ten_connections_without_an_answer() {
        let mut owed = Owed::default();
        owed.add_unknown(id(7));
        owed.add_unknown(id(7));
        assert_eq!(owed.bytes(), RELEASE_BYTES);
        for tries in 0..19 {
            // A connection on which nothing was written does not count.
            owed = Releases::resumed(owed).into_owed();
            let mut releases = Releases::resumed(owed);
            assert!(releases.is_id_used(id(7)));
            releases.add_unknown([id(7)].into_iter());
            releases.on_written(id(7), Wrote::default());
            if tries == 8 {
                releases.add_unknown([id(3)].into_iter());
                releases.on_written(id(3), Wrote::default());
                assert_eq!(releases.complete(id(3)).map(|(_, place)| place), Some(false));
            }
            owed = releases.into_owed();
        }
        assert!(owed.is_empty());
    }
}
