//! Answers of good, of strange and of hostile servers. Requests and certificates are those of rcgen, and OpenSSL is the foreign judge.

use std::process::{Command, Stdio};

use proptest::prelude::*;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::sign::SigningKey;

use super::*;
use crate::der::written;
use crate::request::request;
use crate::schedule::Schedule;
use crate::{base64, key};

const YEAR_S: u64 = 31_557_600;
const NOW_S: u64 = 56 * YEAR_S;

fn at(seconds: u64) -> rcgen::CertificateParams {
    let mut params = CertificateParams::new(vec!["site7.example".to_owned()]).unwrap();
    let time = |seconds: u64| (std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds)).into();
    (params.not_before, params.not_after) = (time(NOW_S - 1_000), time(seconds));
    params
}

/// Wish for a certificate of this one's key and names.
fn wanted(own: &[u8], wall_s: Option<u64>) -> Wanted<'_> {
    let names = Box::leak(Box::new(Names::of(&certificate(own))));
    Wanted {
        public_key: certificate(own).public_key,
        names,
        authorities: &[],
        behind: &[],
        in_use: None,
        wall_s,
    }
}

/// Authorities: a root and one below it.
struct Plant {
    root: rcgen::Certificate,
    below: rcgen::Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Plant {
    fn new() -> Self {
        let authority = |name: &str| {
            let mut params = at(NOW_S + 10 * YEAR_S);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.distinguished_name = rcgen::DistinguishedName::new();
            params.distinguished_name.push(DnType::CommonName, name);
            (params, KeyPair::generate().unwrap())
        };
        let ((root, root_key), (below, below_key)) = (authority("root"), authority("below"));
        let own = root.self_signed(&root_key).unwrap();
        let signed = below.signed_by(&below_key, &Issuer::from_params(&root, &root_key)).unwrap();
        Self { root: own, below: signed, issuer: Issuer::new(below, below_key) }
    }

    fn sign(&self, key: &KeyPair, end_s: u64) -> Vec<u8> {
        let mut params = at(end_s);
        params.distinguished_name.push(DnType::CommonName, "site7");
        params.signed_by(key, &self.issuer).unwrap().der().to_vec()
    }
}

fn cms(certificates: &[&[u8]]) -> Vec<u8> {
    let data = written(SEQUENCE, &[&written(OBJECT_IDENTIFIER, &[&SIGNED_DATA[..8], &[1]])]);
    let all = written(CONTEXT_0, certificates);
    let signed =
        written(SEQUENCE, &[&written(INTEGER, &[&[1]]), &written(SET, &[]), &data, &all, &written(SET, &[])]);
    written(SEQUENCE, &[&written(OBJECT_IDENTIFIER, &[SIGNED_DATA]), &written(CONTEXT_0, &[&signed])])
}

/// The same CMS without lengths around the certificates, as some authorities write it.
fn cms_without_lengths(certificates: &[&[u8]]) -> Vec<u8> {
    let open = |tag: u8, content: &[u8]| [&[tag, 0x80], content, &[0, 0]].concat();
    let data = open(SEQUENCE, &written(OBJECT_IDENTIFIER, &[&SIGNED_DATA[..8], &[1]]));
    let rest = [open(CONTEXT_0, &certificates.concat()), written(SET, &[])].concat();
    let signed = open(SEQUENCE, &[written(INTEGER, &[&[1]]), written(SET, &[]), data, rest].concat());
    open(SEQUENCE, &[written(OBJECT_IDENTIFIER, &[SIGNED_DATA]), open(CONTEXT_0, &signed)].concat())
}

fn text(der: &[u8]) -> Vec<u8> {
    let lines: Vec<_> = base64::encode(der).bytes().collect();
    lines.chunks(64).collect::<Vec<_>>().join(&b"\r\n"[..])
}

fn certificate(der: &[u8]) -> Certificate<'_> {
    Certificate::read(der).unwrap()
}

fn good(body: &[u8]) -> Answer<'_> {
    let content_type = Some("application/pkcs7-mime; smime-type=certs-only");
    Answer { status: 200, content_type, retry_after: None, body }
}

