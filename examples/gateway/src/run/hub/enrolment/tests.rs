use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::run::certificate_floor::CertificateFloor;

use super::identity_files::validity_of;
use super::*;

/// Enroller of a gateway without a certificate, whose EST server has this port.
fn enroller(dir: &Path, port: u16) -> Enroller {
    for name in ["ca", "claim"] {
        let own = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        fs::write(dir.join(format!("{name}.crt")), own.cert.pem()).unwrap();
        let key = dir.join(format!("{name}.key"));
        fs::write(&key, own.signing_key.serialize_pem()).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let text = format!(
        "[gateway]\nid = \"g\"\n[local]\nlisten = \"127.0.0.1:1\"\n[hub]\nurl = \"mqtts://hub\"\nca = \"ca.crt\"\n\
         cert = \"own.crt\"\nkey = \"own.key\"\n[hub.est]\nurl = \"https://127.0.0.1:{port}\"\nclaim_cert = \"claim.crt\"\n\
         claim_key = \"claim.key\"\n[clock]\ntrusted = true\n[[route]]\nmatch = \"a\"\n"
    );
    let parsed = Config::parse(&dir.join("gateway.toml"), &text, &|_| None);
    let config = parsed.unwrap_or_else(|findings| panic!("{findings}")).0;
    let wall = Arc::new(SystemClock::new().assume_synced());
    let floor = CertificateFloor::new(wall.clone()).clock();
    Enroller::new(&config, wall, floor, EnrolmentState::new(true)).unwrap()
}

/// It takes the connection and says nothing, not even in TLS.
#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_is_given_up_and_the_key_stays() {
    let dir = tempfile::tempdir().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut enroller = enroller(dir.path(), silent.local_addr().unwrap().port());
    assert_eq!(enroller.step().await, LOOK_EVERY);
    let Enrolment { waits_for_first, failure } = enroller.state.get();
    assert_eq!((waits_for_first, failure.as_deref()), (true, Some("no answer within 60 s")));
    let key = fs::read(dir.path().join("own.key")).unwrap();
    // It is not asked again before a minute is over, and then for the same key.
    enroller.step().await;
    enroller.schedule = Schedule::new("g", 0);
    enroller.step().await;
    assert_eq!(fs::read(dir.path().join("own.key")).unwrap(), key);
    assert!(!dir.path().join("own.crt").exists());
}

/// Each certificate that is issued and cannot be kept counts at the authority, and is another one that somebody has to revoke.
#[tokio::test(start_paused = true)]
async fn nothing_is_asked_for_that_could_not_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut enroller = enroller(dir.path(), server.local_addr().unwrap().port());
    fs::create_dir(dir.path().join("own.crt.new")).unwrap();
    enroller.step().await;
    let failure = enroller.state.get().failure.unwrap();
    assert!(failure.contains("own.crt: "), "{failure}");
    server.set_nonblocking(true).unwrap();
    assert_eq!(server.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

/// Its link goes on with what it has read: it is at the hub, and the status says nothing else.
#[tokio::test]
async fn a_gateway_whose_certificate_is_removed_while_it_runs_does_not_wait_for_a_first_one() {
    let dir = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut enroller = enroller(dir.path(), port);
    enroller.state = EnrolmentState::default();
    enroller.step().await;
    let Enrolment { waits_for_first, failure } = enroller.state.get();
    assert!(
        !waits_for_first && failure.as_ref().is_some_and(|why| why.contains("no connection")),
        "{failure:?}"
    );
}

/// At any fault and power cut there is the one in use in a file, whole: its copy comes first, and the new one takes its place behind that.
#[test]
fn a_certificate_is_replaced_when_a_copy_of_it_is_safe() {
    let dir = tempfile::tempdir().unwrap();
    let enroller = enroller(dir.path(), 1);
    let path = |name: &str| dir.path().join(name);
    let read = |name: &str| fs::read_to_string(path(name)).ok();
    fs::copy(path("claim.crt"), path("own.crt")).unwrap();
    fs::set_permissions(path("own.crt"), fs::Permissions::from_mode(0o640)).unwrap();
    let (own, new) = (read("own.crt").unwrap(), read("ca.crt").unwrap());
    let der = edge_est::pem::certificates(own.as_bytes()).remove(0);
    let key = edge_est::certificate::Certificate::read(&der).unwrap().public_key().to_vec();
    let write = |pem: &str| write_certificate(&enroller.hub, pem, &key);
    for blocked in ["own.crt.former.new", "own.crt.new"] {
        fs::create_dir(path(blocked)).unwrap();
        write(&new).unwrap_err();
        fs::remove_dir(path(blocked)).unwrap();
        assert_eq!(read("own.crt"), Some(own.clone()), "{blocked}");
        assert!(read("own.crt.former").is_none_or(|former| former == own), "{blocked}");
    }
    let twice = format!("{own}{new}");
    write(&twice).unwrap();
    assert_eq!((read("own.crt"), read("own.crt.former")), (Some(twice.clone()), Some(own.clone())));
    assert_eq!(fs::metadata(path("own.crt.former")).unwrap().permissions().mode() & 0o777, 0o640);
    // That one is no certificate that the hub has taken: the former one stays the one that it has.
    write(&format!("{twice}{new}")).unwrap();
    assert_eq!(read("own.crt.former"), Some(own));
    former_certificate::remove(&enroller.hub).unwrap();
    former_certificate::remove(&enroller.hub).unwrap();
    assert_eq!(read("own.crt.former"), None);
}

/// Without a synchronised clock nothing is renewed, and the link is up all the same.
#[tokio::test]
async fn a_certificate_that_somebody_puts_there_ends_the_wait_for_the_first_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut enroller = enroller(dir.path(), 1);
    enroller.wall = Arc::new(SystemClock::new());
    fs::copy(dir.path().join("claim.crt"), dir.path().join("own.crt")).unwrap();
    enroller.step().await;
    assert!(!enroller.state.get().waits_for_first);
}

