//! Second half of QoS 2 for published messages (§4.3.3): identifiers whose PUBREL is owed, also on the next connection of the session (§4.4). Either
//! the peer has taken the message by PUBREC, or it may hold the identifier from a time of which this side knows nothing.

use std::collections::VecDeque;

use super::bytes_in_transit::Wrote;
use super::token::Token;
use crate::wire::PacketId;

/// Estimated bytes of memory for an identifier.
const RELEASE_BYTES: usize = 48;
/// Most connections in a row that end before the first PUBCOMP for an identifier of an earlier one.
const TRIES: u8 = 10;

/// Identifier that is in use until PUBCOMP.
#[derive(Debug, Clone, Copy)]
struct Release {
    id: PacketId,
    /// Token of the message that the peer has taken under it; `None` if nobody knows whether the peer holds one.
    token: Option<Token>,
    /// Time and position of the PUBREL on this connection; `None` before it is written.
    wrote: Option<Wrote>,
    /// Set if PUBREC came on this connection, so that the message has a place in the Receive Maximum until PUBCOMP.
    has_place: bool,
    /// Set if a PUBREL under this identifier was given up on this connection, whose PUBCOMP may still come.
    follows_given_up: bool,
    /// Number of connections on which its PUBREL was written and no such one was answered.
    tries: u8,
    /// Set once the peer was waited for long enough. It may be used again, but its PUBREL may be lost with the connection.
    is_given_up: bool,
}

impl Release {
    fn of(id: PacketId, token: Option<Token>) -> Self {
        let (wrote, has_place, follows_given_up) = (None, false, false);
        Self { id, token, wrote, has_place, follows_given_up, tries: 0, is_given_up: false }
    }
}

/// Identifier whose PUBREL is owed between two connections.
#[derive(Debug, Clone, Copy)]
struct Owed {
    id: PacketId,
    token: Option<Token>,
    /// Number of connections that tried it in vain.
    tries: u8,
}

/// Identifiers whose PUBREL the next connection of the session owes.
#[derive(Debug, Clone, Default)]
pub(super) struct OwedReleases(Vec<Owed>);

impl OwedReleases {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds an identifier that the peer may hold.
    pub(super) fn add(&mut self, id: PacketId) {
        if self.0.iter().all(|owed| owed.id != id) {
            self.0.push(Owed { id, token: None, tries: 0 });
        }
    }

    /// Takes the identifiers under which the peer has taken a message, each with its token.
    pub(super) fn take_taken(&mut self) -> Vec<(PacketId, Token)> {
        let taken = self.0.extract_if(.., |owed| owed.token.is_some());
        taken.filter_map(|owed| Some((owed.id, owed.token?))).collect()
    }

    /// Tokens of the messages that the peer has taken and not completed.
    pub(super) fn tokens(&self) -> impl Iterator<Item = Token> {
        self.0.iter().filter_map(|owed| owed.token)
    }

    #[cfg(feature = "testing")]
    pub(super) fn hash_state(&self, hasher: &mut impl crate::state_hash::StateHasher) {
        hasher.write_usize(self.0.len());
        for Owed { id, token, tries } in &self.0 {
            hasher.write_u64(u64::from(id.get()) << 16 | u64::from(*tries) << 1 | u64::from(token.is_some()));
            token.iter().for_each(|token| hasher.write_token(token.0));
        }
    }

    /// Estimates the memory of the identifiers, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.0.len() * RELEASE_BYTES
    }
}

/// End of an exchange by PUBCOMP.
#[derive(Debug, Clone, Copy)]
pub(super) struct Completion {
    /// Token of the message; `None` if nobody knew whether the peer held one.
    pub(super) token: Option<Token>,
    /// PUBREL that was answered.
    pub(super) released: Wrote,
    /// Set if a place in the Receive Maximum becomes free.
    pub(super) has_place: bool,
    /// Set if the PUBCOMP can answer another PUBREL under this identifier, of a time of which this side knows nothing.
    pub(super) is_ambiguous: bool,
}

