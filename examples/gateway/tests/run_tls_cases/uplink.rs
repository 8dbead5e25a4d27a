//! Cases of hubs at the gateway's link.

use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};

use super::hub_cases::{CASES, CASES_OF_OWN, Case, Hub};
use super::materials::{Authorities, Certificate, GOOD};
use super::support::gateway::Gateway;
use super::support::mosquitto::{self, Mosquitto, Subscriber};
use super::support::wall_clock::WallClock;
use super::support::{free_port, wait_until};
use super::{Outcome, openssl_conf};
use Hub::{Has, Leaves, OtherKey, Plain, Shows, Silent, Speaks};
use Outcome::Refused;

/// Gateways at a time.
const AT_A_TIME: usize = 6;

/// A line to a hub, which may be exchanged for another one while the address stays.
struct Line {
    address: SocketAddr,
    to: Arc<AtomicU16>,
}

impl Line {
    fn start(to: u16) -> Self {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let line = Self { address: socket.local_addr().unwrap(), to: Arc::new(AtomicU16::new(to)) };
        let to = line.to.clone();
        // Its threads end with their connections; this one with the test's process.
        std::thread::spawn(move || {
            for client in socket.incoming().flatten() {
                let Ok(hub) = TcpStream::connect((Ipv4Addr::LOCALHOST, to.load(Ordering::SeqCst))) else {
                    continue;
                };
                for (from, to) in [(&client, &hub), (&hub, &client)] {
                    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    std::thread::spawn(move || {
                        let _ = std::io::copy(&mut from, &mut to);
                        let _ = (to.shutdown(Shutdown::Both), from.shutdown(Shutdown::Both));
                    });
                }
            }
        });
        line
    }
}

/// Returns the port of a hub that does this with each connection.
fn serve(each: impl Fn(TcpStream) + Clone + Send + 'static) -> u16 {
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = socket.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in socket.incoming().flatten() {
            let each = each.clone();
            std::thread::spawn(move || each(stream));
        }
    });
    port
}

/// Returns the port of a hub of rustls that signs the handshake with another key than that of its certificate.
fn with_other_key(authorities: &Authorities) -> u16 {
    use rustls::crypto::ring;
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let cert = CertificateDer::from_pem_file(authorities.file("hub.crt")).unwrap();
    let key = PrivateKeyDer::from_pem_file(authorities.file("other.key")).unwrap();
    let key = ring::sign::any_supported_type(&key).unwrap();
    let own = rustls::sign::CertifiedKey::new(vec![cert], key);
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let config = Arc::new(config.with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(own))));
    serve(move |mut stream| {
        let mut session = rustls::ServerConnection::new(config.clone()).unwrap();
        let _ = session.complete_io(&mut stream);
        let _ = stream.read(&mut [0; 1]);
    })
}

/// The hubs: one Mosquitto, which listens once for each case.
struct Hubs {
    mosquitto: Mosquitto,
    /// Those that speak one version of TLS.
    others: Vec<Mosquitto>,
    /// Port of each case's hub.
    ports: Vec<u16>,
    /// Port of the good hub of each case, which names what the case dials.
    good: Vec<u16>,
}

impl Hubs {
    fn start(authorities: &Authorities, dir: &Path, cases: &[Case]) -> Self {
        let mut lines = "user root\n".to_owned();
        let mut listen = |files: &str, besides: &str| {
            let port = free_port().port();
            let [cert, key] = ["crt", "key"].map(|kind| authorities.file(&format!("{files}.{kind}")));
            let (cert, key) = (cert.display(), key.display());
            let file = |name: &str| authorities.file(name).display().to_string();
            let besides =
                besides.replace("{plant.crt}", &file("plant.crt")).replace("{plant.crl}", &file("plant.crl"));
            lines += &format!(
                "listener {port} 127.0.0.1\ncertfile {cert}\nkeyfile {key}\nciphers DEFAULT:@SECLEVEL=0\n{besides}\n"
            );
            port
        };
        let names = [
            "localhost",
            "127.0.0.1",
            "hub.example",
            "*.plant.example",
            "plant.example",
            "*.hub.plant.example",
        ];
        authorities.write("good", &Certificate { names: Box::leak(names.into()), ..GOOD });
        for name in ["hub", "other"] {
            authorities.write(name, &GOOD);
        }
        let good = listen("good", "");
        let mut others = Vec::new();
        let ports = cases.iter().map(|case| match case.hub {
            Shows(cert) => {
                let file = format!("hub-{}", case.name);
                authorities.write(&file, &cert);
                listen(&file, "")
            }
            Has(lines) => listen("hub", lines),
            Plain => 0,
            Speaks(version) => {
                let (port, [cert, key]) = (free_port().port(), ["hub.crt", "hub.key"].map(|name| authorities.file(name)));
                let lines = format!(
                    "user root\nlistener {port} 127.0.0.1\ncertfile {}\nkeyfile {}\nciphers DEFAULT:@SECLEVEL=0\ntls_version tlsv1.1\n",
                    cert.display(),
                    key.display()
                );
                others.push(Mosquitto::start_with(dir, &lines, Some(openssl_conf(dir, Some(version)))));
                port
            }
            Leaves => serve(|mut stream| drop(stream.read(&mut [0; 1]))),
            Silent => serve(|stream| {
                std::thread::sleep(std::time::Duration::from_secs(60));
                drop(stream);
            }),
            OtherKey => with_other_key(authorities),
        });
        let ports: Vec<_> = ports.collect();
        let mosquitto = Mosquitto::start(dir, &lines);
        let plain = mosquitto.address.port();
        let ports = ports.into_iter().map(|port| if port == 0 { plain } else { port }).collect();
        let good = cases.iter().map(|case| if case.scheme == "mqtt" { plain } else { good }).collect();
        Self { mosquitto, others, ports, good }
    }
}

