mod address_histories;
mod proxy;
mod tls;

use std::time::Instant;

use tokio::net::TcpListener;

use super::*;
use crate::session::UNSENT_MAX;

fn dialer() -> Dialer {
    Dialer {
        target: "mqtt://hub".parse().unwrap(),
        tls: None,
        renewal: None,
        alpn: Vec::new(),
        server_name: None,
        proxy: None,
        connect_timeout: Duration::from_secs(5),
        password: None,
        failed_dials: FailedDials::default(),
        send_buffer_bytes: None,
        wire_bytes: WireBytes::default(),
        hub_tls: LastHubTls::default(),
    }
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// An address that swallows SYNs: its backlog is full. The streams keep it so.
async fn black_hole() -> (TcpListener, SocketAddr, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut streams = Vec::new();
    while let Ok(stream) = timeout(Duration::from_millis(300), TcpStream::connect(address)).await {
        streams.push(stream.unwrap());
    }
    (listener, address, streams)
}

#[tokio::test]
async fn the_second_address_is_tried_while_the_first_is_silent() {
    let (_hole, silent, _streams) = black_hole().await;
    let (_listener, good) = listener().await;
    let start = Instant::now();
    let stream = dialer().connect_first(vec![silent, silent, good]).await.unwrap();
    assert_eq!(stream.peer_addr().unwrap(), good);
    let took = start.elapsed();
    assert!(took >= 2 * HEAD_START && took < Duration::from_secs(3), "{took:?}");
}

#[tokio::test]
async fn after_a_refusal_the_next_is_tried_at_once() {
    let (closed, refused) = listener().await;
    drop(closed);
    let (_listener, good) = listener().await;
    let stream = dialer().connect_first(vec![refused, good]).await.unwrap();
    assert_eq!(stream.peer_addr().unwrap(), good);
    let error = dialer().connect_first(vec![refused, refused]).await.unwrap_err();
    assert!(matches!(error, DialError::Connect { address, .. } if address == refused), "{error}");
    assert!(matches!(dialer().connect_first(Vec::new()).await, Err(DialError::NoAddress(_))));
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn unsent_bytes_are_bounded_and_silence_is_probed() {
    let (_listener, good) = listener().await;
    let stream = dialer().connect_first(vec![good]).await.unwrap();
    assert_eq!(socket2::SockRef::from(&stream).tcp_notsent_lowat().unwrap(), UNSENT_MAX);
    assert_eq!(socket2::SockRef::from(&stream).tcp_keepalive_time().unwrap(), PROBE_AFTER);
}

/// A name with two addresses, of which the first takes connections and says nothing on them.
#[tokio::test]
async fn after_a_dial_in_vain_another_address_comes_first() {
    let ((_first, silent), (_second, good)) = (listener().await, listener().await);
    let dialer = dialer();
    let mut reached = Vec::new();
    for n in 0..4 {
        let addresses = dialer.failed_dials.in_turn(&dialer.target, vec![silent, good]);
        let stream = dialer.connect_first(addresses).await.unwrap();
        reached.push(stream.peer_addr().unwrap());
        if n == 1 {
            dialer.failed_dials.on_accepted();
        }
    }
    assert_eq!(reached, [silent, good, silent, good]);
}

/// Each dial counts, with what follows TCP too.
#[tokio::test]
async fn a_dial_counts_as_failed_until_the_hub_accepts() {
    let (_listener, address) = listener().await;
    let dialer = Dialer { target: format!("mqtt://{address}").parse().unwrap(), ..dialer() };
    drop(dialer.clone().dial().await.unwrap());
    assert!(dialer.clone().reaches().await);
    let other = SocketAddr::new(address.ip(), 1);
    assert_eq!(dialer.failed_dials.in_turn(&dialer.target, vec![address, other]), [other, address]);
}

#[test]
fn families_take_turns() {
    let address = |text: &str| text.parse::<SocketAddr>().unwrap();
    let given = ["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "1.1.1.2:1"].map(address);
    let wanted = ["[::1]:1", "1.1.1.1:1", "[::2]:1", "1.1.1.2:1", "[::3]:1"].map(address);
    assert_eq!(interleaved(given.into_iter()), wanted);
}
