use std::collections::HashMap;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures_core::Stream;
use tokio::sync::Notify;

use super::super::commands::Command;
use super::super::subscription_queue::bytes_max;
use super::*;
use crate::session::AckHandle;
use crate::wire::{Properties, QoS};

const PACKET_MAX: u32 = 1024 * 1024;

mod held;

struct Rig {
    router: Router,
    acks: Arc<Acks>,
    numbers: HashMap<AckHandle, u64>,
    serial: u64,
    now_ms: u64,
}

impl Rig {
    fn new() -> Self {
        let acks = Acks::new(Arc::new(Notify::new()));
        Self {
            router: Router::new(acks.clone(), PACKET_MAX),
            acks,
            numbers: HashMap::new(),
            serial: 0,
            now_ms: 1,
        }
    }

    fn subscribe(&mut self, filter: &str) -> Commands {
        self.router.tidy(self.now_ms);
        self.router.subscribe([Utf8::try_from(filter).unwrap()])
    }

    /// Its serial number, which is also its payload.
    fn message(&mut self, topic: &str) -> u64 {
        let payload = self.serial.to_string();
        self.message_of(topic, &Bytes::from(payload))
    }

    fn message_of(&mut self, topic: &str, payload: &Bytes) -> u64 {
        let publish = Publish {
            dup: false,
            qos: QoS::AtLeastOnce,
            retain: false,
            topic: Utf8::try_from(topic).unwrap(),
            packet_id: None,
            properties: Properties::default(),
            payload: payload.clone(),
        };
        let handle = AckHandle::for_test(1, self.serial);
        self.numbers.insert(handle, self.serial);
        self.router.deliver(self.now_ms, &publish, Some(handle));
        self.serial += 1;
        self.serial - 1
    }

    fn acked(&self) -> Vec<u64> {
        self.acks.take().into_iter().map(|handle| self.numbers[&handle]).collect()
    }
}

fn at_qos_0(topic: &'static str, payload: Bytes) -> Publish {
    let (topic, properties) = (Utf8::from_static(topic), Properties::default());
    Publish { dup: false, qos: QoS::AtMostOnce, retain: false, topic, packet_id: None, properties, payload }
}

fn take(commands: &mut Commands) -> Option<Command> {
    let cx = &mut Context::from_waker(Waker::noop());
    match std::pin::Pin::new(commands).poll_next(cx) {
        Poll::Ready(command) => command,
        Poll::Pending => None,
    }
}

fn number(command: &Command) -> u64 {
    std::str::from_utf8(command.payload()).unwrap().parse().unwrap()
}

/// Promise 4: a message that came at QoS 0 gets no PUBACK, and `done` of it acknowledges no message before it.
#[test]
fn a_message_at_qos_0_acknowledges_no_other() {
    let mut rig = Rig::new();
    let mut commands = rig.subscribe("cmd/#");
    let first = rig.message("cmd/a");
    rig.router.deliver(rig.now_ms, &at_qos_0("cmd/b", Bytes::from_static(b"9")), None);
    let unfinished = take(&mut commands).unwrap();
    let command = take(&mut commands).unwrap();
    assert_eq!((number(&unfinished), number(&command)), (first, 9));
    command.done();
    assert!(rig.acked().is_empty());
    unfinished.done();
    assert_eq!(rig.acked(), [first]);
}

/// Counted once each, and apart: nobody asked for it, or nobody who did has room.
#[test]
fn a_message_at_qos_0_that_nobody_gets_is_counted() {
    let mut rig = Rig::new();
    let large = at_qos_0("cmd/a", Bytes::from(vec![0; 300_000]));
    rig.router.deliver(rig.now_ms, &large, None);
    assert_eq!((rig.router.dropped_qos0(), rig.router.nobodys()), (0, 1));
    let (mut slow, mut quick) = (rig.subscribe("cmd/#"), rig.subscribe("cmd/#"));
    let mut taken = 0;
    while rig.router.dropped_qos0() == 0 {
        taken += 1;
        assert!(taken < 1_000, "no end of room");
        rig.router.deliver(rig.now_ms, &large, None);
    }
    assert_eq!(rig.router.dropped_qos0(), 1);
    take(&mut quick).unwrap().done();
    rig.router.deliver(rig.now_ms, &large, None);
    assert_eq!((rig.router.dropped_qos0(), rig.router.nobodys()), (1, 1), "one of the two has it");
    let left = std::iter::from_fn(|| take(&mut slow)).count();
    assert_eq!(left, taken - 1);
}

