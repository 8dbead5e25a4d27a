//! Test rig of the gateway: the binary itself, real Mosquitto, a foreign publisher, a WAN that can be cut.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "test support; each file uses its part"
)]

pub mod arrivals;
pub mod authority;
pub mod commands;
pub mod est_server;
pub mod gateway;
pub mod http_proxy;
pub mod hub;
pub mod mosquitto;
pub mod packet;
pub mod publisher;
pub mod relay;
pub mod rng;
pub mod wall_clock;
pub mod websocket;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Free now; whoever it is for binds it in a moment. Below the ports that the system gives to clients' connections, of
/// which one might else take it while a gateway is down.
pub fn free_port() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    for _ in 0..1_000 {
        let next = std::process::id().wrapping_mul(7_919).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = 10_000 + (next % 20_000) as u16;
        if let Ok(socket) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            return socket.local_addr().unwrap();
        }
    }
    panic!("no port is free");
}

/// Asks until it is true, at most `seconds`.
#[track_caller]
pub fn wait_until(what: &str, seconds: u64, mut is_true: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    while !is_true() {
        assert!(Instant::now() < deadline, "not within {seconds} s: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// As [`wait_until`]; how long it took.
#[track_caller]
pub fn seconds_until(what: &str, seconds: u64, is_true: impl FnMut() -> bool) -> f64 {
    let start = Instant::now();
    wait_until(what, seconds, is_true);
    start.elapsed().as_secs_f64()
}
