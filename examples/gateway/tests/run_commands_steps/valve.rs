//! A local client of MQTT 3.1.1, which does each thing when the test says so: it comes, reads, acknowledges, goes.

use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::ledger::Movement;
use super::support::arrivals::Arrivals;
use super::support::packet::{self, Publish};
use super::support::publisher::{packet, text};
use super::support::wait_until;

const PAUSE: Duration = Duration::from_millis(5);

/// Its thread ends with its connection, after it is dropped.
pub struct Valve(Arc<State>);

#[derive(Default)]
struct State {
    movements: Mutex<Vec<Movement>>,
    /// Packet identifiers of this connection.
    unacknowledged: Mutex<Vec<u16>>,
    stream: Mutex<Option<TcpStream>>,
    subscriptions: AtomicUsize,
    is_away: AtomicBool,
    is_blind: AtomicBool,
    is_mute: AtomicBool,
    is_over: AtomicBool,
}

impl Valve {
    /// Subscribed at QoS 1, with a session that stays or without.
    pub fn start(address: SocketAddr, name: &str, filter: &str, has_session: bool) -> Self {
        let valve = Self::away(address, name, filter, has_session);
        valve.comes();
        valve
    }

    /// One that has not come yet.
    pub fn away(address: SocketAddr, name: &str, filter: &str, has_session: bool) -> Self {
        let head = [0, 4, b'M', b'Q', b'T', b'T', 4, u8::from(!has_session) << 1, 2, 88];
        let connect = packet(0x10, &[&head[..], &text(name)].concat());
        let subscribe = packet(0x82, &[&[0, 1][..], &text(filter), &[1]].concat());
        let hello = [connect, subscribe].concat();
        let state = Arc::new(State { is_away: AtomicBool::new(true), ..State::default() });
        let thread = state.clone();
        std::thread::spawn(move || {
            while !thread.is_over.load(Ordering::SeqCst) {
                if !thread.is_away.load(Ordering::SeqCst) {
                    let _ = thread.listen(address, &hello);
                }
                std::thread::sleep(PAUSE);
            }
        });
        Self(state)
    }

    pub fn leaves(&self) {
        self.0.is_away.store(true, Ordering::SeqCst);
        self.0.close();
    }

    /// Returns once it is subscribed.
    #[track_caller]
    pub fn comes(&self) {
        let before = self.subscriptions();
        self.0.is_away.store(false, Ordering::SeqCst);
        self.is_subscribed_after(before);
    }

    pub fn subscriptions(&self) -> usize {
        self.0.subscriptions.load(Ordering::SeqCst)
    }

    /// It has subscribed since there were `before` subscriptions.
    #[track_caller]
    pub fn is_subscribed_after(&self, before: usize) {
        wait_until("the valve is subscribed", 20, || self.subscriptions() > before);
    }

    /// From now on it leaves what comes in its socket.
    pub fn shuts_its_eyes(&self) {
        self.0.is_blind.store(true, Ordering::SeqCst);
    }

    /// From now on it sends no PUBACK.
    pub fn falls_mute(&self) {
        self.0.is_mute.store(true, Ordering::SeqCst);
    }

    /// It reads and acknowledges again.
    pub fn recovers(&self) {
        self.0.is_mute.store(false, Ordering::SeqCst);
        self.0.is_blind.store(false, Ordering::SeqCst);
    }

    /// Sends the PUBACKs that it owes, all at once.
    pub fn acknowledges(&self) {
        let owed: Vec<u8> = self.0.unacknowledged.lock().unwrap().drain(..).flat_map(puback).collect();
        self.0.stream.lock().unwrap().as_mut().unwrap().write_all(&owed).unwrap();
    }

    pub fn movements(&self) -> Vec<Movement> {
        self.0.movements.lock().unwrap().clone()
    }
}

fn puback(id: u16) -> [u8; 4] {
    let [high, low] = id.to_be_bytes();
    [0x40, 2, high, low]
}

impl State {
    /// Of one connection, until it ends.
    fn listen(&self, address: SocketAddr, hello: &[u8]) -> Option<()> {
        let mut stream = TcpStream::connect(address).ok()?;
        stream.set_nodelay(true).ok()?;
        let mut arrivals = Arrivals::new();
        self.unacknowledged.lock().unwrap().clear();
        *self.stream.lock().unwrap() = stream.try_clone().ok();
        stream.write_all(hello).ok()?;
        while let Some(not_before) = arrivals.wait(&stream) {
            if self.is_blind.load(Ordering::SeqCst) {
                std::thread::sleep(PAUSE);
                continue;
            }
            let (first, body) = packet::packet(&mut stream)?;
            if first == 0x90 {
                assert!(body[2] <= 1, "it is granted");
                self.subscriptions.fetch_add(1, Ordering::SeqCst);
            }
            if first >> 4 == 3 {
                let Publish { id, payload, .. } = Publish::read(first, &body, false)?;
                let is_mute = self.is_mute.load(Ordering::SeqCst);
                if is_mute {
                    self.unacknowledged.lock().unwrap().push(id);
                }
                let movement = Movement { id: String::from_utf8(payload).unwrap(), not_before };
                self.movements.lock().unwrap().push(movement);
                if !is_mute {
                    stream.write_all(&puback(id)).ok()?;
                }
            }
        }
        None
    }

    fn close(&self) {
        if let Some(stream) = self.stream.lock().unwrap().take() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Valve {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::SeqCst);
        self.0.is_blind.store(false, Ordering::SeqCst);
        self.0.close();
    }
}
