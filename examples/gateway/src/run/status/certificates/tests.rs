//! Ends of certificates, and files that change.

use rcgen::{CertificateParams, KeyPair};

use crate::run::log::captured_log;

use super::*;

const NOW_S: u64 = 1_800_000_000;

fn at(days: i64) -> SystemTime {
    let now = UNIX_EPOCH + Duration::from_secs(NOW_S);
    let far = DAY * u32::try_from(days.abs()).unwrap();
    if days < 0 { now - far } else { now + far }
}

fn pem(days: i64) -> String {
    let mut params = CertificateParams::new(vec!["x".to_owned()]).unwrap();
    params.not_after = at(days).into();
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
}

/// Certificates of one role whose file holds these ends.
fn of(dir: &Path, role: Role, near_days: u32, ends: &[i64]) -> Certificates {
    let path = dir.join("file");
    std::fs::write(&path, ends.iter().map(|days| pem(*days)).collect::<String>()).unwrap();
    let files = Arc::new(Mutex::new(vec![File::new(role, &path, None, DAY * near_days)]));
    Certificates { files, enrolment: EnrolmentState::default() }
}

fn days(end: &End) -> i64 {
    (end.at_s.unwrap().cast_signed() - NOW_S.cast_signed()) / 86_400
}

#[test]
fn an_end_is_near_as_long_before_it_as_is_asked_for_and_after_it() {
    let dir = tempfile::tempdir().unwrap();
    for (near_days, end, is_near) in
        [(14, 15, false), (14, 13, true), (14, -1, true), (14, -400, true), (90, 89, true), (90, 91, false)]
    {
        let ends = of(dir.path(), Role::Hub, near_days, &[end]).ends_at(at(0), true);
        assert_eq!((days(&ends[0]), ends[0].is_near), (end, is_near), "{near_days} {end}");
    }
}

#[test]
fn what_is_not_of_the_chain_does_not_count_and_of_authorities_the_last_to_end_does() {
    let dir = tempfile::tempdir().unwrap();
    for (role, end) in
        [(Role::Hub, 100), (Role::Listener, 100), (Role::HubAuthority, 900), (Role::SensorAuthority, 900)]
    {
        let ends = of(dir.path(), role, 14, &[100, 900, 300]).ends_at(at(0), true);
        assert_eq!(ends.iter().map(days).collect::<Vec<_>>(), [end], "{role}");
    }
}

/// Peers judge the authorities between, too, where they have none of their own.
#[test]
fn a_chain_ends_with_the_first_of_its_certificates_to_end() {
    let dir = tempfile::tempdir().unwrap();
    let named = |name: &str, days: i64| {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.not_after = at(days).into();
        params
    };
    let signed = |name: &str, issuer: &str, days: i64| {
        let issuer = rcgen::Issuer::new(named(issuer, 0), KeyPair::generate().unwrap());
        named(name, days).signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap().pem()
    };
    let leaf = signed("leaf", "line", 100);
    let root = named("root", -1).self_signed(&KeyPair::generate().unwrap()).unwrap().pem();
    let twins = [signed("line", "old root", 5), signed("line", "root", 900)];
    for (behind, end) in [
        (signed("line", "root", 10), 10),
        (signed("line", "root", 900), 100),
        (signed("line", "root", 900) + &root, 100),
        (twins.concat(), 100),
    ] {
        let path = dir.path().join("file");
        std::fs::write(&path, leaf.clone() + &behind).unwrap();
        for role in [Role::Hub, Role::Listener] {
            let file = File::new(role, &path, None, DAY * 14);
            assert_eq!((file.end, file.is_near(at(0))), (Some(at(end)), end < 14), "{role} {end}");
        }
    }
}

