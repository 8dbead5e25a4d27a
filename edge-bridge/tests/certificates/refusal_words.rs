//! Words for certificates that are refused, and the user names of those that are not, over real handshakes.

use edge_bridge::net::tcp_stream::Counted;
use edge_bridge::net::{Bridge, CertificateUser, Server, ServerTls, Tls, TlsSettingNames};
use rcgen::{CertificateParams, DnType, KeyPair, SanType};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Duration, sleep, timeout};

use crate::authority::{Authority, EVER};
use crate::deliver;

/// Writes a certificate of this authority for these names, and returns its files.
fn signed(authority: &Authority, names: Vec<SanType>) -> [std::path::PathBuf; 2] {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "common");
    params.subject_alt_names = names;
    let cert = params.signed_by(&key, &authority.issuer()).unwrap();
    let files = ["named.crt", "named.key"].map(|name| authority.path(name));
    std::fs::write(&files[0], cert.pem()).unwrap();
    std::fs::write(&files[1], key.serialize_pem()).unwrap();
    files
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

/// The file, the setting, and what the certificate says: whoever reads it knows where to look.
#[tokio::test]
async fn a_refused_hub_is_told_with_file_setting_and_names() {
    let (plant, line) = (Authority::new(), Authority::new().below(EVER));
    let names =
        TlsSettingNames { server_name: "hub.url", authorities: "hub.ca", ..TlsSettingNames::default() };
    // Without the certificate in between.
    let [cert, key] = signed(&line, vec![dns("localhost")]);
    let hub = ServerTls::from_pem(cert, key, None).unwrap();
    let error = deliver(plant.client().with_setting_names(names), hub).await.unwrap_err();
    let said = format!(
        "the hub's certificate does not lead to a root certificate in {} (hub.ca) (one of \"localhost\", issued by \"line CA\"): ",
        plant.path("ca.crt").display()
    );
    assert!(error.contains(&said), "{error}");
    let [cert, key] = signed(&plant, vec![dns("other\n.example"), SanType::IpAddress([10, 1, 0, 2].into())]);
    let hub = ServerTls::from_pem(cert, key, None).unwrap();
    let error = deliver(plant.client().with_setting_names(names), hub).await.unwrap_err();
    assert!(error.contains("the hub's certificate is ") && !error.contains('\n'), "{error}");
    let [cert, key] = signed(&plant, vec![dns("other.example"), SanType::IpAddress([10, 1, 0, 2].into())]);
    let hub = ServerTls::from_pem(cert, key, None).unwrap();
    let error = deliver(plant.client().with_setting_names(names), hub).await.unwrap_err();
    let said = "is not for \"localhost\", which is dialled (hub.url): it has \"other.example\", 10.1.0.2";
    assert!(error.contains(said), "{error}");
}

#[tokio::test]
async fn a_refused_client_is_told_with_the_file_of_authorities() {
    let (plant, line) = (Authority::new(), Authority::new().below(EVER));
    let [cert, key] = signed(&line, vec![dns("oven3")]);
    let client = Tls::from_pem(plant.path("ca.crt"), cert, key).unwrap();
    let error = deliver(client, plant.strict_server()).await.unwrap_err();
    let file = plant.path("ca.crt");
    let said = format!("client: another authority than those in {} has signed", file.display());
    assert!(error.contains(&said), "{error}");
    let error = deliver(plant.certified("oven3", (-20, -10)), plant.strict_server()).await.unwrap_err();
    assert!(error.contains("client: the certificate has expired: it ended at 20"), "{error}");
}

/// In the words of rustls it would be a chain that was not resolved.
#[tokio::test]
async fn a_server_without_a_certificate_says_so_with_the_file() {
    let plant = Authority::new();
    let (cert, ca) = (plant.path("own.crt"), plant.path("ca.crt"));
    for client_ca in [None, Some(ca.as_path())] {
        let server = ServerTls::with_unusable_certificate(&cert, client_ca).unwrap();
        let error = deliver(plant.client(), server).await.unwrap_err();
        let expected = format!(
            "the server has no certificate to show: that in {}, or its key, cannot be used",
            cert.display()
        );
        assert_eq!(error, expected);
    }
}