/// A comment between certificates may be in any encoding, and the authorities behind the certificate are known.
#[test]
fn a_file_with_a_comment_that_is_not_utf_8_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let made =
        ["own", "authority"].map(|name| rcgen::generate_simple_self_signed([name.to_owned()]).unwrap());
    let [own, authority] = made.map(|made| made.cert);
    let path = dir.path().join("own.crt");
    fs::write(&path, [own.pem().as_bytes(), b"Beh\xf6rde\n", authority.pem().as_bytes()].concat()).unwrap();
    assert!(validity_of(&path).is_some());
    assert_eq!(behind(&path), [authority.der().to_vec()]);
}

/// Both end with an authority behind them, so in the same second; and the link reads a new file within a minute, before which the hub speaks of the former one.
#[tokio::test]
async fn what_the_hub_says_of_the_former_certificate_is_nothing_about_the_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut enroller = enroller(dir.path(), 1);
    let hash_of = |name: &str| {
        let path = dir.path().join(name);
        let own = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        fs::write(&path, own.cert.pem()).unwrap();
        Some(<[u8; 32]>::from(Sha256::digest(own.cert.der())))
    };
    let (new, former) = (hash_of("own.crt"), hash_of("own.crt.former"));
    enroller.is_offered = true;
    for (taken, refused, expected) in [
        (None, None, Judged::Unknown),
        (former, None, Judged::Unknown),
        (None, former, Judged::Unknown),
        (former, former, Judged::Unknown),
        (former, new, Judged::Refused),
        (new, None, Judged::Taken),
    ] {
        assert!(dir.path().join("own.crt.former").exists());
        enroller.state.judge(HubJudgement { taken, refused });
        assert_eq!(enroller.judged(Found::of(&enroller.hub)).await, expected, "{taken:?} {refused:?}");
    }
    assert!(!dir.path().join("own.crt.former").exists());
}

/// Many share the claim: whoever has it could make this gateway another one to the hub.
#[test]
fn a_claim_is_for_the_names_of_the_certificate_that_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let Enroller { hub, est, floor, .. } = enroller(dir.path(), 1);
    for end in ["crt", "key"] {
        fs::copy(dir.path().join(format!("claim.{end}")), dir.path().join(format!("own.{end}"))).unwrap();
    }
    let own = certificates_of(&dir.path().join("own.crt")).remove(0);
    let names = format!("{:?}", Names::of(&edge_est::certificate::Certificate::read(&own).unwrap()));
    for (is_claimed, operation) in [(false, "simplereenroll"), (true, "simpleenroll")] {
        let prepared = prepare(&hub, &est, floor.clone(), is_claimed).unwrap();
        assert_eq!((prepared.operation, format!("{:?}", prepared.names)), (operation, names.clone()));
    }
    fs::remove_file(dir.path().join("own.crt")).unwrap();
    let first = format!("{:?}", prepare(&hub, &est, floor, false).unwrap().names);
    assert_eq!(first, format!("{:?}", Names::common_name("g")));
}

/// One that it takes is renewed by that alone, and an answer that says nothing of it is no reason to use the claim.
#[test]
fn a_refusal_of_the_certificate_by_the_server_is_told_from_other_failures() {
    let status = |status| {
        EnrolmentError::from(AnswerError::Status { status, said: String::new(), after_s: None })
            .is_of_own_certificate()
    };
    assert_eq!([401, 403, 400, 404, 500, 503].map(status), [true, true, true, true, false, false]);
    for other in [AnswerError::Later { after_s: None }, AnswerError::NotCms, AnswerError::OtherKey] {
        assert!(!EnrolmentError::from(other).is_of_own_certificate());
    }
    assert!(!EnrolmentError::Late.is_of_own_certificate());
}
