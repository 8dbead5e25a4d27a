//! Certificates that their authority has revoked, at both sides.

use std::path::PathBuf;

use edge_bridge::net::{RevocationLoss, ServerTls, Tls, TlsError, revocation_lists_are_of};
use rcgen::{CertificateRevocationListParams, KeyIdMethod, RevokedCertParams};

use crate::authority::{Authority, Days, EVER, day};
use crate::deliver;

/// Days of a list that is the newest one.
const NOW: Days = (-1, 1);

impl Authority {
    /// Writes a list of this authority behind what the file has.
    fn revoke(&self, file: &str, names: &[&str], (from, until): Days) -> PathBuf {
        let one = |name: &&str| RevokedCertParams {
            serial_number: self.serial(name),
            revocation_time: day(from).into(),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: day(from).into(),
            next_update: day(until).into(),
            crl_number: 1.into(),
            issuing_distribution_point: None,
            revoked_certs: names.iter().map(one).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&self.issuer()).unwrap().pem().unwrap();
        let path = self.path(file);
        let before = std::fs::read_to_string(&path).unwrap_or_default();
        std::fs::write(&path, before + &list).unwrap();
        path
    }
}

fn hub_of(authority: &Authority, name: &str) -> ServerTls {
    let (cert, key) = authority.sign(name, EVER);
    ServerTls::from_pem(cert, key, None).unwrap()
}

#[tokio::test]
async fn a_revoked_hub_is_refused_and_named_with_the_file() {
    let plant = Authority::new();
    let (hub, other) = (hub_of(&plant, "hub"), hub_of(&plant, "other"));
    // A list that nobody could renew in an outage still counts.
    for days in [NOW, (-100, -50)] {
        let crl = plant.revoke("plant.crl", &["hub"], days);
        let client = || plant.client().with_crl(&crl).unwrap();
        let error = deliver(client(), hub.clone()).await.unwrap_err();
        let file = crl.display();
        assert!(error.contains(&format!("\"hub\" is revoked by {file}")), "{days:?} {error}");
        assert_eq!(deliver(client(), other.clone()).await, Ok(()), "{days:?}");
        std::fs::remove_file(crl).unwrap();
    }
    assert_eq!(deliver(plant.client(), hub).await, Ok(()), "without the list");
}

#[tokio::test]
async fn a_revoked_client_is_refused_and_named_with_the_file() {
    let plant = Authority::new();
    let (oven, pump) = (plant.certified("oven3", EVER), plant.certified("pump", EVER));
    let crl = plant.revoke("plant.crl", &["oven3"], NOW);
    let server = || plant.strict_server().with_client_crl(&crl).unwrap();
    let error = deliver(oven.clone(), server()).await.unwrap_err();
    assert!(error.contains("\"oven3\" is revoked by ") && error.contains("plant.crl"), "{error}");
    assert_eq!(deliver(pump, server()).await, Ok(()));
    assert_eq!(deliver(oven, plant.strict_server()).await, Ok(()), "without the list");
}

/// As where somebody appends the new list to the file, and it is not yet the time at which the old one ends.
#[tokio::test]
async fn of_two_lists_of_one_authority_the_newer_counts() {
    for order in [[0, 1], [1, 0]] {
        let plant = Authority::new();
        let (hub, other) = (hub_of(&plant, "hub"), hub_of(&plant, "other"));
        let lists = [("other", (-10, 10)), ("hub", NOW)];
        for (name, days) in order.map(|at: usize| lists[at]) {
            plant.revoke("plant.crl", &[name], days);
        }
        let client = || plant.client().with_crl(plant.path("plant.crl")).unwrap();
        assert!(deliver(client(), hub).await.unwrap_err().contains("\"hub\" is revoked by "));
        assert_eq!(deliver(client(), other).await, Ok(()), "is no longer on it");
    }
}

