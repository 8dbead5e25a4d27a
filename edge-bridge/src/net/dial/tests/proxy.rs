//! Dials through a scripted proxy.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::task::JoinHandle;

use super::super::*;
use super::tls::{Hello, accept_tls, hub_tls};
use super::{dialer, listener};
use crate::net::proxy::login::ProxyLogin;
use crate::net::reread_source::Subject;

const GRANTED: &str = "HTTP/1.1 200 Connection established\r\n\r\n";

/// A proxy that takes one connection, reads a request, and goes on as `script` says.
async fn proxy<F, R>(script: F) -> (SocketAddr, JoinHandle<(String, R::Output)>)
where
    F: FnOnce(TcpStream) -> R + Send + 'static,
    R: Future<Output: Send + 'static> + Send,
{
    let (listener, address) = listener().await;
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.unwrap());
        }
        (String::from_utf8(request).unwrap(), script(stream).await)
    });
    (address, task)
}

fn through(proxy: SocketAddr, target: &str) -> Dialer {
    let address = format!("http://{proxy}").parse().unwrap();
    Dialer { target: target.parse().unwrap(), proxy: Some(Proxy { address, login: None }), ..dialer() }
}

/// The error of a dial through a proxy that answers so and closes.
async fn refused(answer: &str, login: Option<ProxyLogin>) -> String {
    let answer = answer.to_owned();
    let (address, _task) =
        proxy(async move |mut stream: TcpStream| stream.write_all(answer.as_bytes()).await).await;
    let mut dialer = through(address, "mqtt://hub.invalid");
    dialer.proxy.as_mut().unwrap().login = login;
    let error = dialer.dial().await.err().unwrap();
    let is_of_us = error.to_string().contains(": 4");
    assert_eq!(error.is_refusal(), is_of_us, "{error}");
    let error = error.to_string();
    let rest = error.strip_prefix(&format!("proxy http://{address}: "));
    rest.unwrap_or_else(|| panic!("{error}")).to_owned()
}

#[tokio::test]
async fn the_tunnel_begins_behind_the_head_and_the_name_is_the_proxys_to_resolve() {
    for (target, authority) in
        [("mqtt://hub.invalid:1884", "hub.invalid:1884"), ("mqtt://[2001:db8::7]", "[2001:db8::7]:1883")]
    {
        let (address, task) = proxy(async |mut stream: TcpStream| {
            stream.write_all(format!("{GRANTED}first words").as_bytes()).await.unwrap();
            let mut up = [0; 2];
            stream.read_exact(&mut up).await.unwrap();
            up
        })
        .await;
        let dialer = through(address, target);
        let wire_bytes = dialer.wire_bytes.on_wire.clone();
        let mut stream = dialer.dial().await.ok().unwrap().stream;
        let mut down = [0; 11];
        stream.read_exact(&mut down).await.unwrap();
        assert_eq!(&down, b"first words");
        stream.write_all(b"up").await.unwrap();
        let (request, up) = task.await.unwrap();
        assert_eq!(request, format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n"));
        assert_eq!(&up, b"up");
        let expected = request.len() + GRANTED.len() + down.len() + up.len();
        assert_eq!(wire_bytes.load(std::sync::atomic::Ordering::Relaxed), expected as u64);
    }
}

#[tokio::test]
async fn an_answer_in_single_bytes_is_an_answer() {
    let (address, task) = proxy(async |mut stream: TcpStream| {
        for byte in format!("HTTP/1.1 100 Continue\r\n\r\n{GRANTED}x").bytes() {
            stream.write_u8(byte).await.unwrap();
            tokio::task::yield_now().await;
        }
        stream
    })
    .await;
    let mut stream = through(address, "mqtt://hub.invalid").dial().await.ok().unwrap().stream;
    assert_eq!(stream.read_u8().await.unwrap(), b'x');
    task.await.unwrap();
}

#[tokio::test]
async fn a_refusal_says_which_proxy_and_which_status() {
    for (answer, said) in [
        ("HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=\"x\"\r\n\r\n", "407, it wants a login"),
        ("HTTP/1.0 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nno\n", "502, it cannot connect to the hub"),
        ("HTTP/1.1 403 Forbidden\r\n\r\n", "403, it does not let this connection through"),
        ("HTTP/1.1 302 Found\r\nLocation: http://login/\r\n\r\n", "302, it does not make a tunnel"),
        ("HTTP/1.1 101 Switching Protocols\r\n\r\n", "101, it does not make a tunnel"),
        ("HTTP/1.1 418 \u{1b}[2J\r\n\r\n", "418"),
        ("SSH-2.0-OpenSSH_9\r\n", "it does not answer in HTTP"),
        ("HTTP/1.1 200 OK\r\nVia: pro", "it closed the connection before its answer ended"),
        ("", "it closed the connection before its answer ended"),
    ] {
        let error = refused(answer, None).await;
        assert!(error.starts_with(said) && !error.contains('\u{1b}'), "{answer}: {error}");
    }
}

#[tokio::test]
async fn a_head_without_an_end_is_read_no_further_than_its_limit() {
    // Longer than what the system's buffers hold, so that the proxy ends by the close alone.
    let (address, task) = proxy(async |mut stream: TcpStream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n").await.unwrap();
        for _ in 0..100_000 {
            if stream.write_all(&[b'x'; 4096]).await.is_err() {
                return true;
            }
        }
        false
    })
    .await;
    let dialer = through(address, "mqtt://hub.invalid");
    let wire_bytes = dialer.wire_bytes.on_wire.clone();
    let error = dialer.dial().await.err().unwrap().to_string();
    assert!(error.ends_with("the head of its answer has more than 8192 bytes"), "{error}");
    assert!(wire_bytes.load(std::sync::atomic::Ordering::Relaxed) < 9_000);
    assert!(task.await.unwrap().1, "the connection was closed");
}