/// The quick one must not acknowledge for the slow one.
#[test]
fn a_message_of_two_subscriptions_is_acknowledged_when_both_are_done() {
    let mut rig = Rig::new();
    let (mut slow, mut quick) = (rig.subscribe("cmd/#"), rig.subscribe("cmd/a"));
    for n in 0..1_500 {
        assert_eq!(rig.message("cmd/a"), n);
        take(&mut quick).unwrap().done();
    }
    assert!(rig.acked().is_empty());
    for n in 0..1_500 {
        let command = take(&mut slow).unwrap();
        assert_eq!(number(&command), n);
        command.done();
        assert_eq!(rig.acked(), [n]);
    }
}

/// Neither gets a gap, and nothing is acknowledged that one of them did not get, over the redials that full queues need.
#[test]
fn one_without_room_keeps_its_place_and_gets_everything_in_order() {
    const ALL: u64 = 10_000;
    let mut rig = Rig::new();
    let (mut slow, mut quick) = (rig.subscribe("#"), rig.subscribe("cmd/a"));
    let (mut seen, mut acked, mut redials) = (Vec::new(), BTreeSet::new(), 0);
    while acked.len() < usize::try_from(ALL).unwrap() {
        // What the hub sends on a new connection: all it has no PUBACK for.
        let missing: Vec<u64> = (0..ALL).filter(|n| !acked.contains(n)).collect();
        for n in missing {
            rig.serial = n;
            rig.message("cmd/a");
            if let Some(command) = take(&mut quick) {
                command.done();
            }
        }
        while let Some(command) = take(&mut slow) {
            seen.push(number(&command));
            command.done();
        }
        acked.extend(rig.acked());
        if acked.len() < usize::try_from(ALL).unwrap() {
            assert!(rig.router.wants_redial(), "{} of {ALL}", acked.len());
            rig.router.on_hangup();
            redials += 1;
        }
    }
    assert_eq!(seen, (0..ALL).collect::<Vec<_>>());
    assert_eq!(redials, 2, "some 4 100 at a time");
}

#[test]
fn a_handle_that_was_dropped_gives_back_and_stops_nobody() {
    let mut rig = Rig::new();
    let (mut first, mut other) = (rig.subscribe("cmd/#"), rig.subscribe("cmd/b"));
    for _ in 0..10 {
        rig.message("cmd/a");
    }
    rig.message("cmd/b");
    take(&mut first).unwrap().done();
    assert_eq!(rig.acked(), [0]);
    let taken = take(&mut first).unwrap();
    drop(taken);
    drop(first);
    assert!(rig.router.tidy(5_000).is_empty(), "the hub keeps it on");
    take(&mut other).unwrap().done();
    assert_eq!(rig.acked(), [10], "the other one is the only one that is asked");
    // Subscribed anew, as after a panic: what was not taken is there, in order; what was taken comes by a new connection.
    rig.now_ms = 6_000;
    // What came meanwhile, too.
    rig.serial = 20;
    rig.message("cmd/a");
    let mut second = rig.subscribe("cmd/#");
    for n in (2..10).chain([20]) {
        let command = take(&mut second).unwrap();
        assert_eq!(number(&command), n);
        command.done();
    }
    assert!(rig.router.wants_redial());
    rig.router.on_hangup();
    assert!(!rig.router.wants_redial());
}