/// A list is kept beside a floor of the time, whichever comes first.
#[tokio::test]
async fn a_clock_that_is_behind_makes_no_revoked_certificate_good() {
    let plant = Authority::new();
    let oven = plant.certified("oven3", (100, 200));
    let crl = plant.revoke("plant.crl", &["oven3"], NOW);
    let floor = || edge_bridge::net::ClockFloor::new(|| Some(day(0)));
    for server in [
        plant.strict_server().with_client_crl(&crl).unwrap().with_clock_floor(floor()).unwrap(),
        plant.strict_server().with_clock_floor(floor()).unwrap().with_client_crl(&crl).unwrap(),
    ] {
        let error = deliver(oven.clone(), server.clone()).await.unwrap_err();
        assert!(error.contains("is revoked"), "{error}");
        assert_eq!(deliver(plant.certified("pump", (100, 200)), server).await, Ok(()));
    }
}

/// An authority whose list is not in the file is trusted as without lists.
#[tokio::test]
async fn lists_of_several_authorities_count_each_for_its_own() {
    let plant = Authority::new();
    let line = plant.below(EVER);
    let hub = hub_of(&line, "hub");
    let crl = plant.revoke("plant.crl", &[], NOW);
    assert_eq!(
        deliver(plant.client().with_crl(&crl).unwrap(), hub.clone()).await,
        Ok(()),
        "no list of the line"
    );
    let list = std::fs::read_to_string(line.revoke("line.crl", &["hub"], NOW)).unwrap();
    std::fs::write(&crl, std::fs::read_to_string(&crl).unwrap() + &list).unwrap();
    let error = deliver(plant.client().with_crl(&crl).unwrap(), hub).await.unwrap_err();
    assert!(
        error.contains("\"hub\" is revoked by ") && error.contains("(or an authority behind it)"),
        "{error}"
    );
}

/// Nobody but the authority makes a list of what it revokes. In force, a list of another key refused all certificates of that authority.
#[tokio::test]
async fn a_list_that_another_key_signed_is_refused_when_it_is_read() {
    let (plant, stranger) = (Authority::new(), Authority::new());
    let crl = stranger.revoke("plant.crl", &[], NOW);
    let expected = format!(
        "{}: the list of \"plant CA\" is signed by another key than that authority has in {}",
        crl.display(),
        plant.path("ca.crt").display()
    );
    let said = |result: Result<(), TlsError>| result.unwrap_err().to_string();
    assert_eq!(said(plant.client().with_crl(&crl).map(drop)), expected);
    assert_eq!(said(plant.strict_server().with_client_crl(&crl).map(drop)), expected);
    // Nor beside the good one, whichever of them is newer.
    for days in [(-3, 1), (0, 2)] {
        let both = plant.revoke("both.crl", &[], days);
        let list = std::fs::read_to_string(&crl).unwrap();
        std::fs::write(&both, std::fs::read_to_string(&both).unwrap() + &list).unwrap();
        let said = said(plant.client().with_crl(&both).map(drop));
        assert!(said.contains("both.crl: ") && said.contains("another key"), "{said}");
        std::fs::remove_file(both).unwrap();
    }
    // A byte of the signature.
    let good = plant.revoke("good.crl", &[], NOW);
    let pem = std::fs::read_to_string(&good).unwrap();
    let at = pem.rfind("\n-----END").unwrap() - 8;
    let other = if pem.as_bytes()[at] == b'A' { "B" } else { "A" };
    std::fs::write(&good, format!("{}{other}{}", &pem[..at], &pem[at + 1..])).unwrap();
    assert!(said(plant.client().with_crl(&good).map(drop)).contains("another key"));
    // Whoever else is trusted: each key for its own list.
    let hub = hub_of(&plant, "hub");
    let ca = plant.path("both.crt");
    let own = |authority: &Authority| std::fs::read_to_string(authority.path("ca.crt")).unwrap();
    std::fs::write(&ca, own(&stranger) + &own(&plant)).unwrap();
    let crl = plant.revoke("plant.crl", &["hub"], NOW);
    let error = deliver(Tls::from_ca(&ca).unwrap().with_crl(&crl).unwrap(), hub).await.unwrap_err();
    assert!(error.contains("\"hub\" is revoked by "), "{error}");
}

