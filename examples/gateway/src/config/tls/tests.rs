//! Tests of the checks of TLS files.

use std::os::unix::fs::PermissionsExt;

use crate::config::{Config, Severity};

/// A warning that every site with an authority of its own for gateways gets is read by nobody.
#[test]
fn a_certificate_of_another_authority_than_the_hubs_is_no_mistake() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    let authority = |name: &str| {
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        (params, rcgen::KeyPair::generate().unwrap())
    };
    let (hubs, gateways) = (authority("hubs"), authority("gateways"));
    write("ca", hubs.0.self_signed(&hubs.1).unwrap().pem());
    let own = rcgen::KeyPair::generate().unwrap();
    let mut site = rcgen::CertificateParams::new(vec!["site7".to_owned()]).unwrap();
    site.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    let gateways = rcgen::Issuer::from_params(&gateways.0, &gateways.1);
    write("cert", site.signed_by(&own, &gateways).unwrap().pem());
    write("key", own.serialize_pem());
    let text = "[gateway]\nid = \"g\"\n[local]\nlisten = \"127.0.0.1:1\"\n[hub]\nurl = \"mqtts://hub\"\nca = \"ca\"\ncert = \"cert\"\nkey = \"key\"\n\
                [[route]]\nmatch = \"plant/#\"\n";
    let (_, findings) = Config::parse(&dir.path().join("gateway.toml"), text, &|_| None).unwrap();
    assert_eq!(findings.to_string(), "");
}

/// Peers judge the authorities between, too, where they have none of their own.
#[test]
fn a_certificate_behind_the_first_one_is_judged() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    let own = rcgen::KeyPair::generate().unwrap();
    let authority = |name: &str| {
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        (params, rcgen::KeyPair::generate().unwrap())
    };
    let (line, plant) = (authority("line"), authority("plant"));
    let site = rcgen::CertificateParams::new(vec!["site7".to_owned()]).unwrap();
    let first = site.signed_by(&own, &rcgen::Issuer::from_params(&line.0, &line.1)).unwrap();
    write("key", own.serialize_pem());
    let hub = "[hub]\nurl = \"mqtts://hub\"\ncert = \"cert\"\nkey = \"key\"\n";
    let local = "[local]\ntls_listen = \"127.0.0.1:1\"\ncert = \"cert\"\nkey = \"key\"\n";
    let said = |behind_until: i32, section: &str| {
        let mut params = line.0.clone();
        params.not_after = rcgen::date_time_ymd(behind_until, 1, 1);
        let behind = params.signed_by(&line.1, &rcgen::Issuer::from_params(&plant.0, &plant.1)).unwrap();
        // Whoever trusts the plant's authority has it.
        let mut root = plant.0.clone();
        root.not_after = rcgen::date_time_ymd(2021, 1, 1);
        write("cert", first.pem() + &behind.pem() + &root.self_signed(&plant.1).unwrap().pem());
        let rest = if section == hub {
            "[local]\nlisten = \"127.0.0.1:1\"\n"
        } else {
            "[hub]\nurl = \"mqtt://hub\"\n"
        };
        let text = format!("[gateway]\nid = \"g\"\n{section}{rest}[[route]]\nmatch = \"plant/#\"\n");
        Config::parse(&dir.path().join("gateway.toml"), &text, &|_| None).unwrap().1.to_string()
    };
    let ended = "cert: a certificate behind the first one has expired: a peer without a newer one will refuse the chain";
    for (section, key) in [(hub, "hub.cert"), (local, "local.cert")] {
        assert!(!said(2099, section).contains("behind the first one"));
        let told = said(2021, section);
        assert!(told.contains(ended) && told.contains(key), "{told}");
    }
}

