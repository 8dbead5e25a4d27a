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
        assert!(used.awaiting.is_some());
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
    assert!(is_same(&next().await, &third) && is_same(&next().await, &second), "the last that was accepted");
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
        offered.push(is_same(&renewal.next(&(address().0, Some(peer)), &first, |tls| tls).await, &second));
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

/// A hub judges a certificate of TLS 1.3 behind the handshake: one that falls silent then has not judged it.
#[tokio::test]
async fn a_hub_that_is_silent_has_refused_nothing() {
    let (first, second) = (tls(), tls());
    let file = Mutex::new(Some(second.clone()));
    let renewal = TlsRenewal::new(move || Ok(file.lock().unwrap().take()));
    let next = async || is_same(&renewal.next(&address(), &first, |tls| tls).await, &second);
    for offers in 1..=UNANSWERED_MAX {
        assert!(next().await);
        renewal.on_judged();
        renewal.on_silent();
        assert!(!next().await);
        renewal.on_judged();
        renewal.on_accepted();
        // The end of that connection.
        renewal.on_silent();
        assert_eq!(renewal.is_refused(), offers == UNANSWERED_MAX);
        let found = renewal.look(&first, |tls| tls).await;
        assert_eq!(found, Found::InVain { offers, is_refused: false });
        renewal.offer();
    }
    assert!(next().await);
    renewal.on_judged();
    assert!(!next().await);
    renewal.on_accepted();
    let found = renewal.look(&first, |tls| tls).await;
    assert_eq!(found, Found::InVain { offers: 1, is_refused: true });
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

/// An authority behind them that ends before both has them end in the same second.
#[tokio::test]
async fn certificates_with_one_end_are_told_apart() {
    let site = Behind::new();
    let (former, new) = (site.shows("former"), site.shows("new"));
    let hash = |tls: &Tls| fingerprint(&tls.own);
    let file = Mutex::new(Some(new.clone()));
    let renewal = TlsRenewal::new(move || Ok(file.lock().unwrap().take()));
    let told = || {
        let mut stats = Stats::default();
        renewal.tell(&mut stats);
        stats
    };
    assert_eq!(told(), Stats::default());
    for (used, is_taken) in [(&new, false), (&former, true), (&new, true)] {
        assert_eq!(hash(&renewal.next(&address(), &former, |tls| tls).await), hash(used));
        renewal.on_judged();
        let before = told().certificate_taken;
        if is_taken {
            renewal.on_accepted();
        }
        renewal.on_ended();
        let stats = told();
        assert_eq!(stats.certificate_taken, if is_taken { hash(used) } else { before });
        assert_eq!((stats.certificate_at_error, stats.certificate_read), (hash(used), hash(&new)));
        assert_eq!(stats.certificate_taken_ends_s, is_taken.then_some(20_000 * 86_400));
    }
}

/// Authority behind certificates of clients, that ends on the day 20000.
struct Behind(rcgen::Certificate, rcgen::Issuer<'static, rcgen::KeyPair>);

impl Behind {
    fn new() -> Self {
        let params = |name: &str| {
            let mut params = rcgen::CertificateParams::default();
            params.distinguished_name.push(rcgen::DnType::CommonName, name);
            params.not_after =
                (std::time::UNIX_EPOCH + std::time::Duration::from_secs(20_000 * 86_400)).into();
            params
        };
        let key = || rcgen::KeyPair::generate().unwrap();
        let issuer = rcgen::Issuer::new(params("below"), key());
        let below = params("below").signed_by(issuer.key(), &rcgen::Issuer::new(params("root"), key()));
        Self(below.unwrap(), issuer)
    }

    fn shows(&self, name: &str) -> Tls {
        let mut params = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let leaf = params.signed_by(&rcgen::KeyPair::generate().unwrap(), &self.1).unwrap();
        Tls { own: vec![leaf.der().clone(), self.0.der().clone()].into(), ..tls() }
    }
}
