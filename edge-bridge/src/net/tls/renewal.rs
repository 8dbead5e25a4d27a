//! Renewal of a link's client certificate. Its files are read again before each dial, and a new certificate counts as proven when a hub has
//! accepted a CONNECT with it. Until then the dials of each address alternate between the new and the former one, because a certificate that the hub
//! does not accept yet must not cut a gateway off for good. Authorities and lists of revoked certificates count for both from the moment on in which they were read.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::Tls;
use crate::net::hub_address::Target;
use crate::net::repeats::Repeats;
use crate::net::reread_source::{RereadSource, Subject};

/// Most addresses with a turn, because a name may have another one each time.
const TURNS_MAX: usize = 64;

/// Certificates of a link, see the [module](self). Clones share their state.
#[derive(Clone)]
pub(in crate::net) struct TlsRenewal {
    source: RereadSource<Option<Tls>>,
    state: Arc<Mutex<Option<State>>>,
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
}

impl State {
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
                was_judged: false,
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
        // What is trusted no more, or revoked, is so whichever of the two is used: else the way to the hub could choose by breaking a handshake.
        self.proven = self.proven.judging_as(&read);
        // How the hub's certificate is judged is nothing that a hub has to accept.
        let is_shown = self.candidate.as_ref().unwrap_or(&self.proven).shows_as(&read);
        self.candidate = match self.candidate.take() {
            candidate if is_shown => candidate.map(|candidate| candidate.judging_as(&read)),
            _ => {
                (self.turns, self.is_refused) = (Vec::new(), false);
                Some(finish(read))
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
    /// Set if the hub could judge the candidate on it or on an earlier one: the handshake ended, well or with a word about the certificate.
    was_judged: bool,
    /// Dials that use the same certificate again.
    repeats: Repeats,
}

impl TlsRenewal {
    /// Creates the renewal. `read` returns `None` while the files are unchanged.
    pub(in crate::net) fn new(read: impl Fn() -> io::Result<Option<Tls>> + Send + Sync + 'static) -> Self {
        Self { source: RereadSource::new(Subject::Certificate, read), state: Arc::default() }
    }

    /// Returns the TLS settings for the next dial. `first` are those with which the link was started. `finish` completes settings that are read
    /// again.
    pub(in crate::net) async fn next(
        &self,
        address: &Address,
        first: &Tls,
        finish: impl FnOnce(Tls) -> Tls,
    ) -> Tls {
        let read = self.source.read().await.flatten();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || State { proven: first.clone(), candidate: None, turns: Vec::new(), is_refused: false };
        let state = state.get_or_insert_with(new);
        match read {
            None => {}
            // There is no former one to take turns with.
            Some(read) if state.proven.is_awaiting => *state = State { proven: finish(read), ..new() },
            Some(read) => state.read_again(read, finish),
        }
        let is_candidates = state.turn(address);
        match &state.candidate {
            Some(candidate) if is_candidates => candidate.clone(),
            _ => state.proven.clone(),
        }
    }

    /// Returns whether the hub does not accept the settings that were read last, and accepts the former ones.
    pub(in crate::net) fn is_refused(&self) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.as_ref().is_some_and(|state| state.is_refused)
    }

    /// Records that the last dial's handshake went so far that the hub could judge the certificate.
    pub(in crate::net) fn on_judged(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let last = state.iter_mut().filter_map(|state| state.turns.last_mut());
        last.for_each(|turn| turn.was_judged |= turn.is_candidates);
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
        let Some(turn) = state.turns.last() else { return };
        if !turn.is_candidates {
            // Where no address of the hub could judge it, they may have been dead, and the next dial of this one uses it.
            let mut turns = state.turns.iter().filter(|other| other.address.0 == turn.address.0);
            if turns.any(|turn| turn.was_judged) {
                state.is_refused = true;
                tracing::warn!(
                    "the hub does not take the link's renewed certificate: the former one is used"
                );
            }
        } else if let Some(candidate) = state.candidate.take() {
            *state = State { proven: candidate, candidate: None, turns: Vec::new(), is_refused: false };
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
mod tests {
    use rustls::{ClientConfig, RootCertStore, crypto};

    use super::*;

    fn tls() -> Tls {
        let builder = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let config = builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
        Tls::from_config(Arc::new(config))
    }

    fn address() -> Address {
        ("mqtts://hub".parse().unwrap(), None)
    }

    fn is_same(one: &Tls, other: &Tls) -> bool {
        Arc::ptr_eq(&one.config, &other.config)
    }

    /// There is none to take turns with, and the first one is not offered to every second dial alone.
    #[tokio::test]
    async fn a_first_certificate_is_used_at_once_and_nothing_is_dialled_before() {
        let (first, file) = (tls().awaiting_certificate(), Arc::new(Mutex::new(None)));
        let source = file.clone();
        let renewal = TlsRenewal::new(move || Ok(source.lock().unwrap().take()));
        for _ in 0..3 {
            let used = renewal.next(&address(), &first, |tls| tls).await;
            assert!(used.is_awaiting);
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let stream = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let stream = crate::net::tcp_stream::Counted::new(stream, Arc::default());
            let error = used.handshake("hub", stream).await.unwrap_err();
            assert_eq!(error.to_string(), "there is no certificate of this client yet");
        }
        let own = tls();
        *file.lock().unwrap() = Some(own.clone());
        for _ in 0..3 {
            assert!(is_same(&renewal.next(&address(), &first, |tls| tls).await, &own));
        }
    }

    /// Lists and authorities are read again with all files; a hub that is away for a dial has not refused them. They count at once, also for the
    /// former certificate: a way to the hub that breaks a handshake must not have the former ones back.
    #[tokio::test]
    async fn how_the_hub_is_judged_is_nothing_that_it_has_to_take() {
        let authority = || {
            let key = rcgen::KeyPair::generate().unwrap();
            rcgen::CertificateParams::default().self_signed(&key).unwrap()
        };
        let trusting = |root: &rcgen::Certificate| {
            let mut roots = RootCertStore::empty();
            roots.add(root.der().clone()).unwrap();
            Tls::new(std::path::Path::new("ca"), roots, None).unwrap()
        };
        let trusted = |tls: &Tls| tls.verifier.as_ref().unwrap().authorities().0.roots.clone();
        let (former, newer) = (authority(), authority());
        let own = rcgen::generate_simple_self_signed(["site7".to_owned()]).unwrap();
        for shows_other in [false, true] {
            let mut read = trusting(&newer);
            if shows_other {
                read.own = vec![own.cert.der().clone()].into();
            }
            let expected = trusted(&read);
            let read = Mutex::new(Some(read));
            let renewal = TlsRenewal::new(move || Ok(read.lock().unwrap().take()));
            // Three dials, of which the hub answers the second.
            for n in 0..3 {
                assert_eq!(
                    trusted(&renewal.next(&address(), &trusting(&former), |tls| tls).await),
                    expected,
                    "{n}"
                );
                renewal.on_judged();
                if n == 1 {
                    renewal.on_accepted();
                }
            }
            assert_eq!(renewal.is_refused(), shows_other);
        }
    }

    #[tokio::test]
    async fn a_renewed_certificate_and_the_former_take_turns_until_one_is_accepted() {
        let (first, second, third) = (tls(), tls(), tls());
        let file = Arc::new(Mutex::new(None::<Tls>));
        let read = file.clone();
        let renewal = TlsRenewal::new(move || Ok(read.lock().unwrap().take()));
        let next = async || {
            let tls = renewal.next(&address(), &first, |tls| tls).await;
            renewal.on_judged();
            tls
        };
        assert!(is_same(&next().await, &first));
        renewal.on_accepted();
        *file.lock().unwrap() = Some(second.clone());
        assert!(is_same(&next().await, &second), "the new one first");
        assert!(is_same(&next().await, &first), "it was not accepted");
        assert!(!renewal.is_refused(), "the link may have been down");
        renewal.on_accepted();
        assert!(renewal.is_refused());
        assert!(is_same(&next().await, &second), "the former one proves nothing of it");
        renewal.on_accepted();
        assert!(!renewal.is_refused());
        assert!(is_same(&next().await, &second) && is_same(&next().await, &second));
        *file.lock().unwrap() = Some(third.clone());
        assert!(
            is_same(&next().await, &third) && is_same(&next().await, &second),
            "the last that was accepted"
        );
    }

    /// Two addresses that take turns, of which one accepts TCP alone: the other one is offered both certificates.
    #[tokio::test]
    async fn each_address_has_its_own_turns() {
        let (first, second) = (tls(), tls());
        let file = Mutex::new(Some(second.clone()));
        let renewal = TlsRenewal::new(move || Ok(file.lock().unwrap().take()));
        let [away, well] = ["127.0.0.1:1", "127.0.0.1:2"].map(|peer| (address().0, peer.parse().ok()));
        let mut offered = Vec::new();
        for _ in 0..2 {
            drop(renewal.next(&away, &first, |tls| tls).await);
            offered.push(is_same(&renewal.next(&well, &first, |tls| tls).await, &second));
        }
        assert_eq!(offered, [true, false]);
        assert!(!renewal.is_refused(), "neither was accepted");
        drop(renewal.next(&away, &first, |tls| tls).await);
        assert!(is_same(&renewal.next(&well, &first, |tls| tls).await, &second));
        renewal.on_accepted();
        assert!(is_same(&renewal.next(&away, &first, |tls| tls).await, &second), "it is in use everywhere");
    }

    /// All addresses of a name refuse the new one, or are dead; their number does not keep the former one away, nor does a name that has another one
    /// each time.
    #[tokio::test]
    async fn many_addresses_do_not_keep_the_former_certificate_away() {
        for are_dead in [true, false] {
            many_addresses(are_dead).await;
        }
    }

    async fn many_addresses(are_dead: bool) {
        let (first, second) = (tls(), tls());
        let file = Mutex::new(Some(second.clone()));
        let renewal = TlsRenewal::new(move || Ok(file.lock().unwrap().take()));
        let mut offered = Vec::new();
        for n in 1..=6 {
            let peer = SocketAddr::from(([10, 0, 0, 1], n));
            offered
                .push(is_same(&renewal.next(&(address().0, Some(peer)), &first, |tls| tls).await, &second));
            if !are_dead {
                renewal.on_judged();
            }
        }
        assert_eq!(offered, [true, true, false, true, true, false]);
        renewal.on_accepted();
        assert_eq!(renewal.is_refused(), !are_dead, "the sixth never had it");
        let sixth = (address().0, Some(SocketAddr::from(([10, 0, 0, 1], 6))));
        assert!(is_same(&renewal.next(&sixth, &first, |tls| tls).await, &second));
    }

    /// A hub that takes one certificate and one form of the CONNECT, and says nothing of either.
    #[tokio::test]
    async fn a_changed_connect_comes_with_both_certificates() {
        for (takes_new, takes_bit) in [(false, false), (false, true), (true, false), (true, true)] {
            let (first, second) = (tls(), tls());
            let file = Mutex::new(Some(second.clone()));
            let renewal = TlsRenewal::new(move || Ok(file.lock().unwrap().take()));
            let (mut has_bit, mut dials) = (true, 0);
            loop {
                let is_new = is_same(&renewal.next(&address(), &first, |tls| tls).await, &second);
                dials += 1;
                if (is_new, has_bit) == (takes_new, takes_bit) {
                    break;
                }
                // As the bridge bit does.
                if has_bit {
                    renewal.on_other_connect();
                }
                has_bit = !has_bit;
                assert!(dials < 5, "{takes_new} {takes_bit}");
            }
        }
        // Changes without end do not keep the other certificate away.
        let (first, second) = (tls(), tls());
        let file = Mutex::new(Some(second.clone()));
        let renewal = TlsRenewal::new(move || Ok(file.lock().unwrap().take()));
        let mut offered = Vec::new();
        for _ in 0..8 {
            offered.push(is_same(&renewal.next(&address(), &first, |tls| tls).await, &second));
            renewal.on_other_connect();
        }
        assert_eq!(offered, [[true; 4], [false; 4]].concat());
    }

    /// Both ends are renewed at the same time, and the hub's files come later.
    #[tokio::test]
    async fn a_hub_that_is_refused_here_has_refused_nothing() {
        let (first, second) = (tls(), tls());
        let file = Mutex::new(Some(second.clone()));
        let renewal = TlsRenewal::new(move || Ok(file.lock().unwrap().take()));
        for _ in 0..3 {
            assert!(is_same(&renewal.next(&address(), &first, |tls| tls).await, &second));
            renewal.on_not_judged();
        }
        assert!(is_same(&renewal.next(&address(), &first, |tls| tls).await, &second));
        renewal.on_accepted();
        assert!(!renewal.is_refused());
        assert!(is_same(&renewal.next(&address(), &first, |tls| tls).await, &second), "it is in use");
    }

    #[tokio::test]
    async fn what_cannot_be_read_changes_nothing() {
        let first = tls();
        let renewal = TlsRenewal::new(|| Err(io::Error::from(io::ErrorKind::NotFound)));
        for _ in 0..3 {
            assert!(is_same(&renewal.next(&address(), &first, |tls| tls).await, &first));
        }
        assert!(format!("{renewal:?}").starts_with("TlsRenewal"));
    }
}
