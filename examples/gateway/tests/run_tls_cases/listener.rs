//! Cases of clients at the listener with TLS.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::client_cases::{BEHIND_DAYS, CASES, CASES_BEHIND, Client};
use super::materials::{Authorities, GOOD};
use super::support::gateway::Gateway;
use super::support::mosquitto::{Mosquitto, Subscriber, command};
use super::support::publisher::{packet, text};
use super::support::wall_clock::WallClock;
use super::support::{free_port, wait_until};
use super::{Outcome, openssl_conf};
use Client::{AsksFor, Leaves, Plain, SecureToPlain, Shows, ShowsNothing, Silent, Speaks};
use Outcome::{LetIn, Refused};

/// Groups of cases, each at a gateway of its own, which tells ten refusals a minute at most.
const GROUPS: usize = 5;
/// Longest that a good peer may take to be served beside those that are refused, on a busy machine.
const SERVED_WITHIN: Duration = Duration::from_secs(15);

struct Site<'a> {
    authorities: &'a Authorities,
    gateway: Gateway,
    listen: SocketAddr,
    secure: SocketAddr,
    at_hub: &'a Subscriber,
    /// Topics of messages that were acknowledged, in their order.
    taken: Vec<String>,
    reader: Child,
}

impl<'a> Site<'a> {
    fn new(authorities: &'a Authorities, dir: &Path, hub: SocketAddr, at_hub: &'a Subscriber) -> Self {
        let (listen, secure) = (free_port(), free_port());
        let file = |name: &str| authorities.file(name).display().to_string();
        let config = format!(
            "[gateway]\nid = \"g{}\"\n[local]\nlisten = \"{listen}\"\ntls_listen = \"{secure}\"\ncert = \"{}\"\nkey = \"{}\"\nclient_ca = \"{}\"\n\
             client_crl = \"{}\"\n[hub]\nurl = \"mqtt://{hub}\"\n[[route]]\nmatch = \"#\"\nto = \"up/\"\n",
            listen.port(),
            file("gateway.crt"),
            file("gateway.key"),
            file("trusted.crt"),
            file("lists.crl"),
        );
        let gateway = Gateway::new(dir, &config);
        let reader = Command::new("true").spawn().unwrap();
        Self { authorities, gateway, listen, secure, at_hub, taken: Vec::new(), reader }
    }

    /// Starts the gateway, and a client that stays connected while others are refused.
    fn start(&mut self) {
        self.gateway.start();
        let mut reader = self.client(command("mosquitto_sub"), self.secure, Some("good"));
        let out = fs::File::create(self.gateway.dir.join("read")).unwrap();
        reader.args(["-i", "reader", "-t", "#", "-F", "%t"]).stdout(out);
        self.reader = reader.spawn().unwrap();
        wait_until("the reader reads", 20, || {
            self.publishes("probe", "good");
            self.read().contains(&"probe".to_owned())
        });
    }

    fn read(&self) -> Vec<String> {
        let read = fs::read_to_string(self.gateway.dir.join("read")).unwrap();
        read.lines().map(str::to_owned).collect()
    }

    /// This client of Mosquitto at this address, with the certificate in these files.
    fn client(&self, mut client: Command, at: SocketAddr, cert: Option<&str>) -> Command {
        let file = |name: &str| self.authorities.file(name);
        client.args(["-h", "localhost", "-p", &at.port().to_string(), "-q", "1"]);
        client.arg("--cafile").arg(file("trusted.crt"));
        if let Some(cert) = cert {
            client.arg("--cert").arg(file(&format!("{cert}.crt")));
            client.arg("--key").arg(file(&format!("{cert}.key")));
        }
        client.env("OPENSSL_CONF", openssl_conf(&self.gateway.dir, None));
        client.stderr(Stdio::null());
        client
    }

    fn publishes(&self, topic: &str, cert: &str) -> bool {
        let client = self.client(publisher(), self.secure, Some(cert));
        is_acknowledged(client, topic)
    }

    /// Returns whether the client is let in, so that its message is acknowledged.
    fn is_let_in(&self, name: &str, client: Client) -> bool {
        let secure = self.secure;
        match client {
            Shows(cert) => {
                self.authorities.write(name, &cert);
                self.publishes(name, name)
            }
            ShowsNothing => is_acknowledged(self.client(publisher(), secure, None), name),
            Speaks(version) => self.is_acknowledged_with(name, &[version]),
            AsksFor(server) => self.is_acknowledged_with(name, &["-servername", server]),
            Plain => {
                let mut client = publisher();
                client.args(["-h", "localhost", "-p", &secure.port().to_string(), "-q", "1"]);
                is_acknowledged(client, name)
            }
            SecureToPlain => is_acknowledged(self.client(publisher(), self.listen, Some("good")), name),
            Leaves => {
                let mut stream = TcpStream::connect(secure).unwrap();
                stream.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").unwrap();
                false
            }
            Silent => {
                let mut stream = TcpStream::connect(secure).unwrap();
                stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                assert!(self.publishes("beside-the-silent", "good"));
                // An end, by whichever packet, and nothing else.
                let ended = stream.read(&mut [0; 1]);
                assert!(!matches!(&ended, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock));
                ended.is_ok_and(|bytes| bytes > 0)
            }
        }
    }