fn openssl(arguments: &[&str], input: &[u8]) -> (bool, String) {
    use std::io::Write;
    let mut child = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl is not installed: apt-get install openssl");
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

/// A hub that trusts the root alone would take a renewed certificate without them no more.
#[test]
fn authorities_behind_the_certificate_in_use_stand_behind_the_new_one_too() {
    let (plant, key) = (Plant::new(), KeyPair::generate().unwrap());
    let own = plant.sign(&key, NOW_S + YEAR_S);
    let behind = [plant.root.der().to_vec(), b"damaged".to_vec(), plant.below.der().to_vec()];
    let wanted = Wanted { behind: &behind, ..wanted(&own, Some(NOW_S)) };
    let chain = read(&good(&text(&cms(&[&own]))), &wanted).unwrap();
    assert_eq!(chain.pem, pem::block("CERTIFICATE", &own) + &plant.below.pem().replace("\r\n", "\n"));
}

#[test]
fn the_certificate_of_the_key_is_picked_and_the_chain_is_in_order() {
    let (plant, key) = (Plant::new(), KeyPair::generate().unwrap());
    let (own, older) = (plant.sign(&key, NOW_S + YEAR_S), plant.sign(&key, NOW_S + 5));
    let other = plant.sign(&KeyPair::generate().unwrap(), NOW_S + 2 * YEAR_S);
    let wanted = wanted(&own, Some(NOW_S));
    let all: [&[u8]; 5] = [plant.root.der(), plant.below.der(), &other, &older, &own];
    let expected = pem::block("CERTIFICATE", &own) + &plant.below.pem().replace("\r\n", "\n");
    for der in [cms(&all), cms_without_lengths(&all)] {
        for body in [text(&der), base64::encode(&der).into_bytes(), der.clone()] {
            let chain = read(&good(&body), &wanted).unwrap();
            assert_eq!(chain.pem, expected);
            assert_eq!(chain.validity.end_s(), NOW_S + YEAR_S);
        }
    }
    let alone = read(&good(&text(&cms(&[&own]))), &wanted).unwrap();
    assert_eq!(alone.pem, pem::block("CERTIFICATE", &own));
}

#[test]
fn openssls_list_of_certificates_is_read() {
    let (plant, key) = (Plant::new(), KeyPair::generate().unwrap());
    let own = plant.sign(&key, NOW_S + YEAR_S);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("chain");
    std::fs::write(&path, plant.below.pem() + &plant.root.pem() + &pem::block("CERTIFICATE", &own)).unwrap();
    let (is_good, list) = openssl(&["crl2pkcs7", "-nocrl", "-certfile", path.to_str().unwrap()], b"");
    assert!(is_good, "{list}");
    let body = list.lines().filter(|line| !line.starts_with('-')).collect::<Vec<_>>().join("\n");
    let wanted = wanted(&own, None);
    let chain = read(&good(body.as_bytes()), &wanted).unwrap();
    assert_eq!(chain.pem.matches("BEGIN").count(), 2);
    assert!(chain.pem.starts_with(&pem::block("CERTIFICATE", &own)));
}

#[test]
fn each_wrong_answer_is_refused_by_its_reason() {
    let (plant, key) = (Plant::new(), KeyPair::generate().unwrap());
    let own = plant.sign(&key, NOW_S + YEAR_S);
    let in_use = certificate(&own).validity;
    let other = plant.sign(&KeyPair::generate().unwrap(), NOW_S + YEAR_S);
    let wanted = Wanted { in_use: Some(in_use), ..wanted(&own, Some(NOW_S)) };
    let refused = |answer: Answer<'_>| read(&answer, &wanted).unwrap_err();
    let status =
        |status| refused(Answer { status, body: b"go away\x1b[2J\nreally", ..Answer::default() }).to_string();
    assert_eq!(
        status(401),
        "the server refuses: status 401, it does not take the certificate of this gateway: go away[2J"
    );
    assert_eq!(
        status(404),
        "the server refuses: status 404, there is no EST at this address and path: go away[2J"
    );
    assert_eq!(
        refused(Answer { status: 500, body: b"<html>", ..Answer::default() }).to_string(),
        "the server refuses: status 500"
    );
    assert_eq!(refused(Answer { status: 302, ..Answer::default() }), AnswerError::Redirect(302));
    let html = Answer { content_type: Some("text/html"), ..good(b"<html>") };
    assert_eq!(refused(html), AnswerError::MediaType("text/html".to_owned()));
    assert_eq!(refused(good(b"<html>")), AnswerError::NotBase64);
    assert_eq!(refused(good(b"")), AnswerError::NotCms);
    assert_eq!(refused(good(&text(&own))), AnswerError::NotCms, "a certificate alone");
    assert_eq!(refused(good(&text(&cms(&[])))), AnswerError::NoCertificate);
    assert_eq!(refused(good(&text(&cms(&[&written(SEQUENCE, &[])])))), AnswerError::NoCertificate);
    assert_eq!(refused(good(&text(&cms(&[&other, plant.root.der()])))), AnswerError::OtherKey);
    assert_eq!(refused(good(&text(&cms(&[&own])))), AnswerError::NotLater(in_use.end_s()));
    assert_eq!(refused(good(&text(&cms(&vec![&*own; 33])))), AnswerError::TooMany);
    let ended = Wanted { in_use: None, wall_s: Some(NOW_S + 2 * YEAR_S), ..wanted };
    assert_eq!(read(&good(&text(&cms(&[&own]))), &ended).unwrap_err(), AnswerError::Ended(in_use.end_s()));
    let early = |wall_s| Wanted { in_use: None, wall_s: Some(wall_s), ..wanted };
    assert_eq!(
        read(&good(&text(&cms(&[&own]))), &early(NOW_S - 5_000)).unwrap_err(),
        AnswerError::NotYet(NOW_S - 1_000)
    );
    // A little later the authority's clock and this one's agree on it.
    read(&good(&text(&cms(&[&own]))), &early(NOW_S - 1_060)).unwrap();
    // By a clock that may be wrong nothing has ended, and nothing is early.
    read(&good(&text(&cms(&[&own]))), &Wanted { wall_s: None, ..ended }).unwrap();
}

#[test]
fn a_server_may_ask_for_patience() {
    let own = Plant::new().sign(&KeyPair::generate().unwrap(), NOW_S);
    let wanted = wanted(&own, Some(784_111_700));
    let after = |status, retry_after, wanted: &Wanted<'_>| {
        let answer = Answer { status, retry_after: Some(retry_after), ..Answer::default() };
        read(&answer, wanted).unwrap_err().after_s()
    };
    assert_eq!(after(202, "120", &wanted), Some(120));
    assert_eq!(after(503, " 7 ", &wanted), Some(7));
    assert_eq!(after(202, "Sun, 06 Nov 1994 08:49:37 GMT", &wanted), Some(77));
    assert_eq!(after(202, "Sun, 06 Nov 1994 08:49:37 GMT", &Wanted { wall_s: None, ..wanted }), None);
    assert_eq!(after(202, "soon", &wanted), None);
}

