//! Passing over rows: a consumer reads its rows one after the other and leaves some in the queue. A row that is passed over is neither done nor
//! leased again, but behind the cursor: it is not leased again before the next scan or rewind. It may be evicted and expires like any other.

use super::Model;
use crate::row::Seq;

impl Model {
    /// Gives a leased row back to its old place but does not move the cursor back, so that the next lease goes on behind it.
    pub(crate) fn pass(&mut self, id: u64, lane: usize, seq: Seq) {
        let Some(consumer) = self.consumer_at(id) else { return };
        if self.release(consumer, lane, seq).is_none() {
            return;
        }
        if let Some(cursor) = self.cursor_mut(consumer, lane) {
            cursor.head.rewind(seq);
        }
        if let Some(l) = self.lanes.get_mut(lane) {
            l.head.rewind(seq);
        }
    }

    /// Moves the next lease to the oldest row that is not done. `bounded` ends leases before rows pushed from now on, for a scan.
    pub(crate) fn rewind(&mut self, id: u64, bounded: bool) {
        let Some(consumer) = self.consumer_at(id).and_then(|at| self.consumers.get_mut(at)) else { return };
        for (cursor, lane) in consumer.lanes.iter_mut().zip(&self.lanes) {
            cursor.backlog_next = cursor.pos.floor;
            cursor.live.rewind();
            cursor.until = if bounded { lane.next } else { Seq::MAX };
        }
    }

