#![allow(clippy::disallowed_methods, reason = "test code")]

use std::time::Duration;

use super::super::sample::{Judged, Line, Verdict};
use super::*;

fn wish(stage: Stage, filter: &str) -> Wish {
    Wish { stage, why: false, filter: filter.to_owned() }
}

/// Offers a message of a topic at a stage; the sample has the topic as its reason.
fn pass(taps: &Taps, stage: Stage, topic: &str) {
    taps.offer(stage, |wish| wish.takes(topic), || sample(topic));
}

fn sample(why: &str) -> Sample {
    let (topic, why, reading) = (None, why.to_owned(), None);
    Sample::Filtered(Judged { topic, verdict: Verdict::Passed, why, reading })
}

/// Returns all that waits for the reader: reasons of samples, and numbers of lost ones.
fn taken(tap: &mut Tap) -> Vec<String> {
    std::iter::from_fn(|| tap.take())
        .map(|next| match next {
            Next::Lost(lost) => format!("lost {lost}"),
            Next::Closed => "closed".to_owned(),
            Next::Sample(line) => match serde_json::from_str(&line).unwrap() {
                Line::Sample { sample: Sample::Filtered(judged), .. } => judged.why,
                other => panic!("{other:?}"),
            },
        })
        .collect()
}

#[test]
fn a_tap_gets_what_its_stage_and_filter_want() {
    let taps = Taps::default();
    let mut stored = taps.open(wish(Stage::Stored, "plant/+/temp")).unwrap();
    let mut sent = taps.open(wish(Stage::Sent, "#")).unwrap();
    for topic in ["plant/1/temp", "plant/1/door", "plant/2/temp", "$SYS/x"] {
        [Stage::In, Stage::Stored, Stage::Sent].into_iter().for_each(|stage| pass(&taps, stage, topic));
    }
    assert_eq!(taken(&mut stored), ["plant/1/temp", "plant/2/temp"]);
    assert_eq!(taken(&mut sent), ["plant/1/temp", "plant/1/door", "plant/2/temp"]);
}

/// A loss is told at its place, and what waits is bounded in number and bytes.
#[test]
fn a_reader_that_does_not_read_loses_the_newest_and_is_told_where() {
    for (bytes, most) in [(10, SAMPLES_MAX), (1_000, BYTES_MAX.div_ceil(1_000))] {
        let taps = Taps::default();
        let mut tap = taps.open(wish(Stage::In, "#")).unwrap();
        let topic = |n: usize| format!("{n:bytes$}");
        (0..2_000).for_each(|n| pass(&taps, Stage::In, &topic(n)));
        let first = tap.take().unwrap();
        pass(&taps, Stage::In, &topic(3_000));
        pass(&taps, Stage::In, &topic(3_001));
        let seen = taken(&mut tap);
        assert!(matches!(first, Next::Sample(_)) && seen.len() <= most + 3, "{} wait", seen.len());
        let waited = seen.iter().position(|line| line.starts_with("lost")).unwrap();
        assert!((1..=most).contains(&waited) && waited > most / 3);
        assert!((0..waited).all(|n| seen[n] == topic(n + 1)), "the oldest, in order");
        assert_eq!(seen[waited], format!("lost {}", 2_000 - waited - 1));
        assert_eq!(seen[waited + 1], topic(3_000));
        assert_eq!(seen[waited + 2..].len(), 1, "{bytes}: the last one, or that it is lost");
    }
}

#[test]
fn what_no_reader_has_room_for_is_not_made() {
    let taps = Taps::default();
    let tap = taps.open(wish(Stage::In, "a")).unwrap();
    let mut made = 0;
    for _ in 0..2 * SAMPLES_MAX {
        taps.offer(Stage::In, |wish| wish.takes("b"), || panic!("nobody wants it"));
        taps.offer(
            Stage::In,
            |wish| wish.takes("a"),
            || {
                made += 1;
                sample("a")
            },
        );
    }
    assert_eq!(made, SAMPLES_MAX);
    drop(tap);
}

/// The flag is all that a message looks at.
#[test]
fn an_ended_reader_is_removed_and_its_stage_is_not_watched_any_more() {
    let taps = Taps::default();
    let watched =
        || [Stage::In, Stage::Filtered, Stage::Stored, Stage::Sent].map(|stage| taps.watches(stage));
    assert_eq!(watched(), [false; 4]);
    let open = |stage| taps.open(wish(stage, "#")).unwrap();
    let (one, other, third) = (open(Stage::In), open(Stage::In), open(Stage::Sent));
    assert_eq!(watched(), [true, false, false, true]);
    drop((one, third));
    assert_eq!(watched(), [true, false, false, false], "the other one is open still");
    drop(other);
    assert_eq!((watched(), taps.lock().open.len()), ([false; 4], 0));
}

#[test]
fn there_are_few_at_a_time_and_none_after_the_end() {
    let taps = Taps::default();
    let mut open: Vec<Tap> = (0..TAPS_MAX).map(|_| taps.open(wish(Stage::In, "#")).unwrap()).collect();
    assert_eq!(taps.open(wish(Stage::In, "#")).unwrap_err(), NotOpened::TooMany);
    open.pop();
    open.push(taps.open(wish(Stage::In, "#")).unwrap());
    pass(&taps, Stage::In, "t");
    taps.close();
    assert!(!taps.watches(Stage::In));
    let mut last = open.pop().unwrap();
    assert_eq!((last.take().is_some(), last.take()), (true, Some(Next::Closed)), "what waits comes first");
    assert_eq!(taps.open(wish(Stage::In, "#")).unwrap_err(), NotOpened::Closed);
    assert!(!taps.watches(Stage::In), "readers that end later change nothing");
}

#[tokio::test]
async fn a_reader_that_waits_is_woken_by_a_sample_a_loss_and_the_end() {
    let taps = Taps::default();
    let mut tap = taps.open(wish(Stage::Stored, "#")).unwrap();
    let soon = |taps: Taps, what: fn(&Taps)| async move {
        tokio::time::sleep(Duration::from_millis(20)).await;
        what(&taps);
    };
    let woken = tokio::join!(tap.next(), soon(taps.clone(), |taps| pass(taps, Stage::Stored, "t"))).0;
    assert!(matches!(woken, Next::Sample(_)));
    let woken = tokio::join!(tap.next(), soon(taps.clone(), |taps| taps.lose(Stage::Stored, |_| true, 3))).0;
    assert_eq!(woken, Next::Lost(3));
    let woken = tokio::join!(tap.next(), soon(taps.clone(), Taps::close)).0;
    assert_eq!(woken, Next::Closed);
    tap.closed().await;
}

#[test]
fn rows_that_wait_to_be_safe_are_bounded() {
    let taps = Taps::default();
    let mut places: Vec<_> = (0..ROWS_MAX).map(|_| taps.reserve_row().unwrap()).collect();
    assert!(taps.reserve_row().is_none());
    places.pop();
    assert!(taps.reserve_row().is_some());
}
