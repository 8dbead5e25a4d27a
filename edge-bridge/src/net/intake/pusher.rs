//! Task that pushes rows into the queue. Rows of a full lane wait, in their order, and are pushed again later; rows of other lanes overtake them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use std::time::Duration;

use edge_queue::{Lane, Limit, Pending, PushError, aio};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::full_line::FullLine;
use super::receipt_waiter::{self, Receipt, RowSettling, Settling};
use super::{AGAIN, BYTES_MAX, MESSAGES_MAX, Message, Shared, bit, bytes};
use crate::row::Row;

/// Number of waiting rows at which messages for a lane with waiting rows are held. Messages for a full lane are not accepted anyway, so these are rows
/// that were in the channel when the lane became full, and rows that filters make without a message.
pub(super) const WAITING_MAX: usize = 4 * MESSAGES_MAX;
/// Bytes of waiting rows at which such messages are held.
const WAITING_BYTES_MAX: usize = 2 * BYTES_MAX;
/// Shortest time between two log lines about rows that can never be stored.
const SAY_AGAIN: Duration = Duration::from_secs(60);

pub(super) struct Pusher {
    queue: aio::Queue,
    shared: Arc<Shared>,
    /// Channel to the task that waits for receipts, bounded by [`UNSETTLED_MAX`](super::UNSETTLED_MAX).
    settling: mpsc::UnboundedSender<Settling>,
    /// Waiting rows by lane.
    waiting: Vec<VecDeque<Waiting>>,
    /// Bytes of the waiting payloads.
    waiting_bytes: usize,
    /// Messages behind rows of their lanes, because too many wait.
    held: HeldMessages,
    /// Time of the next attempt to push waiting rows.
    again_at: Instant,
    full_line: FullLine,
    /// Time of the last log line about a row that can never be stored; `None` if there was none.
    said_never_at: Option<Instant>,
}

/// Messages for lanes with waiting rows, in order of arrival. Messages for other lanes overtake them, because each lane has room of its own. At most
/// as many as are in the channel, where they were when their lane became full.
#[derive(Default)]
struct HeldMessages {
    /// Messages, each with the lanes of its rows, bit `n` for lane `n`.
    messages: VecDeque<(u8, Message)>,
    bytes: usize,
}

impl HeldMessages {
    fn has_room(&self) -> bool {
        self.messages.len() < MESSAGES_MAX && self.bytes < BYTES_MAX
    }

    /// Returns the lanes of all held messages.
    fn lanes(&self) -> u8 {
        self.messages.iter().fold(0, |all, (lanes, _)| all | lanes)
    }

    fn push(&mut self, lanes: u8, message: Message) {
        self.bytes += bytes(&message.rows);
        self.messages.push_back((lanes, message));
    }

    /// Takes out the first message that may go on and has no other one of its lanes before it.
    fn take_first(&mut self, may_go_on: impl Fn(u8) -> bool) -> Option<Message> {
        let mut before = 0;
        let at = self.messages.iter().position(|(lanes, _)| {
            let is_first = lanes & before == 0;
            before |= lanes;
            is_first && may_go_on(*lanes)
        })?;
        let (_, message) = self.messages.remove(at)?;
        self.bytes = self.bytes.saturating_sub(bytes(&message.rows));
        Some(message)
    }
}

/// Row of a full lane, and the channel for its receipt, on which `None` means that the row can never be stored.
struct Waiting {
    /// The row, with the time to live that it had at `put_at`.
    row: edge_queue::Row,
    put_at: Instant,
    receipt: oneshot::Sender<Option<Pending>>,
}

/// Reason why the queue did not accept a row.
enum Refused {
    Full(Box<edge_queue::Row>, Limit),
    Closed(Box<edge_queue::Row>),
}

impl Pusher {
    /// Creates the pusher, and spawns the task that waits for receipts.
    pub(super) fn new(queue: aio::Queue, lanes: usize, shared: Arc<Shared>) -> Self {
        let waiting = (0..lanes.max(1)).map(|_| VecDeque::new()).collect();
        let (settling, messages) = mpsc::unbounded_channel();
        tokio::spawn(receipt_waiter::run(messages, shared.clone()));
        Self {
            queue,
            shared,
            settling,
            waiting,
            waiting_bytes: 0,
            held: HeldMessages::default(),
            again_at: Instant::now(),
            full_line: FullLine::default(),
            said_never_at: None,
        }
    }

