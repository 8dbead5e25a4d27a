use super::*;

const DELAY: Duration = Duration::from_millis(40);

async fn link() -> (Relay, TcpListener) {
    let hub = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let relay = Relay::start(hub.local_addr().unwrap(), DELAY).await.unwrap();
    (relay, hub)
}

async fn connect(relay: &Relay, hub: &TcpListener) -> (TcpStream, TcpStream) {
    let gateway = TcpStream::connect(relay.address()).await.unwrap();
    let (at_hub, _) = hub.accept().await.unwrap();
    (gateway, at_hub)
}

async fn read_byte(stream: &mut TcpStream) -> io::Result<usize> {
    tokio::time::timeout(Duration::from_secs(30), stream.read(&mut [0])).await.map_err(io::Error::other)?
}

#[tokio::test]
async fn bytes_arrive_in_order_after_the_delay_and_are_counted_per_direction() {
    let (relay, hub) = link().await;
    let (mut gateway, mut at_hub) = connect(&relay, &hub).await;
    let start = Instant::now();
    gateway.write_all(b"hello").await.unwrap();
    let mut got = [0; 5];
    at_hub.read_exact(&mut got).await.unwrap();
    assert!(start.elapsed() >= DELAY);
    at_hub.write_all(b"ok").await.unwrap();
    gateway.read_exact(&mut got[..2]).await.unwrap();
    assert!(start.elapsed() >= 2 * DELAY);
    assert_eq!(&got, b"okllo");
    assert_eq!(relay.traffic(), Traffic { up_bytes: 5, down_bytes: 2, connections: 1 });
}

#[tokio::test]
async fn the_delay_does_not_limit_throughput() {
    let (relay, hub) = link().await;
    let (mut gateway, mut at_hub) = connect(&relay, &hub).await;
    let sent: Vec<u8> = (0..4_000_000u32).map(|i| (i / 7) as u8).collect();
    let expected = sent.clone();
    let start = Instant::now();
    let writer = tokio::spawn(async move {
        gateway.write_all(&sent).await.unwrap();
        gateway.shutdown().await.unwrap();
        gateway
    });
    let mut got = Vec::new();
    at_hub.read_to_end(&mut got).await.unwrap();
    writer.await.unwrap();
    assert!(got == expected, "order or content changed");
    // One chunk per delay would take about 20 s.
    assert!(start.elapsed() < Duration::from_secs(12), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_cut_resets_connections_and_refuses_new_ones_until_it_ends() {
    let (mut relay, hub) = link().await;
    let (mut gateway, mut at_hub) = connect(&relay, &hub).await;
    relay.set(Fault::Cut).await;
    for _ in 0..3 {
        let refused = TcpStream::connect(relay.address()).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }
    assert_eq!(read_byte(&mut gateway).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(read_byte(&mut at_hub).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    relay.set(Fault::Normal).await;
    let (mut gateway, mut at_hub) = connect(&relay, &hub).await;
    gateway.write_all(b"x").await.unwrap();
    assert_eq!(read_byte(&mut at_hub).await.unwrap(), 1);
}

#[tokio::test]
async fn a_half_open_link_swallows_everything_and_its_connections_never_come_back() {
    let (mut relay, hub) = link().await;
    let (mut old, mut old_at_hub) = connect(&relay, &hub).await;
    relay.set(Fault::HalfOpen).await;
    // Accepted by the kernel, and writable: nothing tells the gateway.
    let mut new = TcpStream::connect(relay.address()).await.unwrap();
    old.write_all(b"lost").await.unwrap();
    old_at_hub.write_all(b"lost").await.unwrap();
    new.write_all(b"lost").await.unwrap();
    let silence = 3 * DELAY;
    for stream in [&mut old, &mut old_at_hub, &mut new] {
        assert!(tokio::time::timeout(silence, stream.read(&mut [0])).await.is_err(), "something passed");
    }
    assert!(tokio::time::timeout(silence, hub.accept()).await.is_err(), "the hub saw a new connection");
    relay.set(Fault::Normal).await;
    for stream in [&mut old, &mut old_at_hub, &mut new] {
        assert_eq!(read_byte(stream).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    }
    connect(&relay, &hub).await;
}

#[tokio::test]
async fn a_close_during_a_half_open_link_is_not_passed_on_before_its_end() {
    let (mut relay, hub) = link().await;
    let (gateway, mut at_hub) = connect(&relay, &hub).await;
    relay.set(Fault::HalfOpen).await;
    drop(gateway);
    assert!(tokio::time::timeout(3 * DELAY, at_hub.read(&mut [0])).await.is_err());
    relay.set(Fault::Normal).await;
    assert!(read_byte(&mut at_hub).await.is_err());
}

#[tokio::test]
async fn a_fault_shorter_than_a_poll_still_ends_the_connections_it_met() {
    let (mut relay, hub) = link().await;
    let (mut gateway, _at_hub) = connect(&relay, &hub).await;
    relay.condition.send_modify(|c| *c = Condition { epoch: c.epoch + 2, fault: Fault::Normal });
    relay.set(Fault::Normal).await;
    assert!(read_byte(&mut gateway).await.is_err());
}

#[tokio::test]
async fn the_end_of_a_stream_is_passed_on_after_what_was_sent_before() {
    let (relay, hub) = link().await;
    let (mut gateway, mut at_hub) = connect(&relay, &hub).await;
    gateway.write_all(b"last words").await.unwrap();
    drop(gateway);
    let mut got = Vec::new();
    at_hub.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, b"last words");
}