/// Two subject attributes in one set, a name of several kinds, marked as critical: whatever stands there stands in the request.
#[test]
fn openssl_finds_the_names_of_the_certificate_in_the_request_and_a_good_signature() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let names = "subjectAltName=critical,DNS:site7.example,IP:192.0.2.7,URI:spiffe://plant/site7,otherName:1.2.3.4;UTF8:x";
    for kind in [
        &["ec", "-pkeyopt", "ec_paramgen_curve:P-256"][..],
        &["ec", "-pkeyopt", "ec_paramgen_curve:P-384"],
        &["ed25519"],
        &["rsa:2048"],
    ] {
        let mut arguments = vec![
            "req",
            "-x509",
            "-nodes",
            "-multivalue-rdn",
            "-subj",
            "/O=plant/CN=site7+serialNumber=4711",
            "-addext",
            names,
        ];
        let (cert, private) = (path("cert"), path("key"));
        arguments.extend(["-keyout", &private, "-out", &cert, "-newkey"]);
        arguments.extend(kind);
        let (is_good, said) = openssl(&arguments, b"");
        assert!(is_good, "{said}");
        let der = pem::certificates(&std::fs::read(&cert).unwrap()).remove(0);
        let key = key::read(&std::fs::read(&private).unwrap()).unwrap();
        let made = request(&Names::of(&certificate(&der)), &*key).unwrap();
        let (is_good, said) =
            openssl(&["req", "-inform", "DER", "-verify", "-noout", "-text", "-nameopt", "RFC2253"], &made);
        assert!(is_good && said.contains("verify OK"), "{kind:?}: {said}");
        for part in [
            "site7+serialNumber=4711",
            "X509v3 Subject Alternative Name: critical",
            "URI:spiffe://plant/site7",
            "IP Address:192.0.2.7",
        ] {
            assert!(
                said.replace("serialNumber=4711+CN=site7", "CN=site7+serialNumber=4711").contains(part),
                "{part}: {said}"
            );
        }
        let own = certificate(&der);
        let is_there = |part: &[u8]| made.windows(part.len()).any(|window| window == part);
        assert!(
            is_there(own.subject) && is_there(own.alternative_names.unwrap()) && is_there(own.public_key)
        );
    }
}