/// An authority that the file of authorities has beside the root has its lists judged by its own key.
#[test]
fn a_list_of_an_authority_between_is_judged_by_the_key_that_is_given() {
    let plant = Authority::new();
    let (line, stranger) = (plant.below(EVER), plant.below(EVER));
    let ca = plant.path("both.crt");
    let own = |path: PathBuf| std::fs::read_to_string(path).unwrap();
    std::fs::write(&ca, own(plant.path("ca.crt")) + &own(line.own_certificate())).unwrap();
    let client = || Tls::from_ca(&ca).unwrap();
    client().with_crl(line.revoke("line.crl", &[], NOW)).unwrap();
    let forged = stranger.revoke("line.crl", &[], NOW);
    let said = client().with_crl(&forged).unwrap_err().to_string();
    assert!(said.contains("the list of \"line CA\" is signed by another key"), "{said}");
    // Of an authority that is not given nothing is known.
    plant.client().with_crl(&forged).unwrap();
}

#[test]
fn a_file_that_is_no_list_is_refused_with_its_name() {
    let plant = Authority::new();
    let said = |error: TlsError| error.to_string();
    let missing = said(plant.client().with_crl(plant.path("no.crl")).unwrap_err());
    assert!(missing.contains("no.crl"), "{missing}");
    let none = said(plant.strict_server().with_client_crl(plant.path("ca.crt")).unwrap_err());
    assert!(none.contains("ca.crt: no list of revoked certificates"), "{none}");
    std::fs::write(plant.path("bad.crl"), "-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n")
        .unwrap();
    let bad = said(plant.client().with_crl(plant.path("bad.crl")).unwrap_err());
    assert!(bad.contains("bad.crl: ") && bad.contains("revocation list"), "{bad}");
    std::fs::write(plant.path("large.crl"), "x".repeat((1 << 20) + 1)).unwrap();
    let large = said(plant.client().with_crl(plant.path("large.crl")).unwrap_err());
    assert!(large.contains("large.crl: ") && large.contains("1048576 bytes"), "{large}");
}

#[test]
fn a_list_for_certificates_that_nobody_checks_is_an_error() {
    let plant = Authority::new();
    plant.sign("hub", EVER);
    let crl = plant.revoke("plant.crl", &["hub"], NOW);
    let error = plant.hub(EVER).with_client_crl(&crl).unwrap_err();
    assert!(matches!(error, TlsError::NothingToRevoke(_)), "{error}");
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.unwrap().with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth();
    assert!(Tls::from_config(config.into()).with_crl(&crl).is_err());
}

/// A bridge falls back to the settings before only for what the hub refuses, not for what it must refuse itself.
#[tokio::test]
async fn a_list_that_is_read_again_counts_for_the_settings_before_too() {
    let plant = Authority::new();
    let hub = hub_of(&plant, "hub");
    let server = edge_bridge::net::Server::builder().tls(hub);
    let server = server.start_observer("127.0.0.1:0", |_, _| {}).await.unwrap();
    let crl = plant.revoke("plant.crl", &["hub"], NOW);
    let revoking = std::sync::Mutex::new(Some(plant.client().with_crl(&crl).unwrap()));
    let url = format!("mqtts://localhost:{}", server.local_addr().port());
    let mut backoff = edge_bridge::bridge::backoff::BackoffConfig::default();
    (backoff.base_ms, backoff.max_ms) = (5, 5);
    let bridge = edge_bridge::Bridge::builder(&url)
        .client_id("site7")
        .backoff(backoff)
        .tls(plant.client())
        .tls_from(move || Ok(revoking.lock().unwrap().take()))
        .start()
        .await
        .unwrap();
    let mut watch = bridge.watch();
    let dials = |count| move |stats: &edge_bridge::bridge::Stats| stats.dials >= count;
    tokio::time::timeout(crate::PATIENCE, watch.wait_for(dials(6))).await.unwrap().unwrap();
    assert_eq!(bridge.stats().connects, 0);
}

