//! Renewal of a link's client certificate. Its files are read again before each dial, and while there is a connection ([`timetable`]), which is replaced
//! then. A new certificate counts as proven when a hub has
//! accepted a CONNECT with it. Until then the dials of each address alternate between the new and the former one, because a certificate that the hub
//! does not accept yet must not cut a gateway off for good. While there is a connection by the former one, the new one is offered again after a growing
//! pause, by another move. Authorities and lists of revoked certificates count for both from the moment on in which they were read.

pub(in crate::net) mod timetable;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::Tls;
use super::certificate_chain::{Fingerprint, fingerprint, last_second};
use crate::bridge::Stats;
use crate::net::hub_address::Target;
use crate::net::repeats::Repeats;
use crate::net::reread_source::{RereadSource, Subject};
use timetable::{Found, Pace};

/// Most addresses with a turn, because a name may have another one each time.
const TURNS_MAX: usize = 64;
/// Offers without an answer, about half an hour of them on a steady line, from which on a certificate counts as refused in the statistics.
const UNANSWERED_MAX: u32 = 6;

/// Certificates of a link, see the [module](self). Clones share their state.
#[derive(Clone)]
pub(in crate::net) struct TlsRenewal {
    source: RereadSource<Option<Tls>>,
    state: Arc<Mutex<Option<State>>>,
    pub(in crate::net) pace: Pace,
}

#[derive(Debug, Clone)]
struct State {
    /// TLS settings that a hub accepted last, or with which the link was started.
    proven: Tls,
    /// TLS settings that were read since and that no hub has accepted yet; `None` if there are none.
    candidate: Option<Tls>,
    /// Turns of the addresses that were dialled since the candidate was read, the last one at the end. They are apart, because the addresses take
    /// turns themselves: with one turn for two of them each would get the same certificate for ever. At most [`TURNS_MAX`].
    turns: Vec<Turn>,
    /// Set once the hub accepted the proven settings after it did not accept the candidate.
    is_refused: bool,
    /// Connections that were made by the proven settings since the candidate was read.
    vain_offers: u32,
    /// Certificate that was read last.
    read: Option<Fingerprint>,
    seen: Seen,
}

/// Certificates that a hub was shown.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    /// Last second of the settings with which a hub accepted a CONNECT last; `None` before the first.
    taken_ends_s: Option<u64>,
    /// Certificate of those settings.
    taken: Option<Fingerprint>,
    /// Certificate of the last dial.
    shown: Option<Fingerprint>,
    /// Certificate of the last dial or connection that ended.
    at_error: Option<Fingerprint>,
}

impl State {
    fn new(proven: Tls) -> Self {
        let (candidate, turns, read) = (None, Vec::new(), fingerprint(&proven.own));
        Self { proven, candidate, turns, is_refused: false, vain_offers: 0, read, seen: Seen::default() }
    }

    /// Returns whether the next dial of this address uses the candidate.
    fn turn(&mut self, address: &Address) -> bool {
        if self.candidate.is_none() {
            return false;
        }
        let last =
            self.turns.iter().position(|turn| turn.address == *address).map(|at| self.turns.remove(at));
        let turn = match last {
            None => Turn {
                address: address.clone(),
                is_candidates: self.is_candidates_at_first(&address.0),
                judged: 0,
                repeats: Repeats::default(),
            },
            Some(mut turn) => {
                turn.is_candidates ^= !turn.repeats.take();
                turn
            }
        };
        let is_candidates = turn.is_candidates;
        self.turns.push(turn);
        if self.turns.len() > TURNS_MAX {
            self.turns.remove(0);
        }
        is_candidates
    }