    /// Pushes messages until the queue is closed, and returns the rows that were not pushed.
    pub(super) async fn run(mut self, mut messages: mpsc::Receiver<Message>) -> Vec<Row> {
        let mut is_over = false;
        loop {
            if let Some(message) = self.next_held() {
                if let Err(left) = self.take(message).await {
                    return self.left(left, messages);
                }
                continue;
            }
            let waits = self.waiting.iter().any(|lane| !lane.is_empty());
            if is_over && !waits {
                return Vec::new();
            }
            let takes = !is_over && self.held.has_room();
            let left = tokio::select! {
                biased;
                () = sleep_until(self.again_at), if waits => self.try_again().await,
                next = messages.recv(), if takes => match next {
                    Some(message) => {
                        if messages.len() == MESSAGES_MAX / 4 {
                            self.shared.tell_of_room();
                        }
                        self.take_or_hold(message).await
                    }
                    None => {
                        is_over = true;
                        Ok(())
                    }
                },
                () = self.shared.closed.notified() => Err(Vec::new()),
            };
            if let Err(left) = left {
                return self.left(left, messages);
            }
        }
    }

    /// Returns the rows that were not pushed, in the order of each lane. `left`: those of the last message.
    fn left(self, left: Vec<Row>, mut messages: mpsc::Receiver<Message>) -> Vec<Row> {
        let waiting = self.waiting.into_iter().flatten();
        let waiting = waiting.filter_map(|waiting| Some(aged(bridge_row(waiting.row)?, waiting.put_at)));
        let mut left: Vec<Row> = waiting.chain(left).collect();
        let held = self.held.messages.into_iter().map(|(_, message)| message);
        for Message { rows, put_at, .. } in held.chain(std::iter::from_fn(|| messages.try_recv().ok())) {
            left.extend(rows.into_iter().map(|row| aged(row, put_at)));
        }
        left
    }

    fn takes_more(&self) -> bool {
        let rows: usize = self.waiting.iter().map(VecDeque::len).sum();
        rows < WAITING_MAX && self.waiting_bytes < WAITING_BYTES_MAX
    }

    /// Takes a message as [`take`](Self::take) does, or holds it behind those of its lanes.
    async fn take_or_hold(&mut self, message: Message) -> Result<(), Vec<Row>> {
        self.shared.bytes.fetch_sub(bytes(&message.rows), Ordering::Relaxed);
        let lanes = message.rows.iter().fold(0, |lanes, row| lanes | bit_of(self.place(row.lane)));
        if self.held.lanes() & lanes == 0 && self.may_take(lanes) {
            return self.take(message).await;
        }
        self.held.push(lanes, message);
        Ok(())
    }

    /// Returns the next held message that may be taken now.
    fn next_held(&mut self) -> Option<Message> {
        let mut held = std::mem::take(&mut self.held);
        let next = held.take_first(|lanes| self.may_take(lanes));
        self.held = held;
        next
    }

    /// Returns whether rows for these lanes may be pushed, or wait for room.
    fn may_take(&self, lanes: u8) -> bool {
        let waits = |at: usize| self.waiting.get(at).is_some_and(|lane| !lane.is_empty());
        self.takes_more() || (0..self.waiting.len()).all(|at| lanes & bit_of(at) == 0 || !waits(at))
    }

    /// Pushes the rows of a message, or keeps them waiting. An error means that the queue was closed, and contains the rows that are left.
    async fn take(&mut self, message: Message) -> Result<(), Vec<Row>> {
        let Message { rows, safe, put_at } = message;
        self.shared.on_the_way.fetch_sub(rows.len() as u64, Ordering::Relaxed);
        let mut receipts = Vec::with_capacity(rows.len());
        let mut rows = rows.into_iter();
        while let Some(row) = rows.next() {
            let on_safe = self.shared.watch.see(&row);
            let row = row.into_queue_row();
            let at = self.lane_of(&row);
            let lane = u8::try_from(at).unwrap_or(u8::MAX);
            let refused = match self.waiting.get(at).is_some_and(|lane| !lane.is_empty()) {
                true => row,
                false => match self.push(row, put_at).await {
                    Ok(receipt) => {
                        let receipt = receipt.map(Receipt::Pushed);
                        receipts.extend(receipt.map(|receipt| RowSettling { receipt, lane, on_safe }));
                        continue;
                    }
                    Err(Refused::Full(row, limit)) => {
                        self.full_line.say(limit, self.queue.on_full(Lane(lane)));
                        *row
                    }
                    Err(Refused::Closed(row)) => {
                        let left = bridge_row(*row).into_iter().chain(rows);
                        return Err(left.map(|row| aged(row, put_at)).collect());
                    }
                },
            };
            let receipt = self.wait(at, refused, put_at).map(Receipt::Waits);
            receipts.extend(receipt.map(|receipt| RowSettling { receipt, lane, on_safe }));
        }
        // It ends with the runtime only.
        let _ = self.settling.send(Settling { receipts, safe, put_at });
        Ok(())
    }

    fn say_never_stored(&mut self, error: &PushError, so_far: u64) {
        let now = Instant::now();
        if self.said_never_at.is_none_or(|said_at| now >= said_at + SAY_AGAIN) {
            self.said_never_at = Some(now);
            tracing::error!(%error, so_far, "a message cannot be stored: it is lost, whatever its sender was told");
        }
    }

