//! Bounds of answers, and when an answer has left.

use super::*;
use AnswerKind::{Refusal, Result as Outcome};

const SIZE: u64 = 100;

/// A lane of 800 messages and 80 000 bytes: 100 answers of 100 bytes, 50 of them refusals.
fn lane(accepted: u64, queued: u64) -> LaneFigures {
    let used = Size { messages: queued, bytes: queued * SIZE };
    LaneFigures { accepted, queued, used, limits: Size { messages: 800, bytes: 80_000 } }
}

struct Bench {
    room: AnswerRoom,
    last: u64,
}

impl Bench {
    fn new(lane: LaneFigures) -> Self {
        Self { room: AnswerRoom::new(Some(lane)), last: 0 }
    }

    fn admit(&mut self, bytes: u64, kind: AnswerKind) -> Result<Ticket, NoRoom> {
        self.last += 1;
        let ticket = Ticket(self.last);
        self.room.admit(ticket, bytes, kind).map(|()| ticket)
    }

    /// Admits answers until one has no room. Returns their tickets and the bound.
    fn fill(&mut self, bytes: u64, kind: AnswerKind) -> (Vec<Ticket>, NoRoom) {
        let mut all = Vec::new();
        for _ in 0..10_000 {
            match self.admit(bytes, kind) {
                Ok(ticket) => all.push(ticket),
                Err(bound) => return (all, bound),
            }
        }
        panic!("no bound")
    }

    fn look(&mut self, lane: LaneFigures) {
        self.room.look();
        self.room.see(lane);
    }
}

#[test]
fn promise_7_refusals_take_half_of_the_answers_part_and_results_all_of_it() {
    for (bytes, most) in [(SIZE, 100), (1, 100), (1_000, 10)] {
        let mut bench = Bench::new(lane(0, 0));
        let (refusals, bound) = bench.fill(bytes, Refusal);
        assert_eq!((refusals.len(), bound), (most / 2, NoRoom::Refusals), "{bytes}");
        let (results, bound) = bench.fill(bytes, Outcome);
        assert_eq!((results.len(), bound), (most / 2, NoRoom::Answers), "{bytes}");
        let (results, _) = Bench::new(lane(0, 0)).fill(bytes, Outcome);
        assert_eq!(results.len(), most, "{bytes}");
    }
    let large = LaneFigures { limits: Size::UNLIMITED, ..lane(0, 0) };
    let (results, _) = Bench::new(large).fill(SIZE, Outcome);
    assert_eq!(results.len() as u64, ANSWERS_MAX);
}

/// A lane of one message takes one answer, if nothing else is there.
#[test]
fn a_lane_of_few_messages_takes_an_answer() {
    let limits = Size { messages: 1, bytes: 80_000 };
    let (refusals, _) = Bench::new(LaneFigures { limits, ..lane(0, 0) }).fill(SIZE, Refusal);
    assert_eq!(refusals.len(), 1);
    assert_eq!(Bench::new(LaneFigures { limits, ..lane(1, 1) }).admit(SIZE, Outcome), Err(NoRoom::Lane));
}

#[test]
fn promise_7_an_answer_leaves_an_eighth_of_the_lane_free() {
    for kind in [Refusal, Outcome] {
        let (answers, bound) = Bench::new(lane(690, 690)).fill(SIZE, kind);
        assert_eq!(
            (answers.len(), bound),
            (10, NoRoom::Lane),
            "what is not in the lane's figures counts too"
        );
        let by_bytes = LaneFigures { used: Size { messages: 1, bytes: 69_950 }, ..lane(1, 1) };
        assert_eq!(Bench::new(by_bytes).admit(SIZE, kind), Err(NoRoom::Lane));
    }
    let mut bench = Bench::new(lane(690, 690));
    let (answers, _) = bench.fill(SIZE, Outcome);
    answers.into_iter().for_each(|ticket| bench.room.stored(ticket));
    bench.look(lane(700, 700));
    assert_eq!(bench.admit(SIZE, Outcome), Err(NoRoom::Lane), "now they are among those of the lane");
    bench.look(lane(700, 600));
    assert!(bench.admit(SIZE, Outcome).is_ok());
}

/// As after a start with a queue that is full of alarms: no answer can come in and ask for a look.
#[test]
fn a_full_lane_is_looked_at_again_without_an_answer() {
    let mut bench = Bench::new(lane(790, 790));
    assert_eq!(bench.admit(SIZE, Outcome), Err(NoRoom::Lane));
    assert!(bench.room.is_lane_full() && !bench.room.is_used());
    bench.look(lane(790, 0));
    assert!(!bench.room.is_lane_full());
    assert!(bench.admit(SIZE, Outcome).is_ok());
}

/// The answer is the 11th message of the lane; the look that was under way when it became safe does not know that.
#[test]
fn an_answer_counts_until_what_was_there_before_it_has_left() {
    let mut bench = Bench::new(lane(10, 10));
    let (answers, _) = bench.fill(SIZE, Refusal);
    let is_full = |bench: &mut Bench| bench.admit(SIZE, Refusal) == Err(NoRoom::Refusals);
    bench.room.look();
    answers.into_iter().for_each(|ticket| bench.room.stored(ticket));
    bench.room.see(lane(10, 0));
    assert!(is_full(&mut bench), "on the way then");
    bench.look(lane(60, 50));
    assert!(is_full(&mut bench));
    bench.look(lane(70, 11));
    assert!(is_full(&mut bench), "59 have left");
    assert!(bench.room.is_used());
    bench.look(lane(70, 10));
    assert!(!bench.room.is_used());
    assert_eq!(bench.fill(SIZE, Refusal).0.len(), 50);
}
