//! Wills while every lane of the queue is full: at the start, before the queue is open, and at a stop.

use super::*;
use crate::net::server::client_saving::ClientStore;

/// Intake whose lanes are all full, with room for one message each time that it is asked.
struct Narrow {
    /// First bytes of the rows that it took.
    stored: Seen,
    has_place: bool,
}

impl Sink for Narrow {
    fn has_room(&mut self) -> bool {
        self.has_place = true;
        true
    }

    fn full_lanes(&mut self) -> u8 {
        u8::MAX
    }

    fn push(&mut self, _: Ticket, rows: Vec<Row>) -> Result<(), Vec<Row>> {
        if !std::mem::take(&mut self.has_place) {
            return Err(rows);
        }
        self.stored.note(rows.iter().filter_map(|row| row.payload.first()));
        Ok(())
    }
}

/// State of the clients that an earlier run saved.
struct Kept(Vec<u8>);

impl ClientStore for Kept {
    fn load(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        Ok(Some(self.0.clone()))
    }

    fn save(&mut self, _: &[u8]) -> std::io::Result<()> {
        Ok(())
    }

    fn set_aside(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn owner() -> (Owner, Seen, Seen) {
    let stored = Seen::default();
    let (owner, seen) =
        owner_of(Config::default(), |_| Box::new(Narrow { stored: stored.clone(), has_place: false }));
    (owner, seen, stored)
}

/// Returns what was saved a minute ago of a client that had been cut, and whose will was to be published half a minute later.
fn with_a_due_will(now: Now, qos: u8) -> Vec<u8> {
    let then = Now { up_ms: 0, wall_ms: now.wall_ms - 60_000 };
    let mut listener = Listener::new(Config::default(), Seen::default());
    let id = listener.accept(then).unwrap();
    // MQTT 5, with a session for an hour; a will with a delay of 30 s.
    let connect = b"\x10\x1f\x00\x04MQTT\x05\x04\x00\x00\x05\x11\x00\x00\x0e\x10\x00\x01c\
        \x05\x18\x00\x00\x00\x1e\x00\x01t\x00\x01w";
    let mut connect = BytesMut::from(&connect[..]);
    connect[9] |= qos << 3;
    listener.handle_input(then, id, Input::Bytes(&mut connect));
    listener.handle_input(then, id, Input::Closed);
    listener.save(then).bytes
}

/// A filter's state from before the queue is open is replaced by that of the last run.
#[tokio::test]
async fn a_will_that_is_due_at_the_start_waits_for_the_queue() {
    for qos in [0, 1] {
        let (mut owner, seen, _) = owner();
        let saved = with_a_due_will(owner.now(), qos);
        owner.restore(Box::new(Kept(saved))).await;
        owner.outputs();
        assert!(seen.payloads().is_empty(), "the ingest has seen nothing");
        let stats = owner.listener.stats();
        assert_eq!((stats.held, stats.qos0_without_room), (1, 0), "QoS {qos}");
    }
}

#[tokio::test(start_paused = true)]
async fn wills_that_wait_for_room_at_a_stop_reach_a_sink_that_takes_few_at_a_time() {
    let (mut owner, _, stored) = owner();
    owner.ask_for_room();
    for name in *b"abc" {
        let id = owner.listener.accept(owner.now()).unwrap();
        owner.outboxes.insert(id, Arc::default());
        // 3.1.1, with a will at QoS 1.
        let mut connect = BytesMut::from(&b"\x10\x13\x00\x04MQTT\x04\x0e\x00\x00\x00\x01"[..]);
        connect.extend_from_slice(&[name]);
        connect.extend_from_slice(b"\x00\x01t\x00\x01");
        connect.extend_from_slice(&[name]);
        owner.input(id, FromPeer::Bytes { buffer: connect, up_to_date: None });
        owner.take_turns();
        owner.input(id, FromPeer::Closed(None));
    }
    assert_eq!((owner.listener.stats().held, stored.payloads().len()), (3, 0));
    owner.close().await;
    assert_eq!(stored.payloads(), b"abc");
}
