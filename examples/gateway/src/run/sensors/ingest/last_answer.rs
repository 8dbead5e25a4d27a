//! Last answer of one handle to the ingest, with what belongs to it: the caller asks for it after the answer, and other threads get answers meanwhile.

use control_loop::OneLine;
use edge_bridge::Row;
use edge_bridge::puback_chain::Group;

use crate::run::sensors::held_receipts::Link;

/// User property of a dead letter with the reason in words.
const REASON_TEXT: &str = "edge-reason-text";
/// Most bytes of the words.
const REASON_BYTES_MAX: usize = 200;
/// Most bytes of a payload beside which the words stand: a message at the limit of a row of the queue would be too long with them.
const LETTER_WITH_REASON_MAX: usize = 64 * 1024;

/// Returns the words of a reason on one line, without a tab, at which a hub may end the connection, cut to [`REASON_BYTES_MAX`] with an ellipsis.
fn reason_text(reason: &str) -> String {
    let mut text = OneLine(reason).to_string().replace('\t', "\\t");
    if text.len() > REASON_BYTES_MAX {
        let room = REASON_BYTES_MAX - '…'.len_utf8();
        text.truncate((0..=room).rev().find(|&at| text.is_char_boundary(at)).unwrap_or_default());
        text.push('…');
    }
    text
}

/// Last answer of one handle, without its rows.
#[derive(Debug, Default)]
pub(super) struct LastAnswer {
    group: Option<Group>,
    /// Set if the message was refused and may have been received before.
    may_be_copy: bool,
    /// Lane of the message's route if it was refused; `None`: no route matches.
    lane: Option<u8>,
    /// Reason of the route in words if the message was refused by one; empty for none.
    reason: String,
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

    /// Notes the reason for which a route refused the message.
    pub(super) fn set_reason(&mut self, reason: &str) {
        self.reason = reason_text(reason);
    }

    /// Marks the dead letter of the refused message, and adds the reason in words.
    pub(super) fn mark(&self, mut letter: Row) -> Row {
        letter.possible_duplicate |= self.may_be_copy;
        letter.lane = self.lane;
        if !self.reason.is_empty() && letter.payload.len() <= LETTER_WITH_REASON_MAX {
            let mut properties = letter.properties.to_builder();
            // A message with properties at the limit of the format keeps what it has.
            let _ = properties.user(REASON_TEXT, &self.reason);
            letter.properties = properties.finish();
        }
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
    use super::{LETTER_WITH_REASON_MAX, REASON_BYTES_MAX, REASON_TEXT, reason_text};

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

    #[test]
    fn a_dead_letter_has_the_parsers_words_on_one_line_of_200_bytes() {
        let mut ingest = ingest();
        let mut text_of = |payload: &str| {
            let message = message("a/t", 1_000, payload);
            assert!(matches!(ingest.ingest(at(1_000), &message), Answer::Refuse(_)));
            let row = ingest.dead_letter(&message, ReasonCode::PAYLOAD_FORMAT_INVALID);
            row.properties.user_property(REASON_TEXT).map(str::to_owned)
        };
        let said = text_of("no value").unwrap();
        assert!(!said.is_empty() && said.len() <= REASON_BYTES_MAX, "{said}");
        assert_eq!(text_of(&"x".repeat(LETTER_WITH_REASON_MAX + 1)), None);
        // It is the next message's no more.
        assert!(matches!(ingest.ingest(at(2_000), &message("b/t", 2_000, "1.0")), Answer::Store(_)));
        let row = ingest.dead_letter(&message("b/t", 2_000, "x"), ReasonCode::UNSPECIFIED_ERROR);
        assert_eq!(row.properties.user_property(REASON_TEXT), None);
        let text = reason_text(&format!("\n\t\u{1b}{}", "ä".repeat(300)));
        assert!(text.len() <= REASON_BYTES_MAX && text.ends_with("ä…"), "{text}");
        assert!(!text.chars().any(char::is_control), "{text}");
    }
}
