//! Renewal of the listener's certificate, and of the files by which it judges its clients.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use edge_bridge::net::CertificateUser;
use rcgen::ExtendedKeyUsagePurpose::{self, ClientAuth, ServerAuth};
use rcgen::{CertificateParams, Issuer, KeyPair};

use super::*;

/// Files of a listener that lets in clients with a certificate.
fn written(dir: &Path) -> TlsAddresses {
    let write = |name: &str, text: &str| {
        std::fs::write(dir.join(name), text).unwrap();
        dir.join(name)
    };
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let day = std::time::Duration::from_secs(86_400);
    let list = rcgen::CertificateRevocationListParams {
        this_update: SystemTime::now().into(),
        next_update: (SystemTime::now() + day).into(),
        crl_number: 1.into(),
        issuing_distribution_point: None,
        revoked_certs: Vec::new(),
        key_identifier_method: rcgen::KeyIdMethod::Sha256,
    };
    let list = list.signed_by(&Issuer::from_params(&params, &key)).unwrap().pem().unwrap();
    let cert = params.self_signed(&key).unwrap().pem();
    TlsAddresses {
        addresses: vec!["127.0.0.1:1".parse().unwrap()],
        cert: write("cert", &cert),
        key: write("key", &key.serialize_pem()),
        client_ca: Some(write("ca", &cert)),
        client_crl: Some(write("crl", &list)),
        client_user: CertificateUser::CommonName,
    }
}

/// In force it would keep out every client of that authority. The good one is taken back, and an authority of the same name with another key comes with
/// its list, whichever of the two files is there first.
#[test]
fn a_list_that_another_key_signed_stays_out_and_the_one_before_in_force() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (files, others) = (written(dir.path()), written(other.path()));
    let (crl, ca) = (files.client_crl.as_ref().unwrap(), files.client_ca.as_ref().unwrap());
    let tls = ListenerTls::open(&files, ClockFloor::new(|| None)).unwrap();
    let good = [crl, ca].map(|file| std::fs::read(file).unwrap());
    std::fs::copy(others.client_crl.as_ref().unwrap(), crl).unwrap();
    let forged = tls.renewed(&files);
    let said = forged.failed.unwrap();
    assert!(said.contains("crl: the list of ") && said.contains("is signed by another key than"), "{said}");
    assert!(forged.is_of_content && !forged.verifies_again);
    let both = forged.tls.clone();
    std::fs::write(crl, &good[0]).unwrap();
    let back = forged.tls.renewed(&files);
    assert_eq!((back.failed, back.verifies_again), (None, false));
    // The authority first, and the list first.
    std::fs::copy(others.client_ca.as_ref().unwrap(), ca).unwrap();
    let alone = back.tls.renewed(&files);
    assert!(alone.failed.unwrap().contains("is signed by another key than") && !alone.verifies_again);
    std::fs::copy(others.client_crl.as_ref().unwrap(), crl).unwrap();
    for tls in [alone.tls, both] {
        let renewal = tls.renewed(&files);
        assert_eq!((renewal.failed, renewal.verifies_again), (None, true));
    }
}

/// Such as on a disk that is away for a moment: the stamps of the files are the same afterwards.
#[test]
fn what_could_not_be_read_may_be_readable_the_next_time() {
    let dir = tempfile::tempdir().unwrap();
    let files = written(dir.path());
    let tls = ListenerTls::open(&files, ClockFloor::new(|| None)).unwrap();
    assert_eq!(tls.renewed(&files).failed, None);
    for name in ["cert", "key", "ca", "crl"] {
        let path = dir.path().join(name);
        let before = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let renewal = tls.renewed(&files);
        assert!(renewal.failed.is_some() && !renewal.is_of_content, "{name}: {:?}", renewal.failed);
        std::fs::write(&path, "nothing").unwrap();
        let renewal = tls.renewed(&files);
        assert!(renewal.failed.is_some() && renewal.is_of_content, "{name}: {:?}", renewal.failed);
        std::fs::write(&path, before).unwrap();
    }
}