    /// Returns whether no row is left to lease since the last rewind or scan.
    pub(crate) fn at_end(&self, id: u64) -> bool {
        let Some(consumer) = self.consumer_at(id).and_then(|at| self.consumers.get(at)) else { return true };
        let mut cursors = consumer.lanes.iter().zip(&self.lanes);
        cursors.all(|(cursor, lane)| {
            let end = lane.next.min(cursor.until);
            let live = cursor.live.from();
            cursor.open_from(cursor.backlog_next) >= end.min(live)
                && (live >= end || cursor.open_from(cursor.live.next) >= end)
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::{Config, Queue, Row, StoreKind, Wait};

    fn numbers(chunk: &crate::Chunk) -> Vec<u8> {
        chunk.iter().map(|lease| lease.payload()[0]).collect()
    }

    #[test]
    fn rows_that_are_passed_over_stay_in_their_order_until_the_next_scan() {
        let queue = Queue::open("", Config::default().store(StoreKind::Memory)).unwrap();
        let mut consumer = queue.consumer("hub").unwrap();
        let push = |n: u8| drop(queue.push(Row::new(vec![n])).unwrap());
        (0..5).for_each(push);
        consumer.scan();
        assert!(!consumer.at_end());
        push(5);
        let mut rows = consumer.lease(4, Wait::None).unwrap().into_iter();
        rows.next().unwrap().pass();
        rows.next().unwrap().ack();
        rows.next().unwrap().pass();
        let kept = rows.next().unwrap();
        assert_eq!(
            numbers(&consumer.lease(9, Wait::None).unwrap()),
            [4],
            "given back by the drop of its chunk"
        );
        let last = consumer.lease(9, Wait::None).unwrap();
        assert_eq!(numbers(&last), [4], "five was pushed later");
        assert!(consumer.at_end() && consumer.lease(9, Wait::None).unwrap().is_empty());
        last.into_iter().for_each(crate::Lease::pass);
        consumer.scan();
        let rows = consumer.lease(9, Wait::None).unwrap();
        assert_eq!(numbers(&rows), [0, 2, 4, 5], "three is leased");
        drop((rows, kept));
        consumer.rewind();
        push(6);
        assert_eq!(numbers(&consumer.lease(9, Wait::None).unwrap()), [0, 2, 3, 4, 5, 6]);
        assert_eq!((consumer.queued(), consumer.waiting()), (6, 6));
    }

    /// So many rows that acknowledgements of every other one leave no range free; how many are left.
    fn without_a_free_range(rows: usize) -> (Queue, crate::Consumer, usize) {
        let queue = Queue::open("", Config::default().lanes(1).store(StoreKind::Memory)).unwrap();
        let mut consumer = queue.consumer("hub").unwrap();
        (0..rows).for_each(|_| drop(queue.push(Row::new(vec![0])).unwrap()));
        let (mut kept, mut acked) = (Vec::new(), 0);
        for (n, row) in consumer.lease(rows, Wait::None).unwrap().into_iter().enumerate() {
            if n % 2 == 1 && queue.ledger()[0].ranges < 1_024 {
                row.ack();
                acked += 1;
            } else {
                kept.push(row);
            }
        }
        drop(kept);
        assert_eq!((queue.ledger()[0].ranges, consumer.queued()), (1_024, (rows - acked) as u64));
        (queue, consumer, rows - acked)
    }

    /// Rows that are tried again are passed over in their places: a scan that ended at the first of them would never come to the others.
    #[test]
    fn a_scan_comes_to_its_end_while_no_range_is_free() {
        let (_queue, mut consumer, open) = without_a_free_range(2_200);
        for _ in 0..2 {
            consumer.scan();
            let mut passed = 0;
            while !consumer.at_end() && passed < 2 * open {
                let rows = consumer.lease(64, Wait::None).unwrap();
                assert!(!rows.is_empty(), "it stands still after {passed} rows");
                passed += rows.len();
                rows.into_iter().for_each(crate::Lease::pass);
            }
            assert_eq!(passed, open);
        }
        consumer.rewind();
        assert_eq!(consumer.lease(9, Wait::None).unwrap().len(), 1, "the floor, where no scan is under way");
    }

    /// Acknowledgements that waited for a range, and have it now, hold up no later scan.
    #[test]
    fn a_scan_goes_on_once_waiting_acknowledgements_have_their_ranges() {
        let (queue, mut consumer, _) = without_a_free_range(2_400);
        let mut waiting = 0;
        consumer.scan();
        while waiting < 64 {
            let rows = consumer.lease(64, Wait::None).unwrap();
            assert!(!rows.is_empty(), "it stands still with {waiting} acknowledgements waiting");
            for row in rows {
                if row.id().seq > 2_048 && row.id().seq % 2 == 0 && waiting < 64 {
                    row.ack();
                    waiting += 1;
                } else {
                    row.pass();
                }
            }
        }
        // Each floor gives back the range behind it.
        for _ in 0..64 {
            consumer.rewind();
            consumer.lease(1, Wait::None).unwrap().ack();
            assert_eq!(queue.ledger()[0].ranges, 1_024);
        }
        consumer.scan();
        assert_eq!(consumer.lease(64, Wait::None).unwrap().len(), 64);
    }

    #[test]
    fn a_scan_lets_no_more_acknowledgements_wait_for_a_range_than_are_bounded() {
        let (_queue, mut consumer, _) = without_a_free_range(2_400);
        consumer.scan();
        let (mut acked, mut leased) = (0, usize::MAX);
        while leased > 0 && acked < 200 {
            let rows = consumer.lease(1, Wait::None).unwrap();
            leased = rows.len();
            for row in rows {
                // From here on each costs a range of its own.
                if row.id().seq > 2_048 && row.id().seq % 2 == 0 {
                    row.ack();
                    acked += 1;
                } else {
                    row.pass();
                }
            }
        }
        assert_eq!(acked, 64);
    }

    /// Each of them would be a range of its own, and the bookkeeping has room for so many only.
    #[test]
    fn rows_that_expire_in_a_scan_take_no_range_that_is_not_free() {
        let clock = std::sync::Arc::new(crate::ManualClock::new(crate::Now::default()));
        let config = Config::default().lanes(1).store(StoreKind::Memory);
        let queue = Queue::open_in(Box::new(crate::testing::SimDir::new()), config, clock.clone()).unwrap();
        let mut consumer = queue.consumer("hub").unwrap();
        for n in 0..6_000 {
            let row = Row::new(vec![0]);
            let row = if n % 2 == 1 { row.ttl(std::time::Duration::from_secs(1)) } else { row };
            drop(queue.push(row).unwrap());
        }
        clock.advance_ms(1_000);
        let pass_all = |consumer: &mut crate::Consumer| {
            consumer.scan();
            let mut seen = 0;
            while !consumer.at_end() && seen < 6_000 {
                let rows = consumer.lease(64, Wait::None).unwrap();
                seen += rows.len();
                rows.into_iter().for_each(crate::Lease::pass);
            }
            seen
        };
        assert_eq!(pass_all(&mut consumer), 3_000);
        assert_eq!((queue.ledger()[0].ranges, consumer.queued()), (1_024, 6_000 - 1_024));
        // A later scan counts the others, as rows before them are done.
        consumer.rewind();
        for _ in 0..2_000 {
            consumer.lease(1, Wait::None).unwrap().ack();
        }
        assert_eq!(pass_all(&mut consumer), 1_000);
        assert_eq!((queue.ledger()[0].ranges, consumer.queued()), (1_000, 1_000));
        assert!(queue.ledger()[0].balanced());
    }

    #[test]
    fn a_row_that_is_passed_over_makes_room_like_any_other() {
        let config = Config::default().store(StoreKind::Memory).max_messages(3);
        let queue = Queue::open("", config).unwrap();
        let mut consumer = queue.consumer("hub").unwrap();
        let push = |n: u8| drop(queue.push(Row::new(vec![n])).unwrap());
        (0..3).for_each(push);
        consumer.scan();
        consumer.lease(1, Wait::None).unwrap().into_iter().for_each(crate::Lease::pass);
        push(3);
        consumer.rewind();
        assert_eq!(numbers(&consumer.lease(9, Wait::None).unwrap()), [1]);
        let dropped: u64 = queue.ledger().iter().map(|ledger| ledger.dropped.total()).sum();
        assert_eq!(dropped, 1);
    }
}
