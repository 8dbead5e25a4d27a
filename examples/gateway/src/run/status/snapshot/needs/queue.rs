//! Conditions of the queue that need the operator: losses, its store, and room. Pure.

use edge_page::count;
use edge_queue::STALLED_AFTER_MS;

use crate::config::OnFull;
use crate::run::commands::CommandCounts;
use crate::run::status::outputs::units::{counted, counted_were, duration};
use crate::run::status::snapshot::facts::Facts;
use crate::run::status::snapshot::figures::Figures;
use crate::run::status::snapshot::{Lane, LedgerStatus, Level};

use super::Needs;

/// Fill of a lane, in percent of its limit, from which it is listed.
const FILL_PERCENT: u64 = 80;
/// Milliseconds by which the queue's writer is late, from which it is listed.
const OVERDUE_MS: u64 = 10_000;

pub(super) fn losses(needs: &mut Needs, facts: &Facts, figures: &Figures) {
    let sample = &figures.sample;
    let without_room = sample.given_up.saturating_sub(sample.damaged + sample.gone.messages);
    let lost = counted(without_room, "message");
    if sample.losing.without_room {
        let why = match facts.on_full {
            OnFull::DropOldest => "The oldest make room for new ones",
            OnFull::DropNewest => "New ones find no room",
            OnFull::Reject => "QoS 0 and wills find no room",
        };
        let action = format!("{why}: bring the link back, or {}.", more_room(figures));
        needs.act("losing", format!("Messages are being given up: {lost} so far."), action);
    } else if without_room > 0 {
        let action = "None in the last half minute. edge_dropped_total of /metrics has the reasons.";
        needs.look("lost", given_up(figures, without_room), action);
    }
    queue_gone(needs, facts, figures);
    damage(needs, facts, figures);
    if sample.intake.too_large > 0 {
        let text =
            format!("{} had no place in any row: too large.", counted(sample.intake.too_large, "message"));
        needs.look(
            "too_large",
            text,
            "They are lost whatever their senders were told; the log names none of them.",
        );
    }
}

/// Returns the sentence about messages that were given up: what was lost before the queue is forgotten at a restart.
fn given_up(figures: &Figures, messages: u64) -> String {
    let sample = &figures.sample;
    let in_this_run = sample.intake.lost_before_the_queue(sample.listener.as_ref()).min(messages);
    let (were, of_queue) = (counted_were(messages, "message"), messages - in_this_run);
    match (of_queue, in_this_run) {
        (_, 0) => format!("{were} given up, over all runs."),
        (0, _) => format!("{were} given up before the queue, in this run."),
        _ => format!(
            "{were} given up: {} by the queue, over all runs; {} before it, in this run.",
            count(of_queue),
            count(in_this_run)
        ),
    }
}

/// Adds queues that a start found gone.
fn queue_gone(needs: &mut Needs, facts: &Facts, figures: &Figures) {
    let (gone, state) = (figures.sample.gone, &facts.state);
    if gone.queues == 0 {
        return;
    }
    let lost = match gone.messages {
        0 => "how many messages are lost with it is not known".to_owned(),
        messages => format!("with it went at least {} that waited", counted(messages, "message")),
    };
    let times = if gone.queues == 1 { String::new() } else { format!(" ({} times)", gone.queues) };
    let text = format!("The queue of an earlier run was gone at a start{times}: {lost}.");
    let action = format!(
        "Find out what removed {state}/queue.ring or emptied it: the disk, a restored image, a person. To begin anew on purpose, move the whole directory away; docs/operations.md, \"queue gone\"."
    );
    let level = if figures.sample.losing.with_queue { Level::Act } else { Level::Look };
    needs.add(level, "queue_gone", text, action);
}

