//! Arrivals at the hub: each number of the present round once.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::sync::oneshot;

const PAYLOAD_BYTES: usize = 200;

/// Shared by the subscriber and the rounds.
#[derive(Default)]
pub(super) struct Arrivals {
    round: Mutex<Round>,
}

#[derive(Default)]
struct Round {
    number: u32,
    seen: Vec<bool>,
    missing: usize,
    done: Option<oneshot::Sender<Instant>>,
}

impl Arrivals {
    /// Expects `messages` numbers of `round`; resolves with the time of the last.
    pub(super) fn expect(&self, round: u32, messages: u32) -> oneshot::Receiver<Instant> {
        let (done, all) = oneshot::channel();
        let seen = vec![false; messages as usize];
        *self.lock() = Round { number: round, missing: seen.len(), seen, done: Some(done) };
        all
    }

    pub(super) fn arrived(&self, payload: &[u8]) {
        let Some((round, number)) = numbers(payload) else { return };
        let mut present = self.lock();
        if present.number != round {
            return;
        }
        let Some(seen) = present.seen.get_mut(number as usize) else { return };
        if std::mem::replace(seen, true) {
            return;
        }
        present.missing -= 1;
        if present.missing == 0
            && let Some(done) = present.done.take()
        {
            // Nobody waits any more for a round that took too long.
            let _given_up = done.send(Instant::now());
        }
    }

    pub(super) fn missing(&self) -> usize {
        self.lock().missing
    }

    fn lock(&self) -> MutexGuard<'_, Round> {
        self.round.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The message that [`Arrivals`] recognises.
pub(super) fn payload(round: u32, number: u32) -> Bytes {
    let mut payload = BytesMut::with_capacity(PAYLOAD_BYTES);
    payload.put_u32(round);
    payload.put_u32(number);
    payload.resize(PAYLOAD_BYTES, b'x');
    payload.freeze()
}

fn numbers(payload: &[u8]) -> Option<(u32, u32)> {
    let (round, rest) = payload.split_first_chunk()?;
    let number = rest.first_chunk()?;
    Some((u32::from_be_bytes(*round), u32::from_be_bytes(*number)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_is_over_when_each_number_came_once() {
        let arrivals = Arrivals::default();
        let mut all = arrivals.expect(7, 2);
        for (round, number) in [(7, 1), (7, 1), (6, 0), (7, 2)] {
            arrivals.arrived(&payload(round, number));
        }
        arrivals.arrived(b"short");
        assert_eq!(arrivals.missing(), 1);
        assert!(all.try_recv().is_err());
        arrivals.arrived(&payload(7, 0));
        assert!(all.try_recv().is_ok());
    }
}