/// Identifiers until PUBCOMP, in the order of their PUBRECs, in which their PUBRELs leave (\[MQTT-4.6.0-4\]). They are as few as there are
/// [identifiers](super::packet_id::QOS_2_IDS), so that a list is cheaper than a map.
#[derive(Debug, Clone, Default)]
pub(super) struct Releases {
    open: VecDeque<Release>,
    /// Set once the peer has answered the PUBREL of an identifier of an earlier connection.
    is_answered: bool,
}

impl Releases {
    /// Continues with what earlier connections of the session owe.
    pub(super) fn resumed(OwedReleases(owed): OwedReleases) -> Self {
        let release = |Owed { id, token, tries }| Release { tries, ..Release::of(id, token) };
        Self { open: owed.into_iter().map(release).collect(), is_answered: false }
    }

    /// Adds the identifier of a message whose PUBREC came on the connection on which it was written.
    pub(super) fn add_received(&mut self, id: PacketId, token: Token) {
        self.add(Release { has_place: true, ..Release::of(id, Some(token)) });
    }

    /// Adds identifiers that the peer may hold.
    pub(super) fn add_doubtful(&mut self, ids: impl IntoIterator<Item = PacketId>) {
        for id in ids {
            if !self.is_id_used(id) {
                self.add(Release::of(id, None));
            }
        }
    }

    /// Adds an identifier, in the place of an entry for it that was given up.
    fn add(&mut self, mut release: Release) {
        let before = self.open.len();
        self.open.retain(|other| other.id != release.id);
        release.follows_given_up = self.open.len() < before;
        self.open.push_back(release);
    }

    /// Returns the first identifier whose PUBREL was not written on this connection; `None` if there is none.
    pub(super) fn next_unwritten(&self) -> Option<PacketId> {
        self.open.iter().find(|release| release.wrote.is_none()).map(|release| release.id)
    }

    /// Records that the PUBREL of an identifier was written.
    pub(super) fn on_written(&mut self, id: PacketId, wrote: Wrote) {
        if let Some(release) = self.open.iter_mut().find(|release| release.id == id) {
            release.wrote = Some(wrote);
        }
    }

    /// Frees an identifier by its PUBCOMP. `None` if no PUBREL with this identifier was written on this connection.
    pub(super) fn complete(&mut self, id: PacketId) -> Option<Completion> {
        let at = self.open.iter().position(|release| release.id == id && release.wrote.is_some())?;
        let Release { token, wrote, has_place, follows_given_up, .. } = self.open.remove(at)?;
        self.is_answered |= !has_place;
        self.shrink();
        Some(Completion { token, released: wrote?, has_place, is_ambiguous: follows_given_up })
    }

    /// Frees the identifiers of earlier connections whose PUBRELs were written and not answered, because the peer ignores a PUBREL that it does not
    /// know. `arrived` is the position in the stream up to which bytes are known to have arrived: those behind it are kept. Returns the token of each, if
    /// it has one.
    pub(super) fn give_up_unanswered(&mut self, arrived: u64) -> Vec<Option<Token>> {
        let ignored = self.open.iter_mut().filter(|release| {
            let has_arrived = release.wrote.is_some_and(|wrote| wrote.end() <= arrived);
            !release.has_place && !release.is_given_up && has_arrived
        });
        let given_up = ignored.map(|release| {
            release.is_given_up = true;
            // Should its PUBCOMP come after all, it says nothing of a message that was published again.
            release.token.take()
        });
        given_up.collect()
    }

    /// PUBRELs that wait for their PUBCOMP and belong to an earlier connection.
    fn earlier(&self) -> impl Iterator<Item = &Release> {
        self.open.iter().filter(|release| !release.has_place)
    }

    /// Returns whether a PUBREL of an identifier of an earlier connection is still to be written.
    pub(super) fn has_unwritten_of_earlier(&self) -> bool {
        self.earlier().any(|release| release.wrote.is_none())
    }

    /// Returns whether a PUBREL of an identifier of an earlier connection was written and has no answer.
    pub(super) fn has_unanswered_of_earlier(&self) -> bool {
        self.earlier().any(|release| release.wrote.is_some())
    }

    /// Returns whether such a PUBREL is not given up, because nobody knows whether it has arrived.
    pub(super) fn awaits_arrival(&self) -> bool {
        self.earlier().any(|release| release.wrote.is_some() && !release.is_given_up)
    }