    /// Takes settings that were read again.
    fn read_again(&mut self, read: Tls, finish: impl FnOnce(Tls) -> Tls) {
        self.read = fingerprint(&read.own);
        // What is trusted no more, or revoked, is so whichever of the two is used: else the way to the hub could choose by breaking a handshake.
        self.proven = self.proven.judging_as(&read);
        // How the hub's certificate is judged is nothing that a hub has to accept.
        let is_shown = self.candidate.as_ref().unwrap_or(&self.proven).shows_as(&read);
        self.candidate = match self.candidate.take() {
            candidate if is_shown => candidate.map(|candidate| candidate.judging_as(&read)),
            _ => {
                (self.turns, self.is_refused, self.vain_offers) = (Vec::new(), false, 0);
                // One that took the place of the proven one, and was taken back, leaves nothing to be proven.
                (!self.proven.shows_as(&read)).then(|| finish(read))
            }
        };
    }

    /// Returns whether the first dial of an address uses the candidate. It is offered to two addresses of a name in a row, of which one may be dead;
    /// a name with many, or with others each time, gets the former one behind them.
    fn is_candidates_at_first(&self, target: &Target) -> bool {
        let before = self.turns.iter().rev().filter(|turn| turn.address.0 == *target).take(2);
        before.filter(|turn| turn.is_candidates).count() < 2
    }
}

/// Address that was dialled: of the hub's name, and of the peer that answered by TCP, because a name may have several.
pub(in crate::net) type Address = (Target, Option<SocketAddr>);

/// Last dial of an address.
#[derive(Debug, Clone)]
struct Turn {
    address: Address,
    /// Set if it used the candidate.
    is_candidates: bool,
    /// Dials on which the hub could judge the candidate: the handshake ended, well or with a word about the certificate.
    judged: u32,
    /// Dials that use the same certificate again.
    repeats: Repeats,
}

impl TlsRenewal {
    /// Creates the renewal. `read` returns `None` while the files are unchanged.
    pub(in crate::net) fn new(read: impl Fn() -> io::Result<Option<Tls>> + Send + Sync + 'static) -> Self {
        let source = RereadSource::new(Subject::Certificate, read);
        Self { source, state: Arc::default(), pace: Pace::default() }
    }

    /// Returns the TLS settings for the next dial. `first` are those with which the link was started. `finish` completes settings that are read
    /// again.
    pub(in crate::net) async fn next(
        &self,
        address: &Address,
        first: &Tls,
        finish: impl FnOnce(Tls) -> Tls,
    ) -> Tls {
        let use_now = |state: &mut State| {
            let is_candidates = state.turn(address);
            let used = match &state.candidate {
                Some(candidate) if is_candidates => candidate.clone(),
                _ => state.proven.clone(),
            };
            state.seen.shown = fingerprint(&used.own);
            used
        };
        self.read(first, finish, use_now).await
    }

    /// Reads the certificate again, while there is a connection. Returns what there is to be offered to the hub. `first` and `finish` are as for
    /// [`next`](Self::next).
    pub(in crate::net) async fn look(&self, first: &Tls, finish: impl FnOnce(Tls) -> Tls) -> Found {
        let found = |state: &mut State| match state.candidate {
            None => Found::Nothing,
            Some(_) if state.vain_offers > 0 => {
                Found::InVain { offers: state.vain_offers, is_refused: state.is_refused }
            }
            Some(_) if state.turns.is_empty() => Found::Renewed,
            Some(_) => Found::Nothing,
        };
        self.read(first, finish, found).await
    }

    /// Has the next dial of each address use the new certificate, because the connection is replaced for it.
    pub(in crate::net) fn offer(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.iter_mut().for_each(|state| state.turns.clear());
    }

    /// Returns the reason for which there is no certificate yet; `None` if there is one. `first` and `finish` are as for [`next`](Self::next).
    pub(in crate::net) async fn awaiting(
        &self,
        first: &Tls,
        finish: impl FnOnce(Tls) -> Tls,
    ) -> Option<Arc<str>> {
        self.read(first, finish, |state| state.proven.awaiting.clone().filter(|_| state.candidate.is_none()))
            .await
    }