#[test]
fn a_renewed_file_is_read_and_one_that_cannot_be_read_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let certificates = of(dir.path(), Role::Hub, 14, &[3]);
    let end = || {
        certificates.look(at(0), true);
        certificates.ends_at(at(0), true).iter().map(|end| (days(end), end.is_near)).collect::<Vec<_>>()
    };
    let path = dir.path().join("file");
    assert_eq!(end(), [(3, true)]);
    let asks = || certificates.ends_at(at(0), true)[0].is_unreadable;
    std::fs::remove_file(&path).unwrap();
    assert_eq!((end(), asks()), (vec![(3, true)], false), "a renewal may be under way");
    std::fs::write(&path, "half a certif").unwrap();
    assert_eq!((end(), asks()), (vec![(3, true)], true));
    std::fs::write(&path, pem(365)).unwrap();
    assert_eq!((end(), asks()), (vec![(365, false)], false));
    std::fs::write(&path, "half a certif").unwrap();
    assert!(!certificates.ends_at(at(0), true)[0].needs_somebody());
    assert_eq!((end(), end(), asks()), (vec![(365, false)], vec![(365, false)], true));
    assert!(certificates.ends_at(at(0), true)[0].needs_somebody());
}

/// Returns a list whose dates can be read, and whose end is not there.
fn cut(pem: &str) -> String {
    let lines: Vec<_> = pem.lines().collect();
    let (head, end) = lines.split_at(lines.len() - 2);
    head.join("\n") + "\n" + end[1] + "\n"
}

/// As one that is missing: the next start would fail.
#[test]
fn a_list_that_cannot_be_used_needs_somebody() {
    let dir = tempfile::tempdir().unwrap();
    let key = || KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["x".to_owned()]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let list = |key: &KeyPair| {
        let list = rcgen::CertificateRevocationListParams {
            this_update: at(-1).into(),
            next_update: at(9).into(),
            crl_number: 1.into(),
            issuing_distribution_point: None,
            revoked_certs: Vec::new(),
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        };
        list.signed_by(&rcgen::Issuer::from_params(&params, key)).unwrap().pem().unwrap()
    };
    let own = key();
    let (ca, path) = (dir.path().join("ca"), dir.path().join("crl"));
    std::fs::write(&ca, params.self_signed(&own).unwrap().pem()).unwrap();
    let good = list(&own);
    // PEM as before, and dates that can be read; cut behind them.
    let broken = cut(&good);
    for (bad, what) in [(list(&key()), "another key"), (broken, "broken")] {
        assert_ne!(bad, good, "{what}");
        std::fs::write(&path, &good).unwrap();
        let file = File::new(Role::SensorsRevoked, &path, Some(&ca), Duration::ZERO);
        let certificates =
            Certificates { files: Arc::new(Mutex::new(vec![file])), enrolment: EnrolmentState::default() };
        let needs_somebody = || {
            (0..2).for_each(|_| certificates.look(at(0), true));
            certificates.ends_at(at(0), true)[0].needs_somebody()
        };
        assert!(!needs_somebody());
        std::fs::write(&path, bad).unwrap();
        assert!(needs_somebody(), "{what}");
        std::fs::write(&path, &good).unwrap();
        assert!(!needs_somebody(), "{what}");
    }
}

#[test]
fn a_key_of_another_certificate_needs_somebody() {
    let dir = tempfile::tempdir().unwrap();
    let [cert, key] = ["cert", "key"].map(|name| dir.path().join(name));
    let pair = || {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["x".to_owned()]).unwrap();
        params.not_after = at(400).into();
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    };
    let text = |local: &str, hub: &str| {
        format!("[gateway]\nid = \"g\"\n[local]\n{local}\n[hub]\n{hub}\n[queue]\n[[route]]\nmatch = \"#\"\n")
    };
    let pair_keys = "cert = \"cert\"\nkey = \"key\"";
    for text in [
        text("listen = \"127.0.0.1:1883\"", &format!("url = \"mqtts://h\"\n{pair_keys}")),
        text(&format!("tls_listen = \"127.0.0.1:8883\"\n{pair_keys}"), "url = \"mqtt://h\""),
    ] {
        let (mine, other) = (pair(), pair());
        std::fs::write(&cert, &mine.0).unwrap();
        std::fs::write(&key, &mine.1).unwrap();
        let parsed = Config::parse(&dir.path().join("g.toml"), &text, &|_| None);
        let config = parsed.unwrap_or_else(|findings| panic!("{findings}")).0;
        let certificates = Certificates::new(&config);
        let needs = || {
            certificates.look(at(0), true);
            certificates.ends_at(at(0), true)[0].needs_somebody()
        };
        assert!(!needs() && !needs());
        std::fs::write(&key, &other.1).unwrap();
        assert!(!needs(), "a renewal may be under way");
        assert!(needs(), "{text}");
        std::fs::write(&cert, &other.0).unwrap();
        assert!(!needs() && !needs(), "both are there");
    }
}

