//! Last answer of one handle to the ingest, with what belongs to it: the caller asks for it after the answer, and other threads get answers meanwhile.

use edge_bridge::Row;
use edge_bridge::puback_chain::Group;

use crate::run::sensors::held_receipts::Link;

/// Last answer of one handle, without its rows.
#[derive(Debug, Default)]
pub(super) struct LastAnswer {
    group: Option<Group>,
    /// Set if the message was refused and may have been received before.
    may_be_copy: bool,
    /// Lane of the message's route if it was refused; `None`: no route matches.
    lane: Option<u8>,
    /// Receipts that depend on the rows of the answer.
    link: Link,
}

impl LastAnswer {
    /// Sets the message's group; `changes` is the number of changes of the routes, because the groups are theirs.
    pub(super) fn set_group(&mut self, number: u32, changes: u32) {
        self.group = Some(Group { number, division: changes });
    }

    /// Notes that nobody knows which groups' rows the answer has.
    pub(super) fn set_no_group(&mut self) {
        self.group = None;
    }

    pub(super) fn group(&self) -> Option<Group> {
        self.group
    }

    /// Notes what the dead letter of a refused message needs.
    pub(super) fn refuse(&mut self, may_be_copy: bool, lane: Option<u8>) {
        (self.may_be_copy, self.lane) = (may_be_copy, lane);
    }

    /// Marks the dead letter of the refused message.
    pub(super) fn mark(&self, mut letter: Row) -> Row {
        letter.possible_duplicate |= self.may_be_copy;
        letter.lane = self.lane;
        letter
    }

    pub(super) fn set_link(&mut self, link: Link) {
        self.link = link;
    }

    pub(super) fn take_link(&mut self) -> Link {
        std::mem::take(&mut self.link)
    }
}

#[cfg(test)]
mod tests {
    use edge_bridge::ingest::{Answer, Ingest, Now};
    use edge_bridge::wire::ReasonCode;

    use crate::run::hub::duplicate_marks::DuplicateMarks;

    use super::super::GatewayIngest;
    use super::super::route_change_tests::{DOOR, at, message, routes};

    /// Two routes, of which the first one holds readings with their receipts.
    fn ingest() -> GatewayIngest {
        let mut all = routes(&[("a/#", "up", Some(DOOR)), ("b/#", "up", None)]);
        all[0].hold_max = Some(std::time::Duration::from_secs(60));
        (all[0].lane, all[1].lane) = (0, 1);
        GatewayIngest::new(&all, DuplicateMarks::new(Now::default(), true)).unwrap()
    }

    /// Promise 1: a receipt that another thread's message took with it would never come.
    #[test]
    fn receipts_and_group_of_an_answer_stay_its_own_whatever_other_threads_take_in() {
        let mut listener = ingest();
        let mut beside = listener.clone();
        assert!(matches!(listener.ingest(at(1_000), &message("a/t", 1_000, "0.0")), Answer::Store(_)));
        let _safe = listener.take_link();
        assert_eq!(listener.ingest(at(2_000), &message("a/t", 2_000, "1.0")), Answer::Withhold(Vec::new()));
        assert!(matches!(beside.ingest(at(2_000), &message("b/t", 2_000, "1.0")), Answer::Store(_)));
        listener.change_routes(at(2_000), &routes(&[("b/#", "up", None)]), |_, _| {}).unwrap();
        let groups =
            [&listener, &beside].map(|handle| handle.group().map(|group| (group.number, group.division)));
        assert_eq!(groups, [Some((0, 0)), Some((1, 0))]);
        assert!(beside.take_link().is_empty());
        assert!(listener.take_link().withholds());
        assert!(listener.take_link().is_empty(), "once");
    }

    /// Promises 4 and 7.
    #[test]
    fn a_dead_letter_is_marked_as_its_own_message_whatever_other_threads_take_in() {
        let mut listener = ingest();
        let mut beside = listener.clone();
        let mut copy = message("a/t", 1_000, "no value");
        copy.dup = true;
        let first = message("a/t", 1_000, "no value");
        for (handle, message) in [(&mut listener, &copy), (&mut beside, &first)] {
            assert!(matches!(handle.ingest(at(1_000), message), Answer::Refuse(_)));
        }
        listener.change_routes(at(1_000), &routes(&[("b/#", "up", None)]), |_, _| {}).unwrap();
        let letter = |handle: &mut GatewayIngest, message| {
            let row = handle.dead_letter(message, ReasonCode::PAYLOAD_FORMAT_INVALID);
            (row.possible_duplicate, row.lane)
        };
        assert_eq!(letter(&mut listener, &copy), (true, Some(0)), "the lane for which it waited");
        assert_eq!(letter(&mut beside, &first), (false, Some(0)));
    }
}