fn lost(new: &ServerTls, former: &ServerTls) -> Option<RevocationLoss> {
    match new.keeps_revocations_of(former, day(0)) {
        Err(TlsError::RevocationsLost { loss, .. }) => Some(loss),
        other => other.map(|()| None).unwrap(),
    }
}

#[test]
fn a_list_in_force_gives_way_to_a_newer_one_of_its_authority_alone() {
    let (plant, line) = (Authority::new(), Authority::new().below(EVER));
    let with = |crl: &PathBuf| plant.strict_server().with_client_crl(crl).unwrap();
    let of_plant = |days: Days| {
        let _ = std::fs::remove_file(plant.path("plant.crl"));
        with(&plant.revoke("plant.crl", &[], days))
    };
    plant.sign("server", EVER);
    let in_force = of_plant((-5, 5));
    for (days, expected) in [
        ((-5, 5), None),
        ((-4, 5), None),
        ((-6, 50), Some(RevocationLoss::Older)),
        ((-4, -1), Some(RevocationLoss::OutOfDate)),
    ] {
        assert_eq!(lost(&of_plant(days), &in_force), expected, "{days:?}");
    }
    // What is out of date itself gives way to what is less so.
    let old = of_plant((-50, -40));
    assert_eq!(lost(&of_plant((-30, -20)), &old), None);
    assert_eq!(lost(&of_plant((-60, -20)), &old), Some(RevocationLoss::Older));
    let foreign = line.revoke("line.crl", &[], NOW);
    assert_eq!(lost(&with(&foreign), &in_force), Some(RevocationLoss::Missing));
    let error = with(&foreign).keeps_revocations_of(&in_force, day(0)).unwrap_err().to_string();
    assert!(error.ends_with("line.crl: the list of \"plant CA\" is no longer in it"), "{error}");
    assert_eq!(lost(&plant.strict_server(), &in_force), None, "switched off");
    assert_eq!(lost(&in_force, &plant.strict_server()), None, "switched on");
    assert_eq!(lost(&in_force, &with(&foreign)), None, "the right file in the place of a wrong one");
    // The list of an authority between the trusted one and the clients, beside the trusted one's.
    let both = plant.revoke("plant.crl", &[], NOW);
    let list = std::fs::read_to_string(&foreign).unwrap();
    std::fs::write(&both, std::fs::read_to_string(&both).unwrap() + &list).unwrap();
    let both = with(&both);
    assert_eq!((lost(&of_plant(NOW), &both), lost(&both, &both)), (Some(RevocationLoss::Missing), None));

    let hub = |crl: &PathBuf| plant.client().with_crl(crl).unwrap();
    let own = plant.path("plant.crl");
    assert!(hub(&foreign).keeps_revocations_of(&hub(&own), day(0)).is_err());
    assert!(hub(&own).keeps_revocations_of(&hub(&own), day(0)).is_ok());
    assert!(revocation_lists_are_of(&own, plant.path("ca.crt")).unwrap());
    assert!(!revocation_lists_are_of(&foreign, plant.path("ca.crt")).unwrap());
    assert!(revocation_lists_are_of(plant.path("ca.crt"), &own).is_err());
}

/// The list of an authority that is given up goes with it.
#[test]
fn an_authority_that_is_no_longer_trusted_needs_no_list() {
    let (plant, line) = (Authority::new(), Authority::new().below(EVER));
    plant.sign("server", EVER);
    let crl = plant.revoke("plant.crl", &[], NOW);
    let former = plant.strict_server().with_client_crl(&crl).unwrap();
    let line_ca = line.own_certificate();
    let [cert, key] = ["crt", "key"].map(|kind| plant.path(&format!("server.{kind}")));
    let new = ServerTls::from_pem(cert, key, Some(&line_ca)).unwrap();
    let new = new.with_client_crl(line.revoke("line.crl", &[], NOW)).unwrap();
    assert_eq!(lost(&new, &former), None);
}