#[test]
fn the_first_request_has_a_common_name_and_the_key_that_was_made() {
    let private = key::generate().unwrap();
    let key = key::read(private.as_bytes()).unwrap();
    let made = request(&Names::common_name("site7"), &*key).unwrap();
    let (is_good, said) =
        openssl(&["req", "-inform", "DER", "-verify", "-noout", "-subject", "-pubkey"], &made);
    assert!(
        is_good && said.contains("verify OK") && said.contains("CN = site7") || said.contains("CN=site7"),
        "{said}"
    );
    let (_, public) = openssl(&["pkey", "-pubout"], private.as_bytes());
    assert!(public.starts_with("-----BEGIN PUBLIC KEY") && said.contains(&public), "{said}\n{public}");
    assert!(key::read(b"no key").is_none());
    assert_ne!(private, key::generate().unwrap());
}

#[derive(Debug)]
struct Silent(std::sync::Arc<dyn SigningKey>);

impl SigningKey for Silent {
    fn choose_scheme(&self, _: &[rustls::SignatureScheme]) -> Option<Box<dyn rustls::sign::Signer>> {
        None
    }

    fn algorithm(&self) -> rustls::SignatureAlgorithm {
        self.0.algorithm()
    }
}

#[test]
fn a_key_that_does_not_sign_is_told() {
    let silent = Silent(key::read(key::generate().unwrap().as_bytes()).unwrap());
    let error = request(&Names::common_name("g"), &silent).unwrap_err();
    assert_eq!(error.to_string(), "the private key is of a kind that signs no requests");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A damaged answer is refused, or brings a certificate of the own key that TLS can read.
    #[test]
    fn no_answer_panics_and_none_brings_another_key(cut in 0_usize..4_000, changes in proptest::collection::vec((0_usize..4_000, any::<u8>()), 0..4)) {
        let (plant, key) = (Plant::new(), KeyPair::generate().unwrap());
        let own = plant.sign(&key, NOW_S + YEAR_S);
        let wanted = wanted(&own, Some(NOW_S));
        for mut der in [cms(&[plant.below.der(), &own]), cms_without_lengths(&[plant.below.der(), &own])] {
            for (place, byte) in &changes {
                let length = der.len();
                der[place % length] = *byte;
            }
            der.truncate(cut.max(1));
            for body in [der.clone(), text(&der)] {
                if let Ok(chain) = read(&good(&body), &wanted) {
                    let first = pem::certificates(chain.pem.as_bytes()).remove(0);
                    prop_assert_eq!(certificate(&first).public_key, wanted.public_key);
                    let _ = Schedule::new("g", 0).due_s(chain.validity);
                }
            }
        }
    }

    #[test]
    fn no_bytes_panic(body in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        let names = Names::common_name("g");
        let wanted =
            Wanted { public_key: &[1], names: &names, authorities: &[], behind: &[], in_use: None, wall_s: Some(0) };
        prop_assert!(read(&good(&body), &wanted).is_err());
    }
}

mod fitness;