    /// Frees the memory of the list once it is empty: it may have had all identifiers, once, after a restart.
    fn shrink(&mut self) {
        if self.open.is_empty() {
            self.open = VecDeque::new();
        }
    }

    /// Returns whether an identifier waits for its PUBCOMP.
    pub(super) fn is_id_used(&self, id: PacketId) -> bool {
        self.open.iter().any(|release| release.id == id && !release.is_given_up)
    }

    /// Number of identifiers that wait for their PUBCOMP.
    pub(super) fn len(&self) -> usize {
        self.open.iter().filter(|release| !release.is_given_up).count()
    }

    /// Estimates the memory of the identifiers, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.open.len() * RELEASE_BYTES
    }

    /// Hashes what counts, for a stream that arrived up to a position. They are many, and each is one number.
    #[cfg(feature = "testing")]
    pub(super) fn hash_state(&self, arrived: u64, hasher: &mut impl crate::state_hash::StateHasher) {
        hasher.write_usize(self.open.len() << 1 | usize::from(self.is_answered));
        for Release { id, token, wrote, has_place, follows_given_up, tries, is_given_up } in &self.open {
            let has_arrived = wrote.is_some_and(|wrote| wrote.end() <= arrived);
            let of_wrote = [wrote.is_some(), has_arrived, *has_place];
            let flags = [token.is_some(), *follows_given_up, *is_given_up].into_iter().chain(of_wrote);
            let start = u64::from(id.get()) << 8 | u64::from(*tries);
            hasher.write_u64(flags.fold(start, |sum, flag| sum << 1 | u64::from(flag)));
            token.iter().for_each(|token| hasher.write_token(token.0));
        }
    }

    /// Ends the connection and returns what the next one owes. `arrived` is the position in the stream up to which bytes are known to have arrived: a
    /// PUBREL before it was ignored. Identifiers of earlier connections are given up after [`TRIES`] connections: a peer that ends each at such a
    /// PUBREL would never get another message.
    pub(super) fn into_owed(self, arrived: u64) -> OwedReleases {
        let owed = self.open.into_iter().filter_map(|release| {
            let Release { id, token, wrote, has_place, tries, is_given_up, .. } = release;
            if is_given_up && wrote.is_some_and(|wrote| wrote.end() <= arrived) {
                return None;
            }
            let tries = match wrote {
                _ if has_place || self.is_answered => 0,
                Some(_) => tries + 1,
                None => tries,
            };
            (tries < TRIES).then_some(Owed { id, token, tries })
        });
        OwedReleases(owed.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::bytes_in_transit::BytesInTransit;
    use super::*;

    fn id(id: u16) -> PacketId {
        PacketId::new(id).unwrap()
    }

    fn complete(releases: &mut Releases, n: u16) -> Option<bool> {
        releases.complete(id(n)).map(|completion| completion.has_place)
    }

    #[test]
    fn a_pubrel_is_owed_on_each_connection_until_pubcomp() {
        let mut releases = Releases::default();
        releases.add_received(id(7), Token(70));
        releases.add_received(id(3), Token(30));
        assert_eq!(complete(&mut releases, 3), None, "PUBREL did not leave yet");
        for expected in [7, 3] {
            assert_eq!(releases.next_unwritten(), Some(id(expected)));
            releases.on_written(id(expected), Wrote::default());
        }
        assert_eq!(releases.next_unwritten(), None);
        assert_eq!((complete(&mut releases, 7), complete(&mut releases, 7)), (Some(true), None));
        assert!(releases.is_id_used(id(3)) && !releases.is_id_used(id(7)));
        assert_eq!((releases.len(), releases.bytes()), (1, RELEASE_BYTES));
        assert_eq!(releases.give_up_unanswered(u64::MAX), [], "its PUBCOMP is still to come");

        let owed = releases.into_owed(0);
        assert_eq!(owed.tokens().collect::<Vec<_>>(), [Token(30)]);
        let mut releases = Releases::resumed(owed);
        assert_eq!(releases.give_up_unanswered(u64::MAX), [], "it was not written here");
        assert_eq!(releases.next_unwritten(), Some(id(3)));
        releases.on_written(id(3), Wrote::default());
        let completion = releases.complete(id(3)).unwrap();
        assert_eq!(completion.token, Some(Token(30)));
        assert!(!completion.has_place, "its place was one of the connection before");
        assert!(releases.into_owed(0).is_empty());
    }

    /// Its publisher has to publish it again: the peer does not say that it is complete.
    #[test]
    fn an_exchange_that_is_given_up_names_its_message_once() {
        let mut releases = Releases::default();
        releases.add_received(id(7), Token(70));
        let mut releases = Releases::resumed(releases.into_owed(0));
        releases.on_written(id(7), Wrote::default());
        assert_eq!(releases.give_up_unanswered(u64::MAX), [Some(Token(70))]);
        assert_eq!(releases.give_up_unanswered(u64::MAX), []);
        assert_eq!(releases.complete(id(7)).unwrap().token, None, "a late PUBCOMP");
    }

    /// Else a slow answer to the first PUBREL would say that the peer has lost a message which it has.
    #[test]
    fn a_pubcomp_behind_a_pubrel_that_was_given_up_is_ambiguous() {
        let mut releases = Releases::default();
        for (token, is_ambiguous) in [(70, true), (71, false)] {
            if is_ambiguous {
                releases.add_doubtful([id(7)]);
                releases.on_written(id(7), Wrote::default());
                releases.give_up_unanswered(u64::MAX);
            }
            releases.add_received(id(7), Token(token));
            releases.on_written(id(7), Wrote::default());
            assert_eq!(releases.complete(id(7)).unwrap().is_ambiguous, is_ambiguous);
        }
    }

    #[test]
    fn a_peer_that_ignores_what_it_does_not_know_holds_nothing() {
        let mut releases = Releases::default();
        releases.add_doubtful([id(7), id(7), id(3)]);
        releases.on_written(id(7), Wrote::default());
        assert!(releases.has_unwritten_of_earlier() && releases.has_unanswered_of_earlier());
        assert_eq!(releases.give_up_unanswered(u64::MAX), [None]);
        assert_eq!(releases.give_up_unanswered(u64::MAX), []);
        assert!(!releases.is_id_used(id(7)) && releases.is_id_used(id(3)));
        assert_eq!(releases.len(), 1);
        releases.add_doubtful([id(7)]);
        assert_eq!((releases.len(), releases.bytes()), (2, 2 * RELEASE_BYTES), "in its place");
        releases.on_written(id(7), Wrote::default());
        assert_eq!(releases.next_unwritten(), Some(id(3)), "each is written once");
        releases.complete(id(7));
        // It may be in use again; its PUBREL may be lost all the same.
        let mut transit = BytesInTransit::default();
        transit.on_encoded(4);
        releases.on_written(id(3), Wrote::last(0, &transit));
        assert_eq!(releases.give_up_unanswered(3), [], "it may not have arrived");
        assert!(releases.awaits_arrival());
        assert_eq!(releases.give_up_unanswered(u64::MAX), [None]);
        assert!(!releases.awaits_arrival());
        assert!(Releases::resumed(releases.into_owed(3)).is_id_used(id(3)), "nobody knows");
        let mut releases = Releases::default();
        releases.add_doubtful([id(3)]);
        releases.on_written(id(3), Wrote::last(0, &transit));
        releases.give_up_unanswered(u64::MAX);
        assert!(releases.into_owed(4).is_empty(), "what was written behind it was answered");
    }

    #[test]
    fn what_is_never_answered_is_given_up_after_ten_connections() {
        let mut owed = OwedReleases::default();
        owed.add(id(7));
        owed.add(id(7));
        assert_eq!(owed.bytes(), RELEASE_BYTES);
        for tries in 0..19 {
            let mut releases = Releases::resumed(owed);
            assert!(releases.is_id_used(id(7)));
            releases.on_written(id(7), Wrote::default());
            if tries == 8 {
                releases.add_doubtful([id(3)]);
                releases.on_written(id(3), Wrote::default());
                assert_eq!(complete(&mut releases, 3), Some(false));
            }
            owed = releases.into_owed(0);
        }
        assert!(owed.is_empty());
    }
}
