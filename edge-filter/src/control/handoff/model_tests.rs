//! Models of the two handoffs: loom goes through every interleaving of two threads, and through every older value that a
//! load without an ordering may return. `RUSTFLAGS="--cfg loom" cargo test -p edge-filter --lib handoff`

use super::*;
use loom::thread;

/// A write while another thread reads. The thread that is spawned does the loads: loom looks for races of a load with the
/// stores before it.
fn write_beside_a_reader(write: fn(&mut Writer<2>, [u64; 2])) {
    loom::model(move || {
        let (mut writer, reader) = latest();
        writer.write([1, 1]);
        let reading = {
            let reader = reader.clone();
            thread::spawn(move || reader.read())
        };
        write(&mut writer, [2, 2]);
        let seen = reading.join().unwrap();
        assert!(matches!(seen, None | Some([1, 1] | [2, 2])), "torn: {seen:?}");
        assert_eq!(reader.read(), Some([2, 2]));
    });
}

#[test]
fn a_reader_sees_a_whole_value_in_every_interleaving() {
    write_beside_a_reader(Writer::write);
}

/// Negative control: without its fence the words may be seen before the odd sequence number.
#[test]
#[should_panic(expected = "torn")]
fn negative_control_a_write_without_its_fence_is_seen_torn() {
    write_beside_a_reader(|writer, words| {
        let cell = &*writer.cell;
        let sequence = cell.sequence.load(Ordering::Relaxed);
        cell.sequence.store(sequence.wrapping_add(1), Ordering::Relaxed);
        for (place, word) in cell.words.iter().zip(words) {
            place.store(word, Ordering::Relaxed);
        }
        cell.sequence.store(sequence.wrapping_add(2), Ordering::Release);
    });
}

/// Three items through a ring of two places, while another thread receives twice.
fn send_beside_a_receiver(send: fn(&mut Sender<2>, [u64; 2]) -> bool) {
    loom::model(move || {
        let (mut sender, mut receiver) = ring(2);
        let receiving = thread::spawn(move || {
            let received: Vec<_> = (0..2).filter_map(|_| receiver.receive()).collect();
            (receiver, received)
        });
        let sent: Vec<_> = (1..=3).filter(|n| send(&mut sender, [*n; 2])).collect();
        let (mut receiver, mut received) = receiving.join().unwrap();
        received.extend(std::iter::from_fn(|| receiver.receive()));
        assert_eq!(received, sent.iter().map(|n| [*n; 2]).collect::<Vec<_>>(), "lost or torn");
        assert_eq!(sent.len() as u64 + receiver.lost(), 3);
    });
}

#[test]
fn what_a_ring_took_arrives_whole_and_in_order_in_every_interleaving() {
    send_beside_a_receiver(Sender::send);
}

/// Negative control: a count that is not released may be seen before the item.
#[test]
#[should_panic(expected = "lost or torn")]
fn negative_control_an_item_that_is_not_released_is_received_torn() {
    send_beside_a_receiver(|sender, item| {
        let ring = &*sender.ring;
        let sent = ring.sent.load(Ordering::Relaxed);
        let waiting = sent.wrapping_sub(ring.taken.load(Ordering::Acquire));
        let Some(slot) = ring.slot(sent).filter(|_| waiting < ring.slots.len()) else {
            ring.lost.fetch_add(1, Ordering::Relaxed);
            return false;
        };
        for (place, word) in slot.iter().zip(item) {
            place.store(word, Ordering::Relaxed);
        }
        ring.sent.store(sent.wrapping_add(1), Ordering::Relaxed);
        true
    });
}