#[test]
fn a_key_of_another_certificate_is_told_with_both_files() {
    let plant = Authority::new();
    let ((cert, _), (_, key)) = (plant.sign("one", EVER), plant.sign("other", EVER));
    let said = ServerTls::from_pem(&cert, &key, None).unwrap_err().to_string();
    let expected =
        format!("{}: the key does not belong to the first certificate in {}", key.display(), cert.display());
    assert_eq!(said, expected);
}

#[tokio::test]
async fn the_user_is_the_name_that_was_asked_for() {
    let plant = Authority::new();
    for (names, user, expected) in [
        (vec![dns("oven3.plant")], CertificateUser::CommonName, Ok("common")),
        (vec![dns("oven3.plant")], CertificateUser::AlternativeName, Ok("oven3.plant")),
        (
            vec![dns("a"), dns("b")],
            CertificateUser::AlternativeName,
            Err("several subject alternative names"),
        ),
        (Vec::new(), CertificateUser::AlternativeName, Err("no DNS name, mail address or URI")),
    ] {
        let [cert, key] = signed(&plant, names);
        let client = Tls::from_pem(plant.path("ca.crt"), cert, key).unwrap();
        let server = plant.strict_server().with_certificate_user(user);
        match (crate::deliver_as(client, server).await, expected) {
            (Ok(user), Ok(expected)) => assert_eq!(user.as_deref(), Some(expected)),
            (Err(error), Err(expected)) => assert!(error.contains(expected), "{error}"),
            other => panic!("{other:?}"),
        }
    }
}

/// A program's own server, other than a hub, is called what it is.
#[tokio::test]
async fn a_refused_server_has_the_programs_own_word_in_a_lone_handshake() {
    let (plant, line) = (Authority::new(), Authority::new().below(EVER));
    let [cert, key] = signed(&line, vec![dns("localhost")]);
    let server = ServerTls::from_pem(cert, key, None).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let accepting = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let _ = server.accept(Counted::new(stream, Default::default())).await;
    });
    let names = TlsSettingNames {
        server_name: "broker",
        authorities: "broker_ca",
        certificate: "broker_cert",
        peer: "the local broker",
        ..TlsSettingNames::default()
    };
    let stream = Counted::new(TcpStream::connect(address).await.unwrap(), Default::default());
    let tls = plant.client().with_setting_names(names);
    let error = tls.handshake("localhost", stream).await.unwrap_err().to_string();
    accepting.await.unwrap();
    let begins = "the local broker's certificate does not lead to a root certificate in ";
    assert!(error.starts_with(begins) && error.contains("(broker_ca)"), "{error}");
    assert!(error.ends_with("or let the local broker send those in between"), "{error}");
}

/// Error that the bridge has of a server that refuses it, in TLS 1.3 after the handshake is complete for the bridge.
async fn refused_by_server(bridge: Tls, server: ServerTls) -> String {
    let server = Server::builder().tls(server).start_observer("127.0.0.1:0", |_, _| {}).await.unwrap();
    let url = format!("mqtts://localhost:{}", server.local_addr().port());
    let bridge = Bridge::builder(&url).client_id("site7").tls(bridge).start().await.unwrap();
    let alert = async {
        loop {
            if let Some(error) = bridge.stats().last_error.filter(|error| error.contains("alert")) {
                return error;
            }
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(crate::PATIENCE, alert).await.expect("refused")
}

#[tokio::test]
async fn an_own_certificate_that_is_refused_is_told_with_file_and_setting() {
    let (plant, line) = (Authority::new(), Authority::new().below(EVER));
    let names = TlsSettingNames { certificate: "[hub] cert", ..TlsSettingNames::default() };
    let [cert, key] = signed(&line, vec![dns("gateway")]);
    let client = Tls::from_pem(plant.path("ca.crt"), &cert, key).unwrap().with_setting_names(names);
    let error = refused_by_server(client, plant.strict_server()).await;
    let said = format!(
        "the hub refuses the certificate in {} ([hub] cert): it does not trust the authority that signed it",
        cert.display()
    );
    assert!(error.contains(&said), "{error}");
    let error = refused_by_server(plant.client().with_setting_names(names), plant.strict_server()).await;
    let said = ": the hub asks for a certificate, and none is set ([hub] cert)";
    assert!(error.starts_with("received fatal alert: ") && error.ends_with(said), "{error}");
}
