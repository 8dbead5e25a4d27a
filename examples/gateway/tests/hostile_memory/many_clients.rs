//! A thousand clients that do what they may, and two thousand that come at once.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::{ClientConnection, StreamOwned};

use crate::site::Site;
use crate::support::authority::Authority;
use crate::support::free_port;
use crate::support::gateway::Gateway;
use crate::support::publisher::{packet, text};
use crate::support::websocket::Certificates;

/// As many as `max_connections` has by default.
const CLIENTS: usize = 1000;

/// Lets this process open files for two thousand clients.
fn open_many_files() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(8192, |most| most.min(8192));
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

fn dial(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream
}

#[test]
fn a_thousand_idle_clients_take_16_mib() {
    open_many_files();
    let dir = tempfile::tempdir().unwrap();
    let (gateway, listen) = Gateway::started(dir.path(), free_port(), "[[route]]\nmatch = \"queued/#\"\n");
    let before = gateway.resident_kib_max();
    let connect = |n| {
        let mut stream = dial(listen);
        greet(&mut stream, &format!("idle-{n}"));
        stream
    };
    let clients: Vec<_> = (0..CLIENTS).map(connect).collect();
    takes_at_most(gateway, before, 16, clients);
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
    let tls = Arc::new(Certificates::trusting(dir.path(), "plant").config());
    let connect = |n| {
        let session = ClientConnection::new(Arc::clone(&tls), "localhost".try_into().unwrap()).unwrap();
        let mut stream = StreamOwned::new(session, dial(listen));
        greet(&mut stream, &format!("idle-{n}"));
        stream
    };
    let clients: Vec<_> = (0..CLIENTS).map(connect).collect();
    takes_at_most(gateway, before, 48, clients);
}

/// All clients are still there, and the gateway has taken no more for them than `mib`.
#[track_caller]
fn takes_at_most<S: Read + Write>(gateway: Gateway, before_kib: u64, mib: u64, mut clients: Vec<S>) {
    let taken = gateway.resident_kib_max() - before_kib;
    println!("{} idle clients: {taken} KiB above the {before_kib} KiB of the start", clients.len());
    for client in &mut clients {
        client.write_all(&packet(0xc0, &[])).unwrap();
        client.read_exact(&mut [0; 2]).unwrap();
    }
    assert!(taken <= mib * 1024, "{taken} KiB, not {mib} MiB");
    Site::behind(gateway, Vec::new()).check("idle clients");
}

/// Each is served, or its connection ends; none waits. Who is there already stays.
#[test]
fn of_two_thousand_that_come_at_once_each_is_served_or_refused() {
    open_many_files();
    let dir = tempfile::tempdir().unwrap();
    let (gateway, listen) = Gateway::started(dir.path(), free_port(), "[[route]]\nmatch = \"queued/#\"\n");
    let mut earlier = dial(listen);
    greet(&mut earlier, "earlier");
    let connect = |n: usize| -> TcpStream {
        let mut stream = dial(listen);
        let name = format!("at-once-{n}");
        let rest = [&text(b"MQTT")[..], &[4, 2, 0, 0], &text(name.as_bytes())].concat();
        // Who is refused may find that out here.
        let _ = stream.write_all(&packet(0x10, &rest));
        stream
    };
    // By threads, so that they come at once; all are there before the first answer is read.
    let streams: Vec<TcpStream> = std::thread::scope(|threads| {
        let from = |part: usize| {
            threads.spawn(move || (part * 250..(part + 1) * 250).map(connect).collect::<Vec<_>>())
        };
        let parts: Vec<_> = (0..8).map(from).collect();
        parts.into_iter().flat_map(|part| part.join().unwrap()).collect()
    });
    let (mut served, mut refused) = (Vec::new(), 0);
    for mut stream in streams {
        let mut answer = [0; 4];
        match stream.read_exact(&mut answer) {
            Ok(()) => {
                assert_eq!(answer, [0x20, 2, 0, 0]);
                served.push(stream);
            }
            Err(error) => {
                // A client that hangs has neither.
                assert!(
                    !matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut),
                    "{error}"
                );
                refused += 1;
            }
        }
    }
    println!("{} served, {refused} refused", served.len());
    assert_eq!((served.len(), refused), (CLIENTS - 1, 2000 - (CLIENTS - 1)));
    earlier.write_all(&packet(0xc0, &[])).unwrap();
    earlier.read_exact(&mut [0; 2]).unwrap();
    Site::behind(gateway, Vec::new()).check("two thousand at once");
}
