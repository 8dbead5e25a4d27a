//! Packets that come as records of TLS of their own.

use std::io::Write as _;

use edge_bridge::net::tcp_stream::Counted;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Duration, sleep, timeout};

use crate::PATIENCE;
use crate::authority::{Authority, EVER};

const PACKETS: usize = 300;
/// Most records of a turn.
const TURN: usize = 256;
const PACKET: &[u8] = b"a packet of a sensor";

/// A connection has a turn for each read: with one record a turn, a sensor behind TLS falls behind those without where turns are rare.
#[tokio::test]
async fn records_that_are_there_are_read_at_once_as_far_as_there_is_room() {
    let authority = Authority::new();
    let (client, server) = (authority.client(), authority.hub(EVER));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let sensor = tokio::spawn(async move {
        let socket = TcpStream::connect(address).await.unwrap();
        socket.set_nodelay(true).unwrap();
        let mut stream =
            client.handshake("localhost", Counted::new(socket, Default::default())).await.unwrap();
        for _ in 0..PACKETS {
            stream.write_all(PACKET).await.unwrap();
            stream.flush().await.unwrap();
        }
        stream
    });
    let (socket, _) = listener.accept().await.unwrap();
    let mut stream = server.accept(Counted::new(socket, Default::default())).await.unwrap();
    let mut sensor = timeout(PATIENCE, sensor).await.unwrap().unwrap();
    // On loopback what was written is there.
    sleep(Duration::from_millis(100)).await;
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
    let sensor = tokio::spawn(async move {
        let socket = Counted::new(TcpStream::from_std(socket).unwrap(), Default::default());
        let mut stream = client.handshake("localhost", socket).await.unwrap();
        // More than TLS takes from the network at a time, and less than a turn.
        for _ in 0..TURN - 6 {
            stream.write_all(PACKET).await.unwrap();
            stream.flush().await.unwrap();
        }
        stream
    });
    let (socket, _) = listener.accept().await.unwrap();
    let mut stream = server.accept(Counted::new(socket, Default::default())).await.unwrap();
    let _sensor = timeout(PATIENCE, sensor).await.unwrap().unwrap();
    // A record that the session's key did not make.
    beside
        .write_all(&[
            0x17, 3, 3, 0, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20,
        ])
        .unwrap();
    sleep(Duration::from_millis(100)).await;
    let mut room = vec![0; PACKETS * PACKET.len()];
    assert_ne!(stream.read(&mut room).await.unwrap(), 0);
    let told = timeout(PATIENCE, stream.read(&mut room)).await.expect("it waits for more");
    assert!(told.is_err(), "{told:?}");
}