#[test]
fn a_listener_is_warned_of_a_certificate_that_clients_refuse() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, pem: String| std::fs::write(dir.path().join(name), pem).unwrap();
    let text = "[gateway]\nid = \"g\"\n[local]\ntls_listen = \"127.0.0.1:1\"\ncert = \"cert\"\nkey = \"key\"\n[hub]\nurl = \"mqtt://hub\"\n[[route]]\nmatch = \"plant/#\"\n";
    let said = |change: &dyn Fn(&mut rcgen::CertificateParams)| {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["gateway".to_owned()]).unwrap();
        change(&mut params);
        write("cert", params.self_signed(&key).unwrap().pem());
        write("key", key.serialize_pem());
        Config::parse(&dir.path().join("gateway.toml"), text, &|_| None).unwrap().1.to_string()
    };
    let fit = said(&|params| params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth]);
    assert!(!fit.contains("local.cert"), "{fit}");
    let client =
        said(&|params| params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth]);
    assert!(client.contains("cert: the certificate is not one for servers: clients refuse it"), "{client}");
    let authority = said(&|params| params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained));
    assert!(authority.contains("(CA:TRUE)") && authority.contains("clients may refuse it"), "{authority}");
}

/// Trusted by it is nobody, or who has its key: what webpki does with each is tested where the file is read.
#[test]
fn a_file_of_authorities_without_one_is_told_with_its_setting() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, pem: String| {
        let path = dir.path().join(name);
        std::fs::write(&path, pem).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    let key = rcgen::KeyPair::generate().unwrap();
    let mut plant = rcgen::CertificateParams::default();
    plant.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    plant.distinguished_name.push(rcgen::DnType::CommonName, "plant");
    let mut leaf = rcgen::CertificateParams::new(vec!["hub".to_owned()]).unwrap();
    leaf.is_ca = rcgen::IsCa::ExplicitNoCa;
    write("root", plant.self_signed(&key).unwrap().pem());
    write("own", leaf.self_signed(&key).unwrap().pem());
    write("signed", leaf.signed_by(&key, &rcgen::Issuer::from_params(&plant, &key)).unwrap().pem());
    write("key", key.serialize_pem());
    let listen = "[local]\nlisten = \"127.0.0.1:1\"\n";
    let hub = "[hub]\nurl = \"mqtt://hub\"\n";
    for (peer, setting, sections) in [
        ("hub", "hub.ca", format!("{listen}[hub]\nurl = \"mqtts://hub\"\nca = \"CA\"\n")),
        (
            "broker",
            "local.broker_ca",
            format!("[local]\nbroker = \"mqtts://broker\"\nbroker_ca = \"CA\"\n{hub}"),
        ),
        (
            "client",
            "local.client_ca",
            format!(
                "[local]\ntls_listen = \"127.0.0.1:1\"\ncert = \"own\"\nkey = \"key\"\nclient_ca = \"CA\"\n{hub}"
            ),
        ),
    ] {
        let said = |ca: &str| {
            let text = format!("[gateway]\nid = \"g\"\n{sections}[[route]]\nmatch = \"plant/#\"\n")
                .replace("CA", ca);
            let (_, findings) = Config::parse(&dir.path().join("gateway.toml"), &text, &|_| None).unwrap();
            (findings.count(Severity::ErrorInCheck), findings.to_string())
        };
        let (errors, root) = said("root");
        assert!(errors == 0 && !root.contains(setting), "{root}");
        let file = dir.path().display();
        let (errors, signed) = said("signed");
        let words =
            "no certificate of an authority (CA:TRUE) is in it, only one that another \"plant\" signed: a";
        let expected = format!("error: {setting}: {file}/signed: {words} {peer} that shows it is refused; ");
        assert!(errors == 1 && signed.contains(&expected), "{signed}");
        let (errors, own) = said("own");
        let words = "no certificate of an authority (CA:TRUE) is in it, only one that signed itself: a";
        let expected =
            format!("warning: {setting}: {file}/own: {words} {peer} that shows it is let in until ");
        assert!(errors == 0 && own.contains(&expected), "{own}");
    }
}
