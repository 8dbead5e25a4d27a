//! Clients whose packets cost much beside others whose packets cost little, in virtual time.

use futures_util::FutureExt;

use super::*;

/// Ingest for which each message takes its time: ten times as long for one of `e` as for others.
struct Costly(Seen);

impl Ingest for Costly {
    fn ingest(&mut self, now: Now, message: &Inbound) -> Answer {
        let is_expensive = message.payload.first() == Some(&b'e');
        let cost = Duration::from_millis(if is_expensive { 10 } else { 1 });
        // The clock goes on at the first poll.
        let _more = tokio::time::advance(cost).now_or_never();
        self.0.ingest(now, message)
    }

    fn lane(&self, message: &Inbound) -> Option<u8> {
        self.0.lane(message)
    }
}

/// Both get the same time, and not the same number of turns.
#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_client_of_expensive_packets_takes_no_turns_from_one_of_cheap_ones() {
    const MESSAGES: usize = 3_000;
    let seen = Seen::default();
    let sink = Slow { seen: seen.clone(), max: usize::MAX - PACKETS_PER_TURN };
    let listener: Listener<Box<dyn Ingest + Send>> =
        Listener::new(Config::default(), Box::new(Costly(seen.clone())));
    let mut owner = Owner::new(listener, Box::new(sink), Receipts::default(), Clock::start(), None);
    burst(&mut owner, b'e', MESSAGES);
    burst(&mut owner, b'c', MESSAGES);
    let read = |name: u8| seen.payloads().iter().filter(|payload| **payload == name).count();
    while read(b'c') < MESSAGES {
        assert!(owner.has_turn());
        owner.take_turns();
    }
    let its_share = MESSAGES / 10;
    let expensive = read(b'e');
    let range = its_share.saturating_sub(2 * PACKETS_PER_TURN)..=its_share + 2 * PACKETS_PER_TURN;
    assert!(range.contains(&expensive), "{expensive} expensive packets beside {MESSAGES} cheap ones");
    while read(b'e') < MESSAGES {
        assert!(owner.has_turn(), "nothing is left behind");
        owner.take_turns();
    }
}
