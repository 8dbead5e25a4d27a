//! A well-behaved client, that of tungstenite: blocking, in a thread of its own.

use std::net::{SocketAddr, TcpStream};

use bytes::Bytes;
use edge_bridge::net::Server;
use tokio::task::spawn_blocking;
use tungstenite::client::IntoClientRequest;
use tungstenite::protocol::WebSocketConfig;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::frame::{CloseFrame, Frame};
use tungstenite::{Message, WebSocket, client::client_with_config};

use crate::{CONNACK, CONNECT, PATIENCE, publish, server};

/// A client, and MQTT that came and was not asked for yet.
pub(crate) struct Client {
    pub(crate) socket: WebSocket<TcpStream>,
    unread: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr, origin: Option<&str>) -> Result<Self, String> {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut request = format!("ws://{address}/mqtt").into_client_request().unwrap();
        request.headers_mut().insert("Sec-WebSocket-Protocol", "mqtt".parse().unwrap());
        if let Some(origin) = origin {
            request.headers_mut().insert("Origin", origin.parse().unwrap());
        }
        let config = WebSocketConfig::default();
        let (socket, response) =
            client_with_config(request, stream, Some(config)).map_err(|error| error.to_string())?;
        assert_eq!(response.headers()["Sec-WebSocket-Protocol"], "mqtt");
        Ok(Self { socket, unread: Vec::new() })
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.socket.send(Message::Binary(Bytes::copy_from_slice(bytes))).unwrap();
    }

    /// Reads `size` bytes of MQTT, however many frames they are in.
    pub(crate) fn read(&mut self, size: usize) -> Vec<u8> {
        while self.unread.len() < size {
            match self.socket.read().unwrap() {
                Message::Binary(bytes) => self.unread.extend_from_slice(&bytes),
                other => panic!("{other:?}"),
            }
        }
        self.unread.drain(..size).collect()
    }

    fn log_in(&mut self) {
        self.send(CONNECT);
        assert_eq!(self.read(4), CONNACK);
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    spawn_blocking(work).await.unwrap()
}

#[tokio::test]
async fn packets_pass_in_one_frame_and_in_a_frame_for_each_byte() {
    let (_server, address, seen) = server(Server::builder()).await;
    blocking(move || {
        let packets = [CONNECT, &publish(1, b"one"), &publish(2, b"two")].concat();
        let answers = [CONNACK, &[0x40, 2, 0, 1], &[0x40, 2, 0, 2]].concat();
        for cut in 0..=packets.len() {
            let mut client = Client::connect(address, None).unwrap();
            client.send(&packets[..cut]);
            client.send(&packets[cut..]);
            assert_eq!(client.read(answers.len()), answers, "cut at {cut}");
        }
        let mut client = Client::connect(address, None).unwrap();
        for byte in packets.chunks(1) {
            client.send(byte);
        }
        assert_eq!(client.read(answers.len()), answers);
        // One message in as many frames, with pings between them.
        let mut client = Client::connect(address, None).unwrap();
        for (n, byte) in packets.iter().enumerate() {
            let data = if n == 0 { Data::Binary } else { Data::Continue };
            let is_last = n + 1 == packets.len();
            let frame = Frame::message(Bytes::copy_from_slice(&[*byte]), OpCode::Data(data), is_last);
            client.socket.send(Message::Frame(frame)).unwrap();
        }
        assert_eq!(client.read(answers.len()), answers);
        assert_eq!(seen.lock().unwrap().len(), 2 * (packets.len() + 3));
    })
    .await;
}

#[tokio::test]
async fn large_messages_pass_both_ways() {
    let (_server, address, seen) = server(Server::builder()).await;
    blocking(move || {
        let mut client = Client::connect(address, None).unwrap();
        client.log_in();
        client.send(&[0x82, 6, 0, 1, 0, 1, b't', 0]);
        assert_eq!(client.read(5), [0x90, 3, 0, 1, 0]);
        let payload: Vec<u8> = (0..200_000_u32).map(|n| n.to_le_bytes()[1]).collect();
        client.send(&publish(7, &payload));
        // At QoS 0 it has no packet identifier.
        let comes = publish(7, &payload).len() - 2;
        let got = client.read(comes + 4);
        let at = got.windows(4).position(|part| part == [0x40, 2, 0, 7]).unwrap();
        let message = [&got[..at], &got[at + 4..]].concat();
        assert_eq!(message[0], 0x30);
        assert_eq!(message[message.len() - payload.len()..], payload);
        assert_eq!(*seen.lock().unwrap(), [payload]);
    })
    .await;
}

#[tokio::test]
async fn pings_and_the_close_are_answered() {
    let (_server, address, _) = server(Server::builder()).await;
    blocking(move || {
        let mut client = Client::connect(address, None).unwrap();
        client.socket.send(Message::Ping(Bytes::from_static(b"before CONNECT"))).unwrap();
        assert_eq!(client.socket.read().unwrap(), Message::Pong(Bytes::from_static(b"before CONNECT")));
        client.log_in();
        client.socket.send(Message::Ping(Bytes::new())).unwrap();
        assert_eq!(client.socket.read().unwrap(), Message::Pong(Bytes::new()));
        client.send(&publish(1, b"last"));
        let close = CloseFrame { code: 1001.into(), reason: "the page is left".into() };
        client.socket.close(Some(close)).unwrap();
        assert_eq!(client.read(4), [0x40, 2, 0, 1]);
        match client.socket.read().unwrap() {
            Message::Close(Some(answer)) => assert_eq!(u16::from(answer.code), 1001),
            other => panic!("{other:?}"),
        }
    })
    .await;
}

#[tokio::test]
async fn a_disconnect_is_followed_by_a_close() {
    let (_server, address, _) = server(Server::builder()).await;
    blocking(move || {
        let mut client = Client::connect(address, None).unwrap();
        client.log_in();
        client.send(&[0xe0, 0]);
        match client.socket.read().unwrap() {
            Message::Close(Some(close)) => assert_eq!(u16::from(close.code), 1000),
            other => panic!("{other:?}"),
        }
    })
    .await;
}

#[tokio::test]
async fn pages_of_others_are_not_let_in() {
    let listed = ["https://panel.example".to_owned()];
    let (_server, address, _) = server(Server::builder().ws_origins(listed)).await;
    blocking(move || {
        let own = format!("http://{address}");
        for let_in in [None, Some(own.as_str()), Some("https://panel.example")] {
            Client::connect(address, let_in).unwrap().log_in();
        }
        for origin in ["https://evil.example", "http://panel.example", "null"] {
            let refused = Client::connect(address, Some(origin)).err().unwrap();
            assert!(refused.contains("403"), "{refused}");
        }
    })
    .await;
}