fn config(authorities: &Authorities, case: &Case, (listen, hub): (SocketAddr, u16)) -> String {
    let Case { scheme, host, lines, own, name, .. } = case;
    let file = |name: &str| authorities.file(name).display().to_string();
    let mut tls = String::new();
    if *scheme == "mqtts" {
        tls = format!("ca = \"{}\"\ncrl = \"{}\"\n{lines}\n", file("trusted.crt"), file("lists.crl"));
    }
    if let Some(own) = own.filter(|_| *scheme == "mqtts") {
        let files = format!("own-{name}");
        authorities.write(&files, &own);
        let [cert, key] = ["crt", "key"].map(|kind| file(&format!("{files}.{kind}")));
        tls += &format!("cert = \"{cert}\"\nkey = \"{key}\"\n");
    }
    format!(
        "[gateway]\nid = \"{name}\"\n[local]\nlisten = \"{listen}\"\n[hub]\nurl = \"{scheme}://{host}:{hub}\"\n{tls}[[route]]\nmatch = \"#\"\nto = \"up/\"\n"
    )
}

fn check(
    authorities: &Authorities,
    dir: &Path,
    case: &Case,
    (port, good): (u16, u16),
    at_hub: &[Subscriber],
) {
    let name = case.name;
    let dir = dir.join(name);
    fs::create_dir(&dir).unwrap();
    let (line, listen) = (Line::start(port), free_port());
    let mut gateway = Gateway::new(&dir, &config(authorities, case, (listen, line.address.port())));
    let (days, is_right) = case.clock;
    gateway.wall_clock = Some(WallClock::new(&dir, -days * 86_400_000, is_right));
    gateway.start();
    mosquitto::publish(listen, name, "x");
    let all = || at_hub.iter().flat_map(Subscriber::arrived);
    let arrived = || all().filter(|message| message.topic == format!("up/{name}")).count();
    let page = || gateway.get("/metrics").map_or_else(String::new, |(_, page)| page);
    if let Refused(words) = case.outcome {
        wait_until(&format!("{name}: {words}"), 40, || {
            let cause = page();
            let mut causes = cause.lines().filter(|line| line.starts_with("edge_link_cause"));
            causes.any(|cause| cause.replace("\\\"", "\"").contains(words))
        });
        assert!(gateway.log().replace("\\\"", "\"").contains(words), "{name}: {}", gateway.log());
        if name.starts_with("own") {
            // The alert alone names no file.
            let status = || gateway.get("/status.json").map_or_else(String::new, |(_, status)| status);
            wait_until(name, 20, || status().contains("[hub] ca, cert and key"));
        }
        assert_eq!(arrived(), 0, "{name}");
        line.to.store(good, Ordering::SeqCst);
    }
    wait_until(&format!("{name}: it arrives"), 40, || arrived() > 0);
    assert_eq!((arrived(), gateway.terminate().0.code()), (1, Some(0)), "{name}");
}

#[test]
fn hubs_are_taken_or_refused_as_the_table_says_and_what_waits_goes_to_the_good_one() {
    let authorities = Authorities::new();
    let dir = tempfile::tempdir().unwrap();
    let cases: Vec<Case> = CASES.iter().copied().chain(CASES_OF_OWN).collect();
    let hubs = Hubs::start(&authorities, dir.path(), &cases);
    let brokers = hubs.others.iter().chain([&hubs.mosquitto]);
    let at_hub: Vec<_> = brokers.map(|hub| Subscriber::start(hub.address, "up/#")).collect();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some((n, case)) = cases.iter().enumerate().nth(next.fetch_add(1, Ordering::SeqCst))
                {
                    check(&authorities, dir.path(), case, (hubs.ports[n], hubs.good[n]), &at_hub);
                }
            });
        }
    });
}
