//! A thousand clients that do what they may, and two thousand that come at once.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::site::Site;
use crate::support::authority::Authority;
use crate::support::free_port;
use crate::support::gateway::Gateway;
use crate::support::publisher::{packet, text};
use crate::support::websocket::Certificates;

/// As many as `max_connections` has by default.
const CLIENTS: usize = 1000;

/// Lets this process open files for thousands of clients, as far as the hard limit goes.
pub(crate) fn open_many_files() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(16_384, |most| most.min(16_384));
    let current = limit.current.map(|now| now.max(wanted));
    setrlimit(Resource::Nofile, Rlimit { current, maximum: limit.maximum }).unwrap();
    assert!(current.is_none_or(|now| now >= 4096), "{wanted} open files are too few for this test");
}

fn greet(stream: &mut (impl Read + Write), name: &str) {
    let rest = [&text(b"MQTT")[..], &[4, 2, 0, 0], &text(name.as_bytes())].concat();
    stream.write_all(&packet(0x10, &rest)).unwrap();
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, [0x20, 2, 0, 0], "{name}");
}

pub(crate) fn dial(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).unwrap();
    // Without it the CONNECT waits for the acknowledgement of what TLS sent before, 40 ms with each client.
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream
}

/// A client with TLS or without.
pub(crate) trait Client: Read + Write + Send {}

impl<S: Read + Write + Send> Client for S {}

/// A thousand clients that said their names and say nothing more.
pub(crate) fn idle_clients(to: SocketAddr, tls: Option<&Certificates>) -> Vec<Box<dyn Client>> {
    let tls = tls.map(|trusted| Arc::new(trusted.config()));
    let connect = |n| {
        let mut stream: Box<dyn Client> = match &tls {
            None => Box::new(dial(to)),
            Some(tls) => Box::new(StreamOwned::new(session(tls), dial(to))),
        };
        greet(&mut stream, &format!("idle-{}-{n}", tls.is_some()));
        stream
    };
    (0..CLIENTS).map(connect).collect()
}

fn session(tls: &Arc<ClientConfig>) -> ClientConnection {
    ClientConnection::new(Arc::clone(tls), "localhost".try_into().unwrap()).unwrap()
}

/// Each of these is served.
pub(crate) fn all_are_there(clients: &mut [Box<dyn Client>]) {
    for client in clients {
        client.write_all(&packet(0xc0, &[])).unwrap();
        client.read_exact(&mut [0; 2]).unwrap();
    }
}

#[test]
fn a_thousand_idle_clients_take_16_mib() {
    open_many_files();
    let dir = tempfile::tempdir().unwrap();
    let (gateway, listen) = Gateway::started(dir.path(), free_port(), "[[route]]\nmatch = \"queued/#\"\n");
    let before = gateway.resident_kib_max();
    takes_at_most(gateway, before, 16, idle_clients(listen, None));
}

#[test]
fn a_thousand_idle_clients_with_tls_take_48_mib() {
    open_many_files();
    let dir = tempfile::tempdir().unwrap();
    Authority::new(dir.path(), "plant").sign(dir.path(), "gateway", Some("localhost"));
    let listen = free_port();
    let config = format!(
        "[gateway]\nid = \"g\"\n[local]\ntls_listen = \"{listen}\"\ncert = \"gateway.crt\"\nkey = \"gateway.key\"\n\
         [hub]\nurl = \"mqtt://{}\"\n[[route]]\nmatch = \"queued/#\"\n",
        free_port()
    );
    let mut gateway = Gateway::new(dir.path(), &config);
    gateway.start();
    let before = gateway.resident_kib_max();
    let clients = idle_clients(listen, Some(&Certificates::trusting(dir.path(), "plant")));
    takes_at_most(gateway, before, 48, clients);
}

/// All clients are still there, and the gateway has taken no more for them than `mib`.
#[track_caller]
fn takes_at_most(gateway: Gateway, before_kib: u64, mib: u64, mut clients: Vec<Box<dyn Client>>) {
    let taken = gateway.resident_kib_max() - before_kib;
    println!("{} idle clients: {taken} KiB above the {before_kib} KiB of the start", clients.len());
    all_are_there(&mut clients);
    assert!(taken <= mib * 1024, "{taken} KiB, not {mib} MiB");
    Site::behind(gateway, Vec::new()).check("idle clients");
}

/// Outcomes of clients that come at once, and the time from the first connect to the last answer.
pub(crate) struct Outcomes<S> {
    pub(crate) served: Vec<S>,
    /// Told by a CONNACK with a code, or by the proper end of the connection.
    pub(crate) refused: usize,
    /// By a reset, which may cost the answer.
    pub(crate) reset: usize,
    within: Duration,
}