/// There is nothing that could stay as it was.
#[test]
fn a_certificate_that_cannot_be_used_since_the_start_is_told_as_no_renewal() {
    let dir = tempfile::tempdir().unwrap();
    let files = written(dir.path());
    let key = std::fs::read(&files.key).unwrap();
    std::fs::write(&files.key, KeyPair::generate().unwrap().serialize_pem()).unwrap();
    let tls = ListenerTls::open(&files, ClockFloor::new(|| None)).unwrap();
    let renewal = tls.renewed(&files);
    assert_eq!((renewal.failed, renewal.shows_another), (None, false));
    assert!(tls.unusable.is_some() && renewal.tls.unusable == tls.unusable);
    std::fs::write(&files.key, key).unwrap();
    let renewal = renewal.tls.renewed(&files);
    assert!(renewal.shows_another && renewal.tls.unusable.is_none());
}

/// Puts a certificate of the key that is there, of these years and uses, in the place of the listener's.
fn put(files: &TlsAddresses, years: [i32; 2], uses: &[ExtendedKeyUsagePurpose]) {
    let key = KeyPair::from_pem(&std::fs::read_to_string(&files.key).unwrap()).unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    [params.not_before, params.not_after] = years.map(|year| rcgen::date_time_ymd(year, 1, 1));
    params.extended_key_usages = uses.to_vec();
    std::fs::write(&files.cert, params.self_signed(&key).unwrap().pem()).unwrap();
}

/// With one certificate for hub and listener, and clients that do not look at it.
#[test]
fn clients_that_take_one_for_clients_are_shown_the_next_one() {
    let dir = tempfile::tempdir().unwrap();
    let files = written(dir.path());
    let next = |years| put(&files, years, &[ClientAuth]);
    next([2000, 2159]);
    let first = ListenerTls::open(&files, ClockFloor::new(|| None)).unwrap();
    next([2000, 2160]);
    let second = first.renewed(&files);
    assert!(second.shows_another && second.failed.is_none(), "{:?}", second.failed);
    assert!(second.doubt.is_some(), "it is said");
    next([2000, 2161]);
    assert!(second.tls.renewed(&files).shows_another, "nor is the third refused for the second");
}

/// Such as in 1970, without a battery, before a time server answers: clients judge by their clocks.
#[test]
fn a_clock_that_may_be_wrong_keeps_out_no_certificate_as_not_valid_yet() {
    let dir = tempfile::tempdir().unwrap();
    let files = written(dir.path());
    let tls = ListenerTls::open(&files, ClockFloor::new(|| Some(SystemTime::UNIX_EPOCH))).unwrap();
    put(&files, [2150, 2160], &[ServerAuth]);
    let renewal = tls.renewed(&files);
    assert!(renewal.shows_another && renewal.failed.is_none(), "{:?}", renewal.failed);
    assert_eq!(renewal.doubt, None);
}

/// A time server that is away for half an hour makes a right clock one that may be wrong.
#[test]
fn what_a_right_clock_refused_is_not_shown_when_nobody_knows_the_time_any_more() {
    let dir = tempfile::tempdir().unwrap();
    let files = written(dir.path());
    let is_right = Arc::new(AtomicBool::new(true));
    let asked = Arc::clone(&is_right);
    let floor = ClockFloor::new(move || (!asked.load(Relaxed)).then_some(SystemTime::UNIX_EPOCH));
    let tls = ListenerTls::open(&files, floor).unwrap();
    let next = |years| put(&files, years, &[ServerAuth]);
    next([2150, 2160]);
    let refused = tls.renewed(&files);
    assert!(refused.failed.is_some() && !refused.shows_another);
    is_right.store(false, Relaxed);
    let later = refused.tls.renewed(&files);
    assert!(later.failed.is_some() && !later.shows_another);
    next([2151, 2160]);
    assert!(later.tls.renewed(&files).shows_another, "of this one no right clock has said anything");
}