/// Each client refuses it, and nobody else says so while the gateway runs. A hub may take one that names no clients.
#[test]
fn a_certificate_of_the_listener_that_no_client_takes_needs_somebody() {
    use rcgen::ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
    let dir = tempfile::tempdir().unwrap();
    let needs_by = |is_clock_right, role, from, usage| {
        let certificates = of(dir.path(), role, 14, &[400]);
        let mut params = CertificateParams::new(vec!["x".to_owned()]).unwrap();
        (params.not_before, params.not_after) = (at(from).into(), at(400).into());
        params.extended_key_usages = vec![usage];
        let cert = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        std::fs::write(dir.path().join("file"), cert.pem()).unwrap();
        let lines = captured_log::captured(|| certificates.look(at(0), is_clock_right));
        let needs = certificates.ends_at(at(0), is_clock_right)[0].needs_somebody();
        assert_eq!(lines.contains("a certificate that clients refuse"), needs, "{lines}");
        needs
    };
    let needs = |role, from, usage| needs_by(true, role, from, usage);
    assert!(!needs(Role::Listener, -1, ServerAuth));
    assert!(needs(Role::Listener, -1, ClientAuth), "not for servers");
    assert!(needs(Role::Listener, 1, ServerAuth), "not valid yet");
    assert!(!needs_by(false, Role::Listener, 1, ServerAuth), "it may be by a clock that is right");
    assert!(needs_by(false, Role::Listener, -1, ClientAuth), "whatever the time");
    assert!(!needs(Role::Hub, -1, ServerAuth));
}

#[test]
fn a_certificate_that_was_not_valid_yet_is_fit_without_a_change_of_its_file_and_told_once_a_day_before() {
    let dir = tempfile::tempdir().unwrap();
    let certificates = of(dir.path(), Role::Listener, 14, &[400]);
    let mut params = CertificateParams::new(vec!["x".to_owned()]).unwrap();
    (params.not_before, params.not_after) = (at(3).into(), at(400).into());
    let cert = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
    std::fs::write(dir.path().join("file"), cert.pem()).unwrap();
    let lines = |day| captured_log::captured(|| certificates.look(at(day), true)).lines().count();
    assert_eq!([0, 0, 1, 1, 4].map(lines), [1, 0, 1, 0, 0]);
    assert!(!certificates.ends_at(at(4), true)[0].needs_somebody());
}

#[test]
fn there_is_a_line_once_a_day_and_at_once_for_another_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let certificates = of(dir.path(), Role::Hub, 14, &[10]);
    let says = |now: SystemTime| {
        let before = certificates.lock()[0].said;
        certificates.look(now, true);
        certificates.lock()[0].said == Some(now) && before != Some(now)
    };
    let hour = Duration::from_secs(3_600);
    assert!(!says(at(-5)), "it is not near yet");
    assert!(says(at(0)) && !says(at(0) + hour) && !says(at(0) + hour * 23));
    assert!(says(at(1)) && says(at(11)), "also behind its end");
    let line = |now| captured_log::captured(|| certificates.look(now, true));
    assert!(line(at(12)).contains("a certificate has ended"));
    assert!(line(at(12)).is_empty(), "said already");
    std::fs::write(dir.path().join("file"), pem(12)).unwrap();
    assert!(line(at(11) + hour).contains("a certificate ends soon") && !says(at(11) + hour * 2));
    std::fs::write(dir.path().join("file"), "half a certif").unwrap();
    assert!(line(at(11) + hour * 3).is_empty(), "a renewal may be under way");
    assert!(line(at(12) + hour * 2).contains("cannot be read"));
}

fn end() -> End {
    End {
        role: Role::HubAuthority,
        at_s: Some(0),
        days_left: 0,
        is_near: false,
        has_ended: false,
        is_unreadable: false,
        is_foreign: false,
        unfit: None,
    }
}

