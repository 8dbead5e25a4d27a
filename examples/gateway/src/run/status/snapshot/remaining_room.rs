//! Remaining room: the time for which the queue can store messages at the rate of the last ten minutes if the hub accepts none, and the limit
//! that is reached first. Pure.

use super::facts::Facts;
use super::figures::Figures;
use super::recorder::Recorder;
use super::{Lane, Room};

/// Returns the remaining room, as status and metrics show it: none while a lane refuses messages, whose rate then is 0 before long. A store that
/// fails refuses them too, whatever room there is.
pub(in crate::run::status) fn room(
    facts: &Facts,
    figures: &Figures,
    recorder: &Recorder,
    lanes: &[Lane],
) -> Room {
    let sample = &figures.sample;
    no_room(lanes, |lane| figures.queue.fault.is_none() && sample.intake.is_full(lane))
        .unwrap_or_else(|| room_at_rate(lanes, recorder, facts.max_age_s, sample.oldest_age_ms))
}

/// Returns the room at the rate of incoming messages. `oldest_ms` is the age of the oldest waiting message. The result is unknown if no message came
/// lately, or while the size of incoming messages is unknown, because a guess would be taken for a promise.
fn room_at_rate(lanes: &[Lane], recorder: &Recorder, max_age_s: Option<u64>, oldest_ms: u64) -> Room {
    let passed = recorder.last_ten_minutes();
    let mut first: Option<(u64, &'static str, &Lane)> = None;
    let mut busiest = (0, None);
    for (at, lane) in lanes.iter().enumerate() {
        let came = passed.flow.lanes.get(at).copied().unwrap_or(0);
        if came > busiest.0 {
            busiest = (came, Some(lane));
        }
        let per_s = passed.per_s(came);
        if per_s <= 0.0 {
            continue;
        }
        let Some(mean_bytes) = recorder.mean_bytes(at) else { return Room::default() };
        let left = |have: u64, max: u64, each: f64| (max.saturating_sub(have) as f64 / each) as u64;
        let by_bytes = (left(lane.bytes, lane.max_bytes, per_s * mean_bytes as f64), "max_bytes");
        let by_count = lane.max_messages.map(|max| (left(lane.messages, max, per_s), "max_messages"));
        for (seconds, limit) in by_count.into_iter().chain([by_bytes]) {
            if first.is_none_or(|(least, ..)| seconds < least) {
                first = Some((seconds, limit, lane));
            }
        }
    }
    let age = max_age_s.map(|max| max.saturating_sub(oldest_ms / 1_000));
    let first = match (age.zip(busiest.1), first) {
        (Some((seconds, lane)), Some((least, ..))) if seconds < least => Some((seconds, "max_age", lane)),
        (_, first) => first,
    };
    match first {
        None => Room::default(),
        Some((seconds, limit, lane)) => {
            Room { seconds: Some(seconds), limit: Some(limit.to_owned()), lane: Some(lane.name.clone()) }
        }
    }
}

/// Returns the room while a lane refuses messages, which a large one meets before a limit is reached; `None` while none does.
fn no_room(lanes: &[Lane], is_full: impl Fn(usize) -> bool) -> Option<Room> {
    let lane = lanes.iter().enumerate().find_map(|(at, lane)| is_full(at).then_some(lane))?;
    let limit = match lane.max_messages {
        Some(max) if lane.messages >= max => "max_messages",
        _ => "max_bytes",
    };
    Some(Room { seconds: Some(0), limit: Some(limit.to_owned()), lane: Some(lane.name.clone()) })
}

#[cfg(test)]
mod tests {
    use edge_bridge::bridge::LinkState;

    use crate::run::status::snapshot::history::Flow;
    use crate::run::status::snapshot::recorder::Look;
    use crate::run::status::verdict::Verdict;

    use super::*;

    /// Ten messages a second of 100 bytes in the second lane, for a minute; `alarms`: and one in the first, whose size nobody has seen.
    fn recorder(sizes_known: bool, alarms: u64) -> Recorder {
        let mut recorder = Recorder::new(0);
        for second in 0..=60 {
            let flow = Some(Flow { lanes: [second * alarms, second * 10, 0, 0], ..Flow::default() });
            let lanes = vec![(0, 0), if sizes_known { (5, 500) } else { (0, 0) }];
            let (verdict, link) = (Verdict::Storing, LinkState::Stalled);
            recorder.note(second * 1_000, &Look { verdict, link, cause: None, flow, waiting: 5, lanes });
        }
        recorder
    }

    fn lanes(max_messages: Option<u64>) -> Vec<Lane> {
        let lane = |name: &str, messages, bytes| Lane {
            name: name.to_owned(),
            messages,
            bytes,
            max_messages,
            max_bytes: 101_000,
        };
        vec![lane("alarm", 0, 0), lane("telemetry", 10, 1_000)]
    }

    #[test]
    fn the_first_limit_counts_and_what_is_not_known_is_not_guessed() {
        let said = |lanes: &[Lane], recorder: &Recorder, max_age_s, oldest_ms| {
            let room = room_at_rate(lanes, recorder, max_age_s, oldest_ms);
            (room.seconds, room.limit.unwrap_or_default(), room.lane.unwrap_or_default())
        };
        let told = |seconds, limit: &str| (Some(seconds), limit.to_owned(), "telemetry".to_owned());
        let known = recorder(true, 0);
        assert_eq!(said(&lanes(None), &known, None, 0), told(100, "max_bytes"));
        assert_eq!(said(&lanes(Some(210)), &known, None, 0), told(20, "max_messages"));
        assert_eq!(said(&lanes(Some(210)), &known, Some(15), 0), told(15, "max_age"));
        assert_eq!(said(&lanes(Some(210)), &known, Some(3_600), 3_595_500), told(5, "max_age"));
        assert_eq!(said(&lanes(Some(10)), &known, None, 0), told(0, "max_messages"));
        assert_eq!(
            said(&lanes(Some(1_010)), &known, None, 0),
            told(100, "max_messages"),
            "the first of equals"
        );
        let unknown = (None, String::new(), String::new());
        assert_eq!(
            said(&lanes(Some(210)), &recorder(false, 0), Some(15), 0),
            unknown,
            "the size of a message"
        );
        assert_eq!(said(&lanes(None), &recorder(true, 1), None, 0), unknown, "the size of an alarm");
        assert_eq!(said(&lanes(Some(210)), &Recorder::new(0), Some(15), 0), unknown, "the rate");
    }
}