/// Has 2 000 clients come at once, by threads; all are there before the first answer is read.
pub(crate) fn two_thousand_at_once<S: Client>(open: impl Fn(usize) -> S + Sync) -> Outcomes<S> {
    let began = Instant::now();
    let connect = |n: usize| -> S {
        let mut stream = open(n);
        let rest = [&text(b"MQTT")[..], &[4, 2, 0, 0], &text(format!("at-once-{n}"))].concat();
        // Who is refused may find that out here.
        let _ = stream.write_all(&packet(0x10, &rest));
        stream
    };
    let streams: Vec<S> = std::thread::scope(|threads| {
        let connect = &connect;
        let from = |part: usize| {
            threads.spawn(move || (part * 250..(part + 1) * 250).map(connect).collect::<Vec<_>>())
        };
        let parts: Vec<_> = (0..8).map(from).collect();
        parts.into_iter().flat_map(|part| part.join().unwrap()).collect()
    });
    let mut outcomes = Outcomes { served: Vec::new(), refused: 0, reset: 0, within: Duration::ZERO };
    for mut stream in streams {
        let mut answer = [0; 4];
        match stream.read_exact(&mut answer) {
            Ok(()) if answer == [0x20, 2, 0, 0] => outcomes.served.push(stream),
            Ok(()) => {
                assert_eq!(answer[..3], [0x20, 2, 0], "no CONNACK");
                outcomes.refused += 1;
            }
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => outcomes.refused += 1,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => outcomes.reset += 1,
            // A client that hangs has none of these.
            Err(error) => panic!("{error}"),
        }
    }
    outcomes.within = began.elapsed();
    let Outcomes { served, refused, reset, within } = &outcomes;
    println!("{} served, {refused} refused, {reset} reset, all within {within:?}", served.len());
    outcomes
}

/// Each of two thousand connects, and goes, before the next one. Returns the time of all, from that of a part of them.
fn two_thousand_in_turn(to: SocketAddr) -> Duration {
    let began = Instant::now();
    (0..200).for_each(|n| greet(&mut dial(to), &format!("in-turn-{n}")));
    began.elapsed() * 10
}

/// Each is served, or its connection ends properly; none waits. Who is there already stays.
fn more_than_there_are_places() -> Duration {
    open_many_files();
    let dir = tempfile::tempdir().unwrap();
    let (gateway, listen) = Gateway::started(dir.path(), free_port(), "[[route]]\nmatch = \"queued/#\"\n");
    let mut earlier = dial(listen);
    greet(&mut earlier, "earlier");
    let in_turn = two_thousand_in_turn(listen);
    let Outcomes { served, refused, reset, within } = two_thousand_at_once(|_| dial(listen));
    assert_eq!((served.len(), refused + reset), (CLIENTS - 1, 2000 - (CLIENTS - 1)));
    // A CONNECT that comes between the last read and the close is answered by a reset, behind the end.
    assert!(reset <= 20, "{reset} of {} are reset", refused + reset);
    is_not_slower_by_far(within, in_turn);
    earlier.write_all(&packet(0xc0, &[])).unwrap();
    earlier.read_exact(&mut [0; 2]).unwrap();
    Site::behind(gateway, Vec::new()).check("two thousand at once");
    within
}

/// Those who come at once need no longer than ten times as many that come in turn, on a machine that may stand still for seconds.
#[track_caller]
fn is_not_slower_by_far(at_once: Duration, in_turn: Duration) {
    println!("{at_once:?} at once, {in_turn:?} in turn");
    assert!(at_once <= Duration::from_secs(20).max(in_turn * 10), "{at_once:?}, {in_turn:?} in turn");
}

/// With places for all of them, half at the plain door and half at that with TLS.
fn as_many_as_there_are_places() -> Duration {
    open_many_files();
    let dir = tempfile::tempdir().unwrap();
    Authority::new(dir.path(), "plant").sign(dir.path(), "gateway", Some("localhost"));
    let [plain, secure] = [free_port(), free_port()];
    let config = format!(
        "[gateway]\nid = \"g\"\n[local]\nlisten = \"{plain}\"\ntls_listen = \"{secure}\"\ncert = \"gateway.crt\"\nkey = \"gateway.key\"\n\
         max_connections = 2500\n[hub]\nurl = \"mqtt://{}\"\n[[route]]\nmatch = \"queued/#\"\n",
        free_port()
    );
    let mut gateway = Gateway::new(dir.path(), &config);
    gateway.start();
    let tls = Arc::new(Certificates::trusting(dir.path(), "plant").config());
    let in_turn = two_thousand_in_turn(plain);
    let outcomes = two_thousand_at_once(|n| -> Box<dyn Client> {
        if n % 2 == 0 {
            return Box::new(dial(plain));
        }
        let begin = || StreamOwned::new(session(&tls), dial(secure));
        // The gateway ends a handshake that takes 3 s, as it may on a machine that stands still.
        for _ in 0..2 {
            let mut stream = begin();
            if stream.conn.complete_io(&mut stream.sock).is_ok() {
                return Box::new(stream);
            }
        }
        Box::new(begin())
    });
    assert_eq!((outcomes.served.len(), outcomes.refused, outcomes.reset), (2000, 0, 0));
    is_not_slower_by_far(outcomes.within, in_turn);
    Site::behind(gateway, Vec::new()).check("two thousand served");
    outcomes.within
}

#[test]
fn of_two_thousand_that_come_at_once_each_is_served_or_refused() {
    more_than_there_are_places();
}

#[test]
fn two_thousand_that_come_at_once_are_served_where_there_are_places() {
    as_many_as_there_are_places();
}

#[test]
#[ignore = "for a machine with nothing else to do: cargo test -p edge-gateway --test hostile_memory -- --ignored"]
fn two_thousand_that_come_at_once_have_their_answer_within_five_seconds() {
    let (refused, served) = (more_than_there_are_places(), as_many_as_there_are_places());
    let most = Duration::from_secs(5);
    assert!(refused <= most && served <= most, "{refused:?} with 1 000 places, {served:?} with 2 500");
}