/// As at a boot by a clock that is behind.
#[test]
fn one_that_was_not_valid_yet_at_the_start_is_protected_once_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let files = written(dir.path());
    put(&files, [2150, 2160], &[ServerAuth]);
    let tls = ListenerTls::open(&files, ClockFloor::new(|| None)).unwrap();
    put(&files, [2000, 2001], &[ServerAuth]);
    let renewal = tls.renewed(&files);
    assert!(renewal.failed.is_some() && !renewal.shows_another);
}

#[test]
fn a_certificate_that_ended_while_it_was_shown_gives_way_to_any() {
    let dir = tempfile::tempdir().unwrap();
    let files = written(dir.path());
    put(&files, [2000, 2001], &[ServerAuth]);
    let ended = ListenerTls::open(&files, ClockFloor::new(|| None)).unwrap();
    put(&files, [2000, 2160], &[ClientAuth]);
    let renewal = ended.renewed(&files);
    assert!(renewal.shows_another && renewal.doubt.is_some(), "{:?}", renewal.failed);
}

#[test]
fn a_certificate_that_no_client_takes_is_not_shown_in_place_of_one_in_force() {
    let dir = tempfile::tempdir().unwrap();
    let files = written(dir.path());
    let tls = ListenerTls::open(&files, ClockFloor::new(|| None)).unwrap();
    for (years, uses, problem) in [
        ([2000, 2001], ServerAuth, "the certificate has expired"),
        ([2150, 2160], ServerAuth, "the certificate is not valid yet"),
        ([2000, 2160], ClientAuth, "the certificate is not one for servers"),
    ] {
        put(&files, years, &[uses]);
        let renewal = tls.renewed(&files);
        let failed = renewal.failed.unwrap_or_default();
        let path = files.cert.display();
        assert_eq!(failed, format!("{path}: {problem}, clients refuse it ([local] cert)"));
        assert!(!renewal.shows_another);
        // It is looked at again only if time alone can make it good.
        assert_eq!(renewal.is_of_content, problem != "the certificate is not valid yet");
        // At a start there is no other one.
        let started = ListenerTls::open(&files, ClockFloor::new(|| None)).unwrap();
        assert_eq!((started.unusable.clone(), started.renewed(&files).failed), (None, None), "{problem}");
    }
    put(&files, [2000, 2160], &[ServerAuth]);
    let renewal = tls.renewed(&files);
    assert!(renewal.shows_another && renewal.failed.is_none(), "{:?}", renewal.failed);
    assert_eq!(renewal.doubt, None);
}

/// Of two kinds: none could be used before, or another one that some clients take was in force.
#[test]
fn a_certificate_that_clients_refuse_is_shown_with_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let files = written(dir.path());
    let open = || ListenerTls::open(&files, ClockFloor::new(|| None)).unwrap();
    let authority = std::fs::read(&files.cert).unwrap();
    let key = std::fs::read_to_string(&files.key).unwrap();
    std::fs::remove_file(&files.key).unwrap();
    let without = open();
    std::fs::write(&files.key, &key).unwrap();
    put(&files, [2000, 2160], &[ClientAuth]);
    let renewal = without.renewed(&files);
    let path = files.cert.display();
    let expected =
        format!("{path}: the certificate is not one for servers, clients refuse it ([local] cert)");
    assert_eq!((renewal.shows_another, renewal.doubt), (true, Some(expected)));
    assert_eq!(renewal.tls.renewed(&files).doubt, None, "it is the same");
    put(&files, [2000, 2160], &[]);
    let good = open();
    std::fs::write(&files.cert, authority).unwrap();
    let doubt = good.renewed(&files).doubt.unwrap();
    assert!(doubt.contains("made for an authority") && doubt.contains("clients may refuse it"), "{doubt}");
}
