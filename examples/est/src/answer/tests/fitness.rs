//! Certificates of the own key that are refused all the same: of other names, for other purposes, or not signed by the authority that they name.

use rcgen::{ExtendedKeyUsagePurpose, PublicKeyData as _};

use super::*;

/// Certificate of the plant with changes.
fn changed(plant: &Plant, key: &KeyPair, change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
    let mut params = at(NOW_S + YEAR_S);
    params.distinguished_name.push(DnType::CommonName, "site7");
    change(&mut params);
    params.signed_by(key, &plant.issuer).unwrap().der().to_vec()
}

fn judged(own: &[u8], wanted: &Wanted<'_>) -> Result<Chain, String> {
    read(&good(&text(&cms(&[own]))), wanted).map_err(|error| error.to_string())
}

#[test]
fn a_certificate_of_other_names_or_for_other_purposes_is_refused_by_what_differs() {
    let (plant, key) = (Plant::new(), KeyPair::generate().unwrap());
    let own = plant.sign(&key, NOW_S + 5);
    let wanted = wanted(&own, Some(NOW_S));
    let refused = |change: &dyn Fn(&mut CertificateParams)| {
        judged(&changed(&plant, &key, |params| change(params)), &wanted).unwrap_err()
    };
    let admin = |params: &mut CertificateParams| params.distinguished_name.push(DnType::CommonName, "admin");
    assert_eq!(refused(&admin), "the answer's certificate is for CN=admin, asked was for CN=site7");
    let more = |params: &mut CertificateParams| {
        params.distinguished_name.push(DnType::OrganizationName, "plant");
    };
    assert!(refused(&more).contains("for CN=site7, O=plant,"));
    let names = |params: &mut CertificateParams| {
        params.subject_alt_names.push(rcgen::SanType::DnsName("admin.example".try_into().unwrap()));
    };
    assert_eq!(
        refused(&names),
        "the answer's certificate has other alternative names (site7.example, admin.example) than were asked for (site7.example)"
    );
    assert!(refused(&|params| params.subject_alt_names.clear()).contains("names (none)"));
    let authority = |params: &mut CertificateParams| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    assert_eq!(refused(&authority), AnswerError::Authority.to_string());
    let server = |params: &mut CertificateParams| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    };
    assert_eq!(refused(&server), AnswerError::NotForClients.to_string());
    // None of these is refused for what it is not.
    let both = changed(&plant, &key, |params| {
        params.is_ca = IsCa::ExplicitNoCa;
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    });
    judged(&both, &wanted).unwrap();
}

/// The same text in another kind of string, and names in another order, are the same names.
#[test]
fn an_authority_may_write_the_same_names_in_another_form() {
    let (plant, key) = (Plant::new(), KeyPair::generate().unwrap());
    let two = |names: [&str; 2]| names.map(|name| rcgen::SanType::DnsName(name.try_into().unwrap())).to_vec();
    let own = changed(&plant, &key, |params| params.subject_alt_names = two(["a", "b"]));
    let other = changed(&plant, &key, |params| {
        let printable = rcgen::DnValue::PrintableString("site7".try_into().unwrap());
        params.distinguished_name.push(DnType::CommonName, printable);
        params.subject_alt_names = two(["b", "a"]);
    });
    assert_ne!(certificate(&own).subject, certificate(&other).subject);
    judged(&other, &wanted(&own, Some(NOW_S))).unwrap();
}

#[test]
fn a_first_certificate_has_the_common_name_that_was_asked_for_and_what_the_authority_adds() {
    let (plant, key) = (Plant::new(), KeyPair::generate().unwrap());
    let own = changed(&plant, &key, |params| {
        params.distinguished_name.push(DnType::OrganizationName, "plant");
    });
    let wanted = |name: &str| {
        let names: &Names = Box::leak(Box::new(Names::common_name(name)));
        Wanted { names, ..wanted(&own, Some(NOW_S)) }
    };
    judged(&own, &wanted("site7")).unwrap();
    let error = judged(&own, &wanted("site8")).unwrap_err();
    assert_eq!(error, "the answer's certificate is for CN=site7, O=plant, asked was for CN=site8");
}