/// Adds messages lost to damage of the store, for which room is no remedy.
fn damage(needs: &mut Needs, facts: &Facts, figures: &Figures) {
    let sample = &figures.sample;
    if sample.damaged == 0 {
        return;
    }
    let were = counted_were(sample.damaged, "message");
    let text = format!("The store was damaged: {were} lost to it, over all runs.");
    let action = format!(
        "What was damaged is in {}/bad, for an inquiry. Damage twice means that the medium is dying: replace it; docs/operations.md, \"store damaged\".",
        facts.state
    );
    let level = if sample.losing.to_damage { Level::Act } else { Level::Look };
    needs.add(level, "damage", text, action);
}

pub(super) fn store(needs: &mut Needs, facts: &Facts, figures: &Figures, ledger: Option<&LedgerStatus>) {
    if figures.queue.is_file_gone {
        store_gone(needs, facts);
    } else if let Some(fault) = &figures.queue.fault {
        let text = format!("The store fails: {fault}.");
        let action =
            "Free space, mount it writable or replace the medium. What is in RAM is written when it is back.";
        needs.act("store", text, action);
    }
    found_at_open(needs, facts, figures);
    if figures.queue.overdue_ms > OVERDUE_MS {
        let text = format!("The writer is {} late.", duration(figures.queue.overdue_ms / 1_000));
        // A process that is killed in such a call ends when the disk answers, and control of the plant ends at once.
        let action = if figures.queue.call_ms >= STALLED_AFTER_MS {
            "The disk hangs: look at it. When it answers, the gateway goes on by itself; a restart gains nothing, and ends control."
        } else {
            "The process hangs, the disk does not: keep the log, then restart the gateway."
        };
        needs.act("writer", text, action);
    }
    let commands = figures.sample.commands.as_ref();
    if let Some(error) = commands.and_then(CommandCounts::write_error) {
        let text = format!(
            "The identities of commands are not kept: {error}. Those that are given at most once are refused."
        );
        let action = format!(
            "Mend {}/commands: make room, or move away what stands in its place. The next command tries it again, no restart is needed.",
            facts.state
        );
        needs.act("commands", text, action);
    }
    if ledger.is_some_and(|ledger| !ledger.adds_up()) {
        let text = "The ledger does not add up.".to_owned();
        needs.act("ledger", text, "That is a defect of the program: keep the state directory and report it.");
    }
}

/// Adds what the opening of the queue found.
fn found_at_open(needs: &mut Needs, facts: &Facts, figures: &Figures) {
    let found = &figures.sample.found;
    if found.lanes_unread {
        let text =
            "The names of the lanes at the last start could not be read while messages waited.".to_owned();
        let action = "If [queue] lanes was changed before this start, what waited goes under other names and limits: compare. The names are kept anew.";
        needs.look("lanes", text, action);
    }
    match &found.division_kept {
        Some(kept) if kept.is_less => {
            let text = format!("max_bytes of [queue] is not in force: {}.", kept.why);
            let action = format!(
                "Mend what it names, on the disk of {}: room for a second file beside queue.ring, or a sector that cannot be read. Then restart the gateway. Until then the lanes hold what the file was made for, as the figures show.",
                facts.state
            );
            needs.act("limits", text, action);
        }
        Some(kept) => {
            let text = format!("The queue's file keeps its old division: {}.", kept.why);
            let action = "The limits of [queue] are in force: if more waits than they hold, it is given up with the next messages, or keeps these out, as on_full says. A later start divides the file anew.";
            needs.look("limits", text, action);
        }
        None => {}
    }
    if found.other_machine {
        let text = "Another machine opened this queue last.".to_owned();
        let action = "If that one still has it, stop one of the two: what waited comes from both, and each ends the other's connection to the hub. If the disk was moved, nothing is to be done.";
        needs.look("other_machine", text, action);
    }
}

/// Returns the remedy for a lane that is nearly full, beside a link that comes back.
fn more_room(figures: &Figures) -> &'static str {
    match &figures.sample.found.division_kept {
        Some(kept) if kept.is_less => "do what the need `limits` says, so that the raised limit holds",
        _ => "raise the limit in [queue]",
    }
}

