//! Status at the hub that becomes true again, at a bounded price: figures that were those of one moment, and losses that came and went.

use super::*;

/// Snapshot with these waiting messages, and this room.
fn figures(waiting: u64, room_s: u64) -> (Snapshot, Process) {
    let mut snapshot = test_snapshots::delivering();
    (snapshot.queue.messages, snapshot.room.seconds) = (waiting, Some(room_s));
    (snapshot, made().1)
}

/// Looks with these figures, and has the hub take what is due. Returns the waiting messages in the status, if there was one.
fn look(
    status: &HubStatus,
    up_ms: u64,
    matter: Matter,
    make: impl FnOnce() -> (Snapshot, Process),
) -> Option<u64> {
    status.see(up_ms, (1, true), matter, make);
    let messages = said(status, up_ms);
    messages.iter().for_each(|message| status.on_delivered(message));
    let told = messages.iter().find(|message| message.topic.as_str() == "edge/status/site7")?;
    let json: serde_json::Value = serde_json::from_slice(&told.payload).unwrap();
    json["waiting"].as_u64()
}

/// A link is idle just after its connection, whatever waits: the verdict is the same before and after the backlog.
#[test]
fn figures_of_the_first_moment_of_a_connection_are_corrected_after_a_minute() {
    let status = status();
    let mut told = Vec::new();
    for second in 0..7_400 {
        let (waiting, room_s) = if second == 0 { (300, 12) } else { (0, 260) };
        let said = look(&status, second * 1_000, of(Verdict::Delivering), || figures(waiting, room_s));
        told.extend(said.map(|waiting| (second, waiting)));
    }
    assert_eq!(told, [(0, 300), (60, 0), (3_660, 0), (7_260, 0)]);
}

/// Also after hours without a change of the verdict, and each reason that is another one.
#[test]
fn a_change_of_figures_or_of_the_reason_is_told_within_a_minute_or_so() {
    let status = status();
    let mut told = Vec::new();
    for second in 0..9_000 {
        let waiting = if (5_000..8_000).contains(&second) { 4_000 } else { 0 };
        let make = || {
            let (mut snapshot, process) = figures(waiting, 260);
            if second >= 8_500 {
                let (id, text) = ("clock".to_owned(), "Another reason.".to_owned());
                snapshot.needs = vec![Need { level: Level::Act, id, text, action: String::new() }];
            }
            (snapshot, process)
        };
        let said = look(&status, second * 1_000, of(Verdict::Delivering), make);
        told.extend(said.map(|_| second));
    }
    let changes = [5_000, 8_000, 8_500];
    assert_eq!((told.len(), &told[..2]), (5, &[0, 3_600][..]), "{told:?}");
    let is_prompt = |(told, change): (&u64, u64)| (change..=change + 60).contains(told);
    assert!(told[2..].iter().zip(changes).all(is_prompt), "{told:?}");
}

/// Figures that never rest are a line's whole bill otherwise.
#[test]
fn a_day_of_figures_that_never_rest_costs_a_few_statuses_more_than_a_calm_one() {
    let status = status();
    let mut count = [0; 2];
    for second in 0..2 * 86_400_u64 {
        let waiting = if second / 61 % 2 == 0 { 0 } else { 100_000 };
        let said = look(&status, second * 1_000, of(Verdict::Delivering), || figures(waiting, 260));
        count[usize::try_from(second / 86_400).unwrap()] += usize::from(said.is_some());
    }
    assert!(count.iter().all(|count| (23..=30).contains(count)), "{count:?}");
}

fn lost(verdict: Verdict, lost: u64) -> Matter {
    Matter { lost, ..of(verdict) }
}

/// A loss counts as one for half a minute, as long as the pause.
#[test]
fn a_loss_is_told_although_the_pause_lasts_as_long_as_it() {
    let status = status();
    let mut told = Vec::new();
    for second in 0..100 {
        let matter = match second {
            0..5 => lost(Verdict::Delivering, 0),
            5..35 => lost(Verdict::Losing, 124),
            _ => lost(Verdict::Delivering, 124),
        };
        let verdict = matter.verdict;
        let said = look(&status, second * 1_000, matter, made);
        told.extend(said.map(|_| (second, verdict)));
    }
    assert_eq!(told, [(0, Verdict::Delivering), (5, Verdict::Losing), (35, Verdict::Delivering)]);
}

/// The hub was slow to answer meanwhile.
#[test]
fn a_loss_that_came_and_went_is_told_by_its_number() {
    let status = status();
    status.see(0, (1, true), lost(Verdict::Delivering, 0), made);
    let first = said(&status, 0);
    assert!(!status.see(5_000, (1, true), lost(Verdict::Losing, 124), made), "the hub has not answered");
    first.iter().for_each(|message| status.on_delivered(message));
    assert!(status.see(36_000, (1, true), lost(Verdict::Delivering, 124), made));
    assert_eq!(deliver(&status, 36_000), 1);
    assert!(!status.see(70_000, (1, true), lost(Verdict::Delivering, 124), made), "told");
}

#[test]
fn losses_without_end_and_losses_that_come_and_go_have_a_price() {
    let count = |verdict: fn(u64) -> Verdict| {
        let status = status();
        let looked = |second| look(&status, second * 1_000, lost(verdict(second), second), made);
        (0..600).filter_map(looked).count()
    };
    assert!(count(|_| Verdict::Losing) <= 2);
    let come_and_go =
        |second: u64| if second.is_multiple_of(2) { Verdict::Losing } else { Verdict::Delivering };
    assert!(count(come_and_go) <= 40, "{}", count(come_and_go));
}