/// Of an authority that is not known here the hub alone can say whether it signed.
#[test]
fn a_signature_that_is_not_by_the_authority_that_is_known_by_that_name_is_refused() {
    let (plant, other, key) = (Plant::new(), Plant::new(), KeyPair::generate().unwrap());
    let own = plant.sign(&key, NOW_S + YEAR_S);
    let mut broken = own.clone();
    *broken.last_mut().unwrap() ^= 1;
    let known = [other.below.der().to_vec(), b"damaged".to_vec()];
    let foreign = Wanted { authorities: &known, ..wanted(&own, Some(NOW_S)) };
    assert!(judged(&own, &foreign).unwrap_err().contains("its authority, CN=below, has here"));
    let known = [other.below.der().to_vec(), plant.below.der().to_vec()];
    let trusted = Wanted { authorities: &known, ..foreign };
    judged(&own, &trusted).unwrap();
    assert!(judged(&broken, &trusted).unwrap_err().contains("not signed by the key"));
    let unknown = Wanted { authorities: &[], ..foreign };
    judged(&broken, &unknown).unwrap();
    // The authority may stand in the answer, or behind the certificate in use.
    let said = read(&good(&text(&cms(&[plant.below.der(), &broken]))), &unknown).unwrap_err();
    assert_eq!(said, AnswerError::BadSignature("CN=below".to_owned()));
    let behind = [plant.below.der().to_vec()];
    judged(&broken, &Wanted { behind: &behind, ..unknown }).unwrap_err();
    // Another one of the same name does not come behind it.
    let both = read(&good(&text(&cms(&[other.below.der(), plant.below.der(), &own]))), &unknown).unwrap();
    assert_eq!(pem::certificates(both.pem.as_bytes()), [own.clone(), plant.below.der().to_vec()]);
    assert!(!key.der_bytes().is_empty());
}

/// Whoever makes an answer can make an authority of any name, too.
#[test]
fn an_authority_in_the_answer_does_not_stand_in_for_the_trusted_one_of_its_name() {
    let (plant, forged, key) = (Plant::new(), Plant::new(), KeyPair::generate().unwrap());
    let own = forged.sign(&key, NOW_S + YEAR_S);
    let body = text(&cms(&[forged.below.der(), &own]));
    let trusted = [plant.below.der().to_vec()];
    let wanted = Wanted { authorities: &trusted, ..wanted(&own, Some(NOW_S)) };
    let refused = AnswerError::BadSignature("CN=below".to_owned());
    assert_eq!(read(&good(&body), &wanted), Err(refused.clone()));
    // Nor does one that stood behind a certificate which came before.
    let behind = [forged.below.der().to_vec()];
    assert_eq!(read(&good(&body), &Wanted { behind: &behind, ..wanted }), Err(refused));
    read(&good(&body), &Wanted { authorities: &behind, ..wanted }).unwrap();
}

#[test]
fn a_certificate_for_any_purpose_is_for_clients() {
    let (plant, key) = (Plant::new(), KeyPair::generate().unwrap());
    let any = changed(&plant, &key, |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any]);
    read(&good(&text(&cms(&[&any]))), &wanted(&any, Some(NOW_S))).unwrap();
}

/// Signed by itself, so that the signature is right.
#[test]
fn a_signature_by_an_rsa_key_of_another_length_is_not_judged() {
    let made = |bits: &str| {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| dir.path().join(name).display().to_string();
        let kind = format!("rsa:{bits}");
        let (is_made, said) = openssl(
            &[
                "req",
                "-x509",
                "-newkey",
                &kind,
                "-nodes",
                "-subj",
                "/CN=x",
                "-keyout",
                &file("key"),
                "-out",
                &file("crt"),
            ],
            b"",
        );
        assert!(is_made, "{said}");
        pem::certificates(&std::fs::read(file("crt")).unwrap()).remove(0)
    };
    let (short, long, other) = (made("1024"), made("2048"), made("2048"));
    let judged = |one: &[u8], by: &[u8]| certificate(one).is_signed_by(&certificate(by));
    assert_eq!(judged(&short, &short), None);
    assert_eq!((judged(&long, &long), judged(&long, &other)), (Some(true), Some(false)));
}