    async fn read<T>(
        &self,
        first: &Tls,
        finish: impl FnOnce(Tls) -> Tls,
        take: impl FnOnce(&mut State) -> T,
    ) -> T {
        let read = self.source.read().await.flatten();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = state.get_or_insert_with(|| State::new(first.clone()));
        match read {
            None => {}
            // There is no former one to take turns with.
            Some(read) if state.proven.awaiting.is_some() => *state = State::new(finish(read)),
            Some(read) => state.read_again(read, finish),
        }
        take(state)
    }

    /// Returns whether the hub does not accept the settings that were read last, or has left them unanswered for about half an hour, and accepts the former ones.
    pub(in crate::net) fn is_refused(&self) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.as_ref().is_some_and(|state| state.is_refused || state.vain_offers >= UNANSWERED_MAX)
    }

    /// Fills in what the statistics say of the certificates.
    pub(in crate::net) fn tell(&self, stats: &mut Stats) {
        stats.certificate_not_taken = self.is_refused();
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(State { read, seen, .. }) = state.as_ref() else { return };
        (stats.certificate_taken_ends_s, stats.certificate_taken) = (seen.taken_ends_s, seen.taken);
        (stats.certificate_read, stats.certificate_at_error) = (*read, seen.at_error);
    }

    /// Records that the last dial failed, or its connection ended.
    pub(in crate::net) fn on_ended(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.iter_mut().for_each(|state| state.seen.at_error = state.seen.shown);
    }

    /// Records that the last dial's handshake went so far that the hub could judge the certificate.
    pub(in crate::net) fn on_judged(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let last = state.iter_mut().filter_map(|state| state.turns.last_mut());
        last.for_each(|turn| turn.judged += u32::from(turn.is_candidates));
    }

    /// Records that the last connection was given up because the hub was silent, so that it has not judged the certificate.
    pub(in crate::net) fn on_silent(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let last = state.iter_mut().filter_map(|state| state.turns.last_mut());
        last.for_each(|turn| turn.judged = turn.judged.saturating_sub(u32::from(turn.is_candidates)));
    }

    /// Records that the last dial failed before the hub could judge the certificate: that dial counts for nothing.
    pub(in crate::net) fn on_not_judged(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.iter_mut().for_each(|state| drop(state.turns.pop()));
    }

    /// Records that the last connection may have ended for something else in its CONNECT, which changes: the next dial of its address uses the same
    /// certificate. Else the two could change in step, so that one certificate never came with one form of the CONNECT.
    pub(in crate::net) fn on_other_connect(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let last = state.iter_mut().filter_map(|state| state.turns.last_mut());
        last.for_each(|turn| turn.repeats.ask());
    }

    /// Records that a hub accepted a CONNECT on the last dialled connection.
    pub(in crate::net) fn on_accepted(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(state) = state.as_mut() else { return };
        let shown = match (&state.candidate, state.turns.last()) {
            (Some(candidate), Some(turn)) if turn.is_candidates => candidate,
            _ => &state.proven,
        };
        (state.seen.taken_ends_s, state.seen.taken) = (last_second(&shown.own), fingerprint(&shown.own));
        let Some(turn) = state.turns.last() else { return };
        if !turn.is_candidates {
            // Where no address of the hub could judge it, they may have been dead, and the next dial of this one uses it.
            let mut turns = state.turns.iter().filter(|other| other.address.0 == turn.address.0);
            let is_judged = turns.any(|turn| turn.judged > 0);
            state.vain_offers = state.vain_offers.saturating_add(1);
            if is_judged && !state.is_refused {
                (state.is_refused, state.vain_offers) = (true, 1);
                tracing::warn!(
                    "the hub does not take the link's renewed certificate: the former one is used"
                );
            } else if !is_judged && state.vain_offers == 1 {
                tracing::warn!(
                    "the hub did not answer to the link's renewed certificate: the former one is used, the new one tried again"
                );
            }
        } else if let Some(candidate) = state.candidate.take() {
            *state = State { seen: state.seen, ..State::new(candidate) };
            tracing::info!("the link's renewed certificate is in use");
        }
    }
}

impl fmt::Debug for TlsRenewal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsRenewal").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