    /// The same by OpenSSL's own client with these options.
    fn is_acknowledged_with(&self, topic: &str, options: &[&str]) -> bool {
        let file = |name: &str| self.authorities.file(name);
        let mut client = Command::new("openssl");
        client.args(["s_client", "-quiet", "-connect", &self.secure.to_string()]).args(options);
        client.env("OPENSSL_CONF", openssl_conf(&self.gateway.dir, None));
        client.arg("-cert").arg(file("good.crt")).arg("-key").arg(file("good.key"));
        client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut client = client.spawn().unwrap();
        let connect = [b"\0\x04MQTT\x04\x02\0\x3c".as_slice(), &text(topic)].concat();
        let publish = [text(topic).as_slice(), b"\0\x01x"].concat();
        let sent = [packet(0x10, &connect), packet(0x32, &publish)].concat();
        // One that is refused may be gone.
        let _ = client.stdin.as_mut().unwrap().write_all(&sent);
        let mut answer = [0; 8];
        let is_read = client.stdout.take().unwrap().read_exact(&mut answer).is_ok();
        let _ = client.kill().and_then(|()| client.wait());
        is_read && answer == *b"\x20\x02\0\0\x40\x02\0\x01"
    }

    fn check(&mut self, (name, client, outcome): (&'static str, Client, Outcome)) {
        let told = |site: &Self, words: &str| site.gateway.log().matches(words).count();
        let before = match outcome {
            Refused(words) => told(self, words),
            LetIn => 0,
        };
        let is_let_in = self.is_let_in(name, client);
        assert_eq!(is_let_in, matches!(outcome, LetIn), "{name}: {}", self.gateway.log());
        let Refused(words) = outcome else { return self.taken.push(name.to_owned()) };
        wait_until(&format!("{name}: {words}"), 20, || told(self, words) > before);
        let start = Instant::now();
        let topic = format!("good/after/{name}");
        assert!(self.publishes(&topic, "good"), "{topic}");
        assert!(start.elapsed() < SERVED_WITHIN, "{topic}: {:?}", start.elapsed());
        self.taken.push(topic);
    }

    /// All that was acknowledged is at the hub and at the client that stays, once each, and nothing else.
    fn finish(mut self) {
        let is_counted = |topic: &&String| !topic.starts_with("probe") && !topic.starts_with("beside");
        let read = || self.read().iter().filter(is_counted).cloned().collect::<Vec<_>>();
        wait_until("all is read", 20, || read().len() >= self.taken.len());
        assert_eq!(read(), self.taken);
        let taken: BTreeSet<_> = self.taken.iter().map(|topic| format!("up/{topic}")).collect();
        wait_until("all is at the hub", 20, || {
            let at_hub: BTreeSet<_> = self.at_hub.arrived().into_iter().map(|one| one.topic).collect();
            at_hub.is_superset(&taken)
        });
        assert_eq!(self.gateway.terminate().0.code(), Some(0));
    }
}

impl Drop for Site<'_> {
    fn drop(&mut self) {
        let _ = self.reader.kill().and_then(|()| self.reader.wait());
    }
}

/// Returns a `mosquitto_pub` that ends after 20 s, whatever it waits for. A `mosquitto_sub` is run without `timeout`: that, killed, would leave it behind.
fn publisher() -> Command {
    let mut publisher = command("timeout");
    publisher.args(["20", "mosquitto_pub"]);
    publisher
}

fn is_acknowledged(mut client: Command, topic: &str) -> bool {
    client.args(["-t", topic, "-i", topic, "-m", "x"]).stderr(Stdio::null()).status().unwrap().success()
}

/// Returns the cases in groups in which no words come twice, because a refusal is told once a minute for each cause.
fn groups() -> Vec<Vec<(&'static str, Client, Outcome)>> {
    let mut groups = vec![Vec::new(); GROUPS];
    for case in CASES {
        let has_words = |group: &[(&str, Client, Outcome)]| {
            let is_told = |(_, _, other): &(_, _, Outcome)| matches!((case.2, other), (Refused(own), Refused(other)) if own == *other);
            group.iter().any(is_told)
        };
        let free = groups.iter_mut().filter(|group| !has_words(group.as_slice()));
        free.min_by_key(|group| group.len()).expect("a group without these words").push(case);
    }
    groups
}

#[test]
fn clients_are_let_in_or_refused_as_the_table_says_and_good_ones_are_served_beside_them() {
    let authorities = Authorities::new();
    for name in ["gateway", "good"] {
        authorities.write(name, &GOOD);
    }
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), "");
    let at_hub = Subscriber::start(hub.address, "up/#");
    let mut groups: Vec<_> = groups().into_iter().map(|cases| (cases, 0)).collect();
    groups.push((CASES_BEHIND.to_vec(), BEHIND_DAYS));
    std::thread::scope(|scope| {
        for (n, (cases, days)) in groups.into_iter().enumerate() {
            let (authorities, at_hub, hub) = (&authorities, &at_hub, hub.address);
            let dir: PathBuf = dir.path().join(n.to_string());
            scope.spawn(move || {
                fs::create_dir(&dir).unwrap();
                let mut site = Site::new(authorities, &dir, hub, at_hub);
                // A clock that is right counts as synchronised.
                let clock = WallClock::new(&dir, -days * 86_400_000, days == 0);
                site.gateway.wall_clock = Some(clock);
                site.start();
                cases.into_iter().for_each(|case| site.check(case));
                site.finish();
            });
        }
    });
}
