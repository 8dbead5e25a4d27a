//! Packets that come as records of TLS of their own.

use std::io::Write as _;

use edge_bridge::listener::Event;
use edge_bridge::net::Server;
use edge_bridge::net::tcp_stream::Counted;
use edge_bridge::session::{Closed, Violation};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Duration, sleep, timeout};

use crate::PATIENCE;
use crate::authority::{Authority, EVER};

const PACKETS: usize = 300;
/// Most records of a turn.
const TURN: usize = 256;
const PACKET: &[u8] = b"a packet of a sensor";

/// Bytes of a record of TLS 1.3 with a packet: its head, kind and tag are beside it.
const RECORD: usize = 5 + PACKET.len() + 1 + 16;

/// A record that the session's key did not make.
const FOREIGN: [u8; 25] =
    [0x17, 3, 3, 0, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20];

/// Returns the socket with another handle of it.
fn with_another(socket: TcpStream) -> (TcpStream, std::net::TcpStream) {
    let socket = socket.into_std().unwrap();
    let beside = socket.try_clone().unwrap();
    (TcpStream::from_std(socket).unwrap(), beside)
}

/// Waits until so many bytes are there to be read.
async fn wait_for(socket: &std::net::TcpStream, bytes: usize) {
    let mut room = vec![0; bytes];
    let all_are_there = async {
        while !matches!(socket.peek(&mut room), Ok(there) if there == bytes) {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, all_are_there).await.unwrap();
}

/// A connection has a turn for each read: with one record a turn, a sensor behind TLS falls behind those without where turns are rare.
#[tokio::test]
async fn records_that_are_there_are_read_at_once_as_far_as_there_is_room() {
    let authority = Authority::new();
    let (client, server) = (authority.client(), authority.hub(EVER));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // What comes before the server's handshake ends may be read with it.
    let (begin, begun) = oneshot::channel();
    let sensor = tokio::spawn(async move {
        let socket = TcpStream::connect(address).await.unwrap();
        socket.set_nodelay(true).unwrap();
        let mut stream =
            client.handshake("localhost", Counted::new(socket, Default::default())).await.unwrap();
        begun.await.unwrap();
        for _ in 0..PACKETS {
            stream.write_all(PACKET).await.unwrap();
            stream.flush().await.unwrap();
        }
        stream
    });
    let (socket, beside) = with_another(listener.accept().await.unwrap().0);
    let mut stream = server.accept(Counted::new(socket, Default::default())).await.unwrap();
    begin.send(()).unwrap();
    let mut sensor = timeout(PATIENCE, sensor).await.unwrap().unwrap();
    wait_for(&beside, PACKETS * RECORD).await;
    let mut room = vec![0; 5 * PACKET.len()];
    assert_eq!(stream.read(&mut room).await.unwrap(), 5 * PACKET.len(), "no more than there is room for");
    let mut room = vec![0; PACKETS * PACKET.len()];
    assert_eq!(stream.read(&mut room).await.unwrap(), TURN * PACKET.len());
    assert_eq!(stream.read(&mut room).await.unwrap(), (PACKETS - TURN - 5) * PACKET.len());

    // An end behind the last record is not lost with it.
    sensor.write_all(PACKET).await.unwrap();
    sensor.shutdown().await.unwrap();
    drop(sensor);
    sleep(Duration::from_millis(100)).await;
    assert_eq!(stream.read(&mut room).await.unwrap(), PACKET.len());
    assert_eq!(stream.read(&mut room).await.unwrap(), 0);
}

/// The connection ends at once, not with the next bytes.
#[tokio::test]
async fn an_error_behind_the_last_record_is_told_at_the_next_read() {
    let authority = Authority::new();
    let (client, server) = (authority.client(), authority.hub(EVER));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let socket = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    socket.set_nonblocking(true).unwrap();
    let mut beside = socket.try_clone().unwrap();
    let (begin, begun) = oneshot::channel();
    let sensor = tokio::spawn(async move {
        let socket = Counted::new(TcpStream::from_std(socket).unwrap(), Default::default());
        let mut stream = client.handshake("localhost", socket).await.unwrap();
        begun.await.unwrap();
        // More than TLS takes from the network at a time, and less than a turn.
        for _ in 0..TURN - 6 {
            stream.write_all(PACKET).await.unwrap();
            stream.flush().await.unwrap();
        }
        stream
    });
    let (socket, of_server) = with_another(listener.accept().await.unwrap().0);
    let mut stream = server.accept(Counted::new(socket, Default::default())).await.unwrap();
    begin.send(()).unwrap();
    let _sensor = timeout(PATIENCE, sensor).await.unwrap().unwrap();
    beside.write_all(&FOREIGN).unwrap();
    wait_for(&of_server, (TURN - 6) * RECORD + FOREIGN.len()).await;
    let mut room = vec![0; PACKETS * PACKET.len()];
    assert_ne!(stream.read(&mut room).await.unwrap(), 0);
    let told = timeout(PATIENCE, stream.read(&mut room)).await.expect("it waits for more");
    assert!(told.is_err(), "{told:?}");
}

/// It is no lost network: the end is counted, and told with the client and the error of TLS.
#[tokio::test]
async fn a_broken_record_behind_the_login_is_told_and_counted() {
    let authority = Authority::new();
    let (tell, mut told) = mpsc::unbounded_channel();
    let server = Server::builder()
        .tls(authority.hub(EVER))
        .on_event(move |event, address| {
            if let Event::Disconnected { client, why, .. } = event {
                let client = client.as_ref().map(ToString::to_string);
                let _ = tell.send((client, why.clone(), address));
            }
        })
        .start_observer("127.0.0.1:0", |_, _| {})
        .await
        .unwrap();
    let socket = TcpStream::connect(server.local_addr()).await.unwrap();
    let own = socket.local_addr().ok();
    let (socket, mut beside) = with_another(socket);
    let socket = Counted::new(socket, Default::default());
    let mut stream = authority.client().handshake("localhost", socket).await.unwrap();
    stream.write_all(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01c").await.unwrap();
    stream.flush().await.unwrap();
    stream.read_exact(&mut [0; 4]).await.unwrap();
    beside.write_all(&FOREIGN).unwrap();
    let (client, why, address) = timeout(PATIENCE, told.recv()).await.unwrap().unwrap();
    assert_eq!((client.as_deref(), address), (Some("c"), own));
    let Closed::Violation(Violation::Tls(error)) = &why else { panic!("{why:?}") };
    assert!(error.contains("decrypt"), "{error}");
    assert_eq!(server.stats().await.unwrap().violations, 1);
}