    /// Returns the position of a row's lane. A row of a lane that the queue does not have is treated as one of the last lane, and the queue
    /// refuses it.
    fn lane_of(&self, row: &edge_queue::Row) -> usize {
        self.place(row.lane.map(|Lane(lane)| lane))
    }

    fn place(&self, lane: Option<u8>) -> usize {
        let last = self.waiting.len() - 1;
        lane.map_or(last, |lane| usize::from(lane).min(last))
    }

    fn wait(
        &mut self,
        at: usize,
        row: edge_queue::Row,
        put_at: Instant,
    ) -> Option<oneshot::Receiver<Option<Pending>>> {
        let (receipt, receives) = oneshot::channel();
        if self.waiting.iter().all(VecDeque::is_empty) {
            self.again_at = Instant::now() + AGAIN;
        }
        self.waiting_bytes += bytes_of(&row);
        self.waiting.get_mut(at)?.push_back(Waiting { row, put_at, receipt });
        self.shared.without_room.fetch_add(1, Ordering::Relaxed);
        self.shared.full_lanes.fetch_or(bit_of(at), Ordering::Relaxed);
        Some(receives)
    }

    /// Pushes the waiting rows of each lane while there is room. An error means that the queue was closed.
    async fn try_again(&mut self) -> Result<(), Vec<Row>> {
        for at in 0..self.waiting.len() {
            while let Some(next) = self.waiting.get_mut(at).and_then(VecDeque::pop_front) {
                let Waiting { row, put_at, receipt } = next;
                let bytes = bytes_of(&row);
                let (row, ends) = match self.push(row, put_at).await {
                    Ok(pushed) => {
                        self.waiting_bytes = self.waiting_bytes.saturating_sub(bytes);
                        self.shared.without_room.fetch_sub(1, Ordering::Relaxed);
                        // Nobody waits for it after the end.
                        let _ = receipt.send(pushed);
                        continue;
                    }
                    Err(Refused::Full(row, _)) => (row, false),
                    Err(Refused::Closed(row)) => (row, true),
                };
                if let Some(lane) = self.waiting.get_mut(at) {
                    lane.push_front(Waiting { row: *row, put_at, receipt });
                }
                if ends {
                    return Err(Vec::new());
                }
                break;
            }
            if self.waiting.get(at).is_some_and(VecDeque::is_empty) {
                let before = self.shared.full_lanes.fetch_and(!bit_of(at), Ordering::Relaxed);
                if before & bit_of(at) != 0 {
                    self.shared.tell_of_room();
                }
            }
        }
        self.again_at = Instant::now() + AGAIN;
        Ok(())
    }

    /// Pushes a row with what is left of its time to live; the queue counts one that has expired. A refused row comes back as it was. Returns `None`
    /// if it can never be stored, in which case it is counted.
    async fn push(&mut self, mut row: edge_queue::Row, put_at: Instant) -> Result<Option<Pending>, Refused> {
        let ttl_ms = row.ttl_ms;
        row.ttl_ms = left_ms(ttl_ms, put_at);
        let as_it_was = |mut row: Box<edge_queue::Row>| {
            row.ttl_ms = ttl_ms;
            row
        };
        match self.queue.push(row).await {
            Ok(receipt) => Ok(Some(receipt)),
            Err(PushError::Closed { row }) => Err(Refused::Closed(as_it_was(row))),
            Err(PushError::Full { row, limit, .. }) => Err(Refused::Full(as_it_was(row), limit)),
            Err(error) => {
                let so_far = 1 + self.shared.never_stored.fetch_add(1, Ordering::Relaxed);
                self.say_never_stored(&error, so_far);
                Ok(None)
            }
        }
    }
}

/// Returns what is left of a time to live that began at `put_at`.
fn left_ms(ttl_ms: Option<u64>, put_at: Instant) -> Option<u64> {
    let waited_ms = u64::try_from(put_at.elapsed().as_millis()).unwrap_or(u64::MAX);
    ttl_ms.map(|ttl_ms| ttl_ms.saturating_sub(waited_ms))
}

fn aged(mut row: Row, put_at: Instant) -> Row {
    row.ttl_ms = left_ms(row.ttl_ms, put_at);
    row
}

/// Bytes of a row whose number a client chose, as [`Row::bytes`] counts them.
fn bytes_of(row: &edge_queue::Row) -> usize {
    row.key.len() + row.meta.len() + row.payload.len()
}

fn bit_of(at: usize) -> u8 {
    u8::try_from(at).map_or(0, bit)
}

/// Converts a row back from the queue's form, as [`Row::into_queue_row`] made it; `None` if it is not one of the bridge's.
fn bridge_row(row: edge_queue::Row) -> Option<Row> {
    let mut own = Row::from_meta(&row.meta, row.payload)?;
    own.lane = row.lane.map(|lane| lane.0);
    (own.key, own.ttl_ms, own.weight) = (row.key, row.ttl_ms, row.weight);
    Some(own)
}
