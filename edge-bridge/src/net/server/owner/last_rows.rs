//! Last rows of a server that stops: those that the sink handed back, among them those of wills, which nobody sends again.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::{Owner, ROOM_EVERY};

/// Longest time for which the sink is offered rows after the last connection has ended.
const WITHIN: Duration = Duration::from_millis(200);

impl Owner {
    /// Offers the sink what it handed back until it has taken all of it: an intake has room for a thousand messages at a time.
    pub(super) async fn hand_on_the_last_rows(&mut self) {
        let until = Instant::now() + WITHIN;
        while self.listener.handed_back() > 0 && Instant::now() < until {
            // Early if the sink reports room.
            let _ = timeout(ROOM_EVERY, self.receipts.woken()).await;
            self.ask_for_room();
        }
        let messages = self.listener.handed_back();
        if messages > 0 {
            tracing::warn!(
                messages,
                "the queue took nothing more at the stop: of these, wills and messages at QoS 0 are lost"
            );
        }
    }
}