/// Adds that the queue's file is not at its path.
fn store_gone(needs: &mut Needs, facts: &Facts) {
    let state = &facts.state;
    let text = format!(
        "The queue's file is gone from {state}: removed, moved away, or its volume is unmounted. What the hub has not acknowledged gets no PUBACK."
    );
    let action = format!(
        "Move or mount it back to {state}: it goes on by itself. If it was removed, let what waits reach the hub, then restart; docs/operations.md, \"state directory gone\"."
    );
    needs.act("store_gone", text, action);
}

/// Adds lanes that refuse messages now, of which a failing store is another cause.
pub(super) fn no_room(needs: &mut Needs, figures: &Figures, lanes: &[Lane]) {
    let intake = figures.sample.intake;
    let full = lanes.iter().enumerate().filter(|(at, _)| intake.is_full(*at)).map(|(_, lane)| lane);
    let names: Vec<String> = full.map(|lane| format!("{} ({} % full)", lane.name, lane.percent())).collect();
    if names.is_empty() || figures.queue.fault.is_some() {
        return;
    }
    let held = figures.sample.listener.as_ref().map_or(0, |listener| listener.held as u64);
    let waiting = match intake.no_room + held {
        1 => "1 message of them waits without a PUBACK".to_owned(),
        count => format!("{} of them wait without a PUBACK", counted(count, "message")),
    };
    let lanes = if names.len() == 1 { "lane" } else { "lanes" };
    let text = format!("Messages are refused for want of room in {lanes} {}: {waiting}.", names.join(", "));
    let action = format!(
        "Bring the link back or {}. Sensors at QoS 1 keep theirs, QoS 0 is dropped. A large message finds no room before its lane is full.",
        more_room(figures)
    );
    needs.act("no_room", text, action);
}

pub(super) fn room(needs: &mut Needs, facts: &Facts, figures: &Figures, lanes: &[Lane]) {
    let refuses = |at: usize| figures.sample.intake.is_full(at);
    let nearly =
        lanes.iter().enumerate().filter(|(at, lane)| !refuses(*at) && lane.percent() >= FILL_PERCENT);
    for (_, lane) in nearly {
        let text = format!("Lane {} is {} % full.", lane.name, lane.percent());
        let then = match facts.on_full {
            OnFull::DropOldest => "its oldest messages are given up",
            OnFull::DropNewest => "new messages are given up",
            OnFull::Reject => "sensors get no PUBACK and keep theirs",
        };
        needs.look(
            "full",
            text,
            format!("Bring the link back or {}. When it is full, {then}.", more_room(figures)),
        );
    }
}

#[cfg(test)]
mod tests {
    use crate::run::queue::found_at_open::DivisionKept;
    use crate::run::status::snapshot::test_snapshots::{figures, snapshot};

    use super::*;

    /// A larger limit that has no room on the disk is no remedy until it has.
    #[test]
    fn limits_that_the_file_does_not_have_are_told_and_are_not_advised_again() {
        let told = |is_less| {
            let mut figures = figures();
            figures.queue.lanes[1].bytes = figures.queue.lanes[1].max_bytes / 100 * 85;
            figures.sample.found.division_kept = Some(DivisionKept { why: "no room".to_owned(), is_less });
            let needs = snapshot(&figures).needs;
            let find = |id: &str| needs.iter().find(|need| need.id == id).unwrap().clone();
            (find("limits"), find("full").action)
        };
        let (limits, full) = told(true);
        assert_eq!(
            (limits.level, limits.text.as_str()),
            (Level::Act, "max_bytes of [queue] is not in force: no room.")
        );
        assert!(
            full.contains("do what the need `limits` says") && !full.contains("raise the limit"),
            "{full}"
        );
        let (limits, full) = told(false);
        assert_eq!(limits.level, Level::Look);
        assert!(
            limits.text.contains("old division: no room.") && full.contains("raise the limit"),
            "{limits:?}"
        );
    }
}