#[tokio::test]
async fn a_proxy_that_is_slow_costs_the_connect_timeout() {
    let words = "HTTP/1.1 200 OK\r\nX: ";
    for said in ["", words] {
        // An answer that goes on and on, or none.
        let (address, task) = proxy(async move |mut stream: TcpStream| {
            stream.write_all(said.as_bytes()).await.unwrap();
            while !said.is_empty() && stream.write_u8(b'x').await.is_ok() {
                sleep(Duration::from_millis(20)).await;
            }
            stream.read_to_end(&mut Vec::new()).await.is_ok()
        })
        .await;
        let limit = Duration::from_millis(400);
        let dialer = Dialer { connect_timeout: limit, ..through(address, "mqtt://hub.invalid") };
        let error = dialer.dial().await.err().unwrap().to_string();
        let expected = "no connection to mqtt://hub.invalid:1883 through the proxy http://";
        assert!(error.starts_with(expected) && error.ends_with("within 400ms"), "{error}");
        task.await.unwrap();
    }
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_named() {
    let (closed, address) = listener().await;
    drop(closed);
    let error = through(address, "mqtt://hub.invalid").dial().await.err().unwrap().to_string();
    let expected = format!("proxy http://{address}: cannot connect to {address}: ");
    assert!(error.starts_with(&expected), "{error}");
}

#[tokio::test]
async fn the_login_is_read_for_each_dial() {
    let file = Arc::new(Mutex::new(None::<&str>));
    let read = file.clone();
    let source = RereadSource::new(Subject::ProxyPassword, move || {
        let content = *read.lock().unwrap();
        content.map(Bytes::from).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    });
    let login = ProxyLogin::new("site7".to_owned(), None, Some(source));
    assert!(refused("", Some(login.clone())).await.starts_with("its password was never read"));
    for (password, coded) in [("old", "c2l0ZTc6b2xk"), ("new", "c2l0ZTc6bmV3")] {
        *file.lock().unwrap() = Some(password);
        let (address, task) =
            proxy(async |mut stream: TcpStream| stream.write_all(GRANTED.as_bytes()).await).await;
        let mut dialer = through(address, "mqtt://hub");
        dialer.proxy.as_mut().unwrap().login = Some(login.clone());
        assert!(dialer.dial().await.is_ok());
        let (request, _) = task.await.unwrap();
        let line = format!("\r\nProxy-Authorization: Basic {coded}\r\n\r\n");
        assert!(request.ends_with(&line), "{request}");
    }
    let basic = "HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=\"x\"\r\n\r\n";
    assert!(refused(basic, Some(login.clone())).await.starts_with("407, it does not take this user"));
    let silent = "HTTP/1.1 407 No\r\n\r\n";
    assert!(refused(silent, Some(login.clone())).await.starts_with("407, it does not take this user"));
    let other = "HTTP/1.1 407 No\r\nProxy-Authenticate: NTLM\r\n\r\n";
    assert!(refused(other, Some(login)).await.starts_with("407, it wants another login than Basic"));
}

#[tokio::test]
async fn tls_runs_inside_the_tunnel_with_the_hubs_name() {
    let (config, tls) = hub_tls("hub.example", &["x-amzn-mqtt-ca"]);
    let (hub, hub_address) = listener().await;
    let seen = accept_tls(hub, config);
    let (address, task) = proxy(async move |mut stream: TcpStream| {
        let mut hub = TcpStream::connect(hub_address).await.unwrap();
        stream.write_all(GRANTED.as_bytes()).await.unwrap();
        copy_bidirectional(&mut stream, &mut hub).await.is_ok()
    })
    .await;
    let tls = Some(tls.with_alpn(&["x-amzn-mqtt-ca".to_owned()]));
    let dialer = Dialer { tls, ..through(address, "mqtts://hub.example") };
    let dialed = dialer.dial().await;
    assert!(dialed.is_ok());
    let expected =
        Hello { server_name: Some("hub.example".to_owned()), alpn: Some("x-amzn-mqtt-ca".to_owned()) };
    assert_eq!(seen.await.unwrap(), Ok(expected));
    drop(dialed);
    let (request, _) = task.await.unwrap();
    assert!(request.starts_with("CONNECT hub.example:8883 HTTP/1.1\r\n"), "{request}");
}