/// A program that ends after its handles keeps its messages at the hub; one that goes on gets no more of them.
#[test]
fn a_filter_is_unsubscribed_when_nobody_has_had_it_for_the_grace_time() {
    let mut rig = Rig::new();
    let a = [Utf8::try_from("a").unwrap()];
    let (first, second) = (rig.subscribe("a"), rig.subscribe("a"));
    drop(first);
    assert!(rig.router.tidy(1).is_empty() && rig.router.next_deadline().is_none(), "another one has it");
    drop(second);
    assert!(rig.router.tidy(2).is_empty());
    assert_eq!(rig.router.next_deadline(), Some(2 + GRACE_MS));
    assert!(rig.router.is_leaving(&a[0]));
    let third = rig.subscribe("a");
    assert!(rig.router.tidy(2 + GRACE_MS).is_empty() && rig.router.next_deadline().is_none(), "it came back");
    drop(third);
    let other = rig.subscribe("b");
    drop(other);
    assert!(rig.router.tidy(60).is_empty());
    assert_eq!(rig.router.next_deadline(), Some(rig.now_ms + GRACE_MS), "of two the first");
    assert_eq!(rig.router.tidy(rig.now_ms + GRACE_MS), a);
    assert_eq!(rig.router.tidy(60 + GRACE_MS).len(), 1);
    drop(rig.subscribe("a"));
    assert!(rig.router.tidy(100).is_empty() && rig.router.tidy(99 + GRACE_MS).is_empty());
    assert_eq!(rig.router.tidy(100 + GRACE_MS), a);
    assert!(rig.router.next_deadline().is_none() && rig.router.tidy(u64::MAX).is_empty(), "once");
}

/// The rest of a group takes over.
#[test]
fn a_shared_filter_is_unsubscribed_at_once() {
    let mut rig = Rig::new();
    let member = rig.subscribe("$share/group/a");
    drop(member);
    assert_eq!(rig.router.tidy(1), [Utf8::try_from("$share/group/a").unwrap()]);
}

#[test]
fn filters_that_stay_at_the_hub_are_bounded() {
    let mut rig = Rig::new();
    let mut unwanted = Vec::new();
    for n in 0..LEAVING_MAX + 10 {
        drop(rig.subscribe(&format!("a/{n}")));
        unwanted.extend(rig.router.tidy(1));
    }
    let oldest: Vec<_> = (0..10).map(|n| Utf8::try_from(format!("a/{n}").as_str()).unwrap()).collect();
    assert_eq!(unwanted, oldest);
}

/// The session of an earlier program under this name.
#[test]
fn what_nobody_asks_for_is_acknowledged_after_the_grace_time() {
    let mut rig = Rig::new();
    let mut mine = rig.subscribe("cmd/#");
    for _ in 0..6_000 {
        rig.message("x/old");
    }
    rig.message("cmd/a");
    take(&mut mine).unwrap().done();
    assert_eq!(rig.acked(), [6_000]);
    assert_eq!(rig.router.next_deadline(), Some(GRACE_MS));
    assert!(!rig.router.wants_redial(), "not while those before it wait");
    rig.router.on_timeout(GRACE_MS - 1);
    assert!(rig.acked().is_empty());
    rig.router.on_timeout(GRACE_MS);
    assert_eq!(rig.acked(), (0..4_096).collect::<Vec<_>>());
    assert!(rig.router.wants_redial(), "for those that found no room");
    rig.router.on_hangup();
    rig.now_ms = GRACE_MS;
    rig.serial = 4_096;
    rig.message("x/old");
    assert_eq!((rig.acked(), rig.router.nobodys(), rig.router.next_deadline()), (vec![4_096], 4_097, None));
}