#[test]
fn without_a_certificate_there_is_no_series() {
    let mut page = Page::default();
    render(&[], &mut page);
    assert_eq!(page.into_text(), "");
    let mut page = Page::default();
    render(&[End { at_s: Some(5), ..end() }], &mut page);
    let text = page.into_text();
    assert!(text.ends_with("\nedge_certificate_expiry_timestamp_seconds{role=\"hub_ca\"} 5\n"), "{text}");
}

/// Of thirty days five are left where the renewal is overdue, or what messages may wait, and fourteen where nobody renews by himself.
#[cfg(feature = "est")]
#[test]
fn a_certificate_of_hub_and_broker_that_the_gateway_renews_is_near_its_end_at_both_late() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["both", "own"] {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["x".to_owned()]).unwrap();
        (params.not_before, params.not_after) = (at(-20).into(), at(10).into());
        let path = dir.path().join(name);
        std::fs::write(&path, params.self_signed(&key).unwrap().pem()).unwrap();
        std::fs::write(path.with_extension("key"), key.serialize_pem()).unwrap();
    }
    let near = |name: &str, max_age: &str| {
        let text = format!(
            "[gateway]\nid = \"g\"\n[local]\nbroker = \"mqtts://b\"\ntopics = [\"#\"]\nbroker_cert = \"{name}\"\nbroker_key = \"{name}.key\"\n\
             [hub]\nurl = \"mqtts://h\"\ncert = \"both\"\nkey = \"both.key\"\n[hub.est]\nurl = \"https://e\"\n[queue]\n{max_age}\n[[route]]\nmatch = \"#\"\n"
        );
        let parsed = Config::parse(&dir.path().join("g.toml"), &text, &|_| None);
        let config = parsed.unwrap_or_else(|findings| panic!("{findings}")).0;
        let ends = Certificates::new(&config).ends_at(at(0), true);
        ends.iter().map(|end| (end.role, end.is_near)).collect::<Vec<_>>()
    };
    assert_eq!(near("both", ""), [(Role::Hub, false), (Role::Broker, false)]);
    assert_eq!(near("own", ""), [(Role::Hub, false), (Role::Broker, true)]);
    let is_near_at_hub = |max_age| near("both", max_age)[0].1;
    assert!(!is_near_at_hub("max_age = \"9d\""));
    assert!(is_near_at_hub("max_age = \"11d\""), "what waits so long cannot be delivered with it");
    assert!(is_near_at_hub("max_age = \"40d\""), "no renewal would help");
}

/// Nothing is said of what nobody could ever read: the start fails then.
#[test]
fn an_end_that_is_not_known_is_not_near() {
    let file = File::new(Role::Hub, Path::new("/nowhere"), None, DAY);
    assert!(file.end.is_none() && !file.is_near(at(0)));
}

/// A file that holds something else stays, so that somebody has to look at it.
#[test]
fn a_first_certificate_is_to_come_by_a_claim_and_only_where_there_is_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cert");
    let is_unreadable = |comes_by_claim| {
        let mut file = File::new(Role::Hub, &path, None, DAY).enrolled(comes_by_claim, DAY);
        for _ in 0..FAILED_LOOKS {
            file.take(read((Role::Hub, &path, None), [None; 2], at(0)));
        }
        file.is_unreadable()
    };
    assert!(!is_unreadable(true) && is_unreadable(false));
    std::fs::write(&path, "half a certif").unwrap();
    assert!(is_unreadable(true));
}

/// That of the file is one that the hub refuses, and may end years later.
#[test]
fn the_end_that_is_shown_is_that_of_the_certificate_in_use() {
    let dir = tempfile::tempdir().unwrap();
    let certificates = of(dir.path(), Role::Hub, 14, &[300]);
    let shown = |link: &Stats| {
        certificates.own(link);
        let end = certificates.ends_at(at(0), true).remove(0);
        (days(&end), end.is_near, certificates.enrolment.get().failure.is_none())
    };
    let former = Some(NOW_S + 10 * 86_400);
    let mut link = Stats::default();
    link.certificate_taken_ends_s = former;
    assert_eq!(shown(&link), (300, false, true), "not judged yet");
    link.certificate_not_taken = true;
    assert_eq!(shown(&link), (10, true, true));
    link.certificate_not_taken = false;
    link.certificate_taken_ends_s = Some(NOW_S + 300 * 86_400);
    assert_eq!(shown(&link), (300, false, true));
}
