//! Delivery tracking of the application's messages until every local subscriber has acknowledged them, because only then a command is reported to
//! the hub as done.

use std::collections::{HashMap, VecDeque};

use super::events::{PublishId, Settled};

#[derive(Debug, Default)]
pub(super) struct DeliveryTracking {
    next: u64,
    open: HashMap<PublishId, Open>,
    settled: VecDeque<Settled>,
}

#[derive(Debug, Default)]
struct Open {
    waiting: u32,
    delivered: u32,
    sent: u32,
    dropped: u32,
    written: u32,
    /// Set if the first acknowledgement settles the message.
    one_is_enough: bool,
}

impl DeliveryTracking {
    /// Starts to track a message. One part is the caller's until it calls [`end`](Self::end), so that the message is not settled while its copies are
    /// still being made.
    pub(super) fn begin(&mut self, one_is_enough: bool) -> PublishId {
        self.next += 1;
        let id = PublishId(self.next);
        self.open.insert(id, Open { waiting: 1, one_is_enough, ..Open::default() });
        id
    }

    pub(super) fn add(&mut self, id: Option<PublishId>) {
        if let Some(open) = id.and_then(|id| self.open.get_mut(&id)) {
            open.waiting += 1;
        }
    }

    /// Counts a copy that was written to a connection for the first time: from then on its client may have it.
    pub(super) fn written(&mut self, id: Option<PublishId>) {
        if let Some(open) = id.and_then(|id| self.open.get_mut(&id)) {
            open.written += 1;
        }
    }

    /// Counts a copy that was sent at QoS 0.
    pub(super) fn sent(&mut self, id: Option<PublishId>) {
        self.part(id, |open| {
            open.delivered += 1;
            open.sent += 1;
        });
    }

    pub(super) fn acknowledged(&mut self, id: Option<PublishId>) {
        self.part(id, |open| {
            open.delivered += 1;
            if open.one_is_enough {
                open.waiting = 1;
            }
        });
    }

    pub(super) fn dropped(&mut self, id: Option<PublishId>) {
        self.part(id, |open| open.dropped += 1);
    }

    /// Records that another client has a copy in the place of one that was [added](Self::add) before it.
    pub(super) fn moved(&mut self, id: Option<PublishId>) {
        self.part(id, |_| {});
    }

    /// Returns whether a copy is one of those of which the first acknowledgement is enough. A message that has settled before its copies is one.
    pub(super) fn is_to_any(&self, id: Option<PublishId>) -> bool {
        id.is_some_and(|id| self.open.get(&id).is_none_or(|open| open.one_is_enough))
    }

    pub(super) fn end(&mut self, id: PublishId) {
        self.part(Some(id), |_| {});
    }

    pub(super) fn pop(&mut self) -> Option<Settled> {
        self.settled.pop_front()
    }

    fn part(&mut self, id: Option<PublishId>, count: impl FnOnce(&mut Open)) {
        let Some(id) = id else { return };
        let Some(open) = self.open.get_mut(&id) else { return };
        count(open);
        open.waiting -= 1;
        if open.waiting == 0 {
            let Open { delivered, sent, dropped, written, .. } = *open;
            self.open.remove(&id);
            self.settled.push_back(Settled { publish: id, delivered, sent, dropped, written });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settled_when_the_last_copy_is() {
        let mut tracking = DeliveryTracking::default();
        let id = tracking.begin(false);
        tracking.add(Some(id));
        tracking.add(Some(id));
        tracking.written(Some(id));
        tracking.acknowledged(Some(id));
        tracking.end(id);
        assert_eq!(tracking.pop(), None);
        tracking.dropped(Some(id));
        assert_eq!(
            tracking.pop(),
            Some(Settled { publish: id, delivered: 1, sent: 0, dropped: 1, written: 1 })
        );
        tracking.acknowledged(Some(id));
        assert_eq!(tracking.pop(), None);
    }

    #[test]
    fn settled_by_the_first_acknowledgement_where_one_is_enough() {
        let mut tracking = DeliveryTracking::default();
        let id = tracking.begin(true);
        (0..4).for_each(|_| tracking.add(Some(id)));
        tracking.end(id);
        (0..2).for_each(|_| tracking.written(Some(id)));
        tracking.sent(Some(id));
        tracking.dropped(Some(id));
        assert_eq!(tracking.pop(), None, "nobody has acknowledged it");
        tracking.acknowledged(Some(id));
        assert_eq!(
            tracking.pop(),
            Some(Settled { publish: id, delivered: 2, sent: 1, dropped: 1, written: 2 })
        );
        tracking.acknowledged(Some(id));
        assert_eq!(tracking.pop(), None, "once");
    }
}