/// The hub's messages wait in the network, for a second, while a queue is full.
#[test]
fn nothing_is_read_while_a_queue_is_full_but_not_for_long() {
    let mut rig = Rig::new();
    let (mut slow, _other) = (rig.subscribe("cmd/#"), rig.subscribe("b"));
    for _ in 0..4_095 {
        rig.message("cmd/a");
    }
    assert_eq!(rig.router.reads_again_ms(1_000), None);
    rig.message("cmd/a");
    assert_eq!(rig.router.reads_again_ms(1_000), Some(2_000));
    // What the turn brings that filled it still has its place.
    for _ in 0..63 {
        rig.message("cmd/a");
    }
    assert_eq!(rig.router.reads_again_ms(1_999), Some(2_000));
    assert_eq!(rig.router.reads_again_ms(2_000), None, "acknowledgements come by the same stream");
    for n in 0..4_159 {
        assert_eq!(number(&take(&mut slow).unwrap()), n);
    }
    assert!(take(&mut slow).is_none() && !rig.router.wants_redial(), "nothing was missed");
    // Full again, by bytes; the application takes half of them.
    let large = Bytes::from(vec![0; 300_000]);
    for n in 0..4 {
        assert_eq!(rig.router.reads_again_ms(3_000), None, "{n}");
        rig.message_of("cmd/a", &large);
    }
    for _ in 0..3 {
        assert_eq!(rig.router.reads_again_ms(3_500), Some(4_500));
        take(&mut slow).unwrap().done();
    }
    assert_eq!(rig.router.reads_again_ms(3_500), None);
    // One that ends holds nobody up.
    for _ in 0..4 {
        rig.message_of("cmd/a", &large);
    }
    assert!(rig.router.reads_again_ms(5_000).is_some());
    drop(slow);
    assert_eq!(rig.router.reads_again_ms(5_000), None);
}

/// Messages of one byte in receive buffers of 100 kB.
#[test]
fn what_is_kept_shares_no_receive_buffer_and_is_bounded() {
    let mut rig = Rig::new();
    let mut mine = rig.subscribe("cmd/#");
    for topic in ["cmd/a", "x/old"] {
        let buffer = Bytes::from(vec![0; 100_000]);
        rig.message_of(topic, &buffer.slice(0..1));
        assert!(buffer.is_unique(), "{topic} pins it");
    }
    let large = Bytes::from(vec![0; 400_000]);
    for topic in ["cmd/a", "x/old"] {
        for _ in 0..10 {
            rig.message_of(topic, &large);
        }
    }
    assert!(rig.router.unclaimed_bytes <= UNCLAIMED_BYTES_MAX);
    let mut held = 0;
    while let Some(command) = take(&mut mine) {
        held += command.payload().len();
        command.done();
    }
    assert!((400_000..=bytes_max(PACKET_MAX)).contains(&held), "{held}");
}

#[test]
fn a_stream_ends_with_the_link() {
    let mut rig = Rig::new();
    let mut commands = rig.subscribe("a");
    drop(rig.router);
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(matches!(std::pin::Pin::new(&mut commands).poll_next(cx), Poll::Ready(None)));
}

/// Messages of an earlier connection come again by themselves: the present one is not ended for them.
#[test]
fn a_message_dropped_after_its_connection_ends_no_other() {
    let mut rig = Rig::new();
    let mut first = rig.subscribe("cmd/#");
    rig.message("cmd/a");
    rig.message("cmd/b");
    let (before, after) = (take(&mut first).unwrap(), take(&mut first).unwrap());
    drop(before);
    rig.router.on_hangup();
    drop(after);
    drop(first);
    rig.router.tidy(5_000);
    assert!(!rig.router.wants_redial());
}

/// It was: a queue for each filter, so that thousands of filters could hold thousands of queues' bytes.
#[test]
fn filters_of_one_subscription_share_its_queue() {
    let mut rig = Rig::new();
    let mut commands = rig.subscribe("a/#");
    rig.router.add(Utf8::from_static("a/+"), commands.queue.clone());
    rig.router.add(Utf8::from_static("b"), commands.queue.clone());
    let sent = [rig.message("a/1"), rig.message("b"), rig.message("a/1/2")];
    for number_sent in sent {
        let command = take(&mut commands).unwrap();
        assert_eq!(number(&command), number_sent);
        command.done();
        assert_eq!(rig.acked(), [number_sent], "once, although two filters match");
    }
    assert!(take(&mut commands).is_none());
    let unread = rig.message("b");
    drop(commands);
    rig.router.tidy(rig.now_ms);
    let mut again = rig.subscribe("b");
    assert_eq!(take(&mut again).map(|command| number(&command)), Some(unread));
    assert!(!rig.router.has(&Rig::new().subscribe("b").queue), "of another link");
    rig.now_ms += GRACE_MS;
    let unwanted: Vec<_> = rig.router.tidy(rig.now_ms).iter().map(|filter| filter.to_string()).collect();
    assert_eq!(unwanted, ["a/#", "a/+"]);
}
