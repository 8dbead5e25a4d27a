//! An HTTP proxy of a plant: CONNECT with a Basic login, and one hub behind it whatever it is asked for.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

pub struct HttpProxy {
    pub address: SocketAddr,
    /// Its own way to the hub is gone.
    is_alone: Arc<AtomicBool>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl HttpProxy {
    /// `login`: user and password in base64. Its threads end with their connections; the accepting one with the test.
    pub fn start(hub: SocketAddr, login: &str) -> Self {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let proxy = Self {
            address: socket.local_addr().unwrap(),
            is_alone: Arc::default(),
            requests: Arc::default(),
        };
        let (is_alone, requests) = (proxy.is_alone.clone(), proxy.requests.clone());
        let login = format!("Proxy-Authorization: Basic {login}");
        std::thread::spawn(move || {
            for client in socket.incoming().flatten() {
                let (is_alone, requests, login) = (is_alone.clone(), requests.clone(), login.clone());
                std::thread::spawn(move || {
                    let request = request(&client);
                    requests.lock().unwrap().extend(request.lines().next().map(str::to_owned));
                    if !request.lines().any(|line| line == login) {
                        answer(&client, "407 Who\r\nProxy-Authenticate: Basic realm=\"plant\"");
                    } else if is_alone.load(Ordering::SeqCst) {
                        answer(&client, "503 Alone");
                    } else if let Ok(hub) = TcpStream::connect(hub) {
                        answer(&client, "200 OK");
                        tunnel(&client, &hub);
                    }
                });
            }
        });
        proxy
    }

    /// Answers 503 from now on, until it is `false` again. Tunnels stay.
    pub fn is_alone(&self, is_alone: bool) {
        self.is_alone.store(is_alone, Ordering::SeqCst);
    }

    /// First lines of all requests.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// Head of a request, or what came of it.
fn request(mut client: &TcpStream) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && client.read_exact(&mut byte).is_ok() {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

fn answer(mut client: &TcpStream, status: &str) {
    let _ = client.write_all(format!("HTTP/1.1 {status}\r\n\r\n").as_bytes());
}

fn tunnel(client: &TcpStream, hub: &TcpStream) {
    let (from, to) = (client.try_clone().unwrap(), hub.try_clone().unwrap());
    std::thread::spawn(move || copy(&from, &to));
    copy(hub, client);
}

fn copy(mut from: &TcpStream, mut to: &TcpStream) {
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(std::net::Shutdown::Both);
    let _ = from.shutdown(std::net::Shutdown::Both);
}
