//! Promises 1 and 13 with `ack_held = "when_emitted"`: whatever was acknowledged stands in what is on the disk, within the
//! stage's own bound, at every crash; PUBACKs leave in order and within `hold_max`.

use super::test_rig::{ACK_WITHIN_MS, Case, Life, Planted, World};
use super::{Extent, Link, READINGS_MAX, Withheld};

const DEVIATION: f64 = 0.5;
const WIDTH_MS: i64 = 4_000;

/// Traces on the disk of a reading that was acknowledged.
#[derive(Clone, Copy, Debug)]
enum Shape {
    /// It is near the straight line between what was emitted around it.
    Line,
    /// It is near what was emitted last.
    Steps,
    /// It is counted in its window.
    Counts,
}

const DOOR: &str = "{ swinging_door = { deviation = 0.5 } }";
/// With the bounds that [`check`] takes. Shape, defaults, stages.
const STAGES: [(Shape, &str, &str); 6] = [
    (Shape::Line, "", DOOR),
    (
        Shape::Line,
        "",
        "{ swinging_door = { deviation = 0.5 } }, { stale = { timeout_ms = 60000, heartbeat_ms = 700 } }",
    ),
    // In line for a verdict before it reaches the door.
    (
        Shape::Line,
        "",
        "{ spike = { suspect = 1e6, fail = 1e7 } }, { swinging_door = { deviation = 0.5 } }, { stale = { timeout_ms = 60000, heartbeat_ms = 300 } }",
    ),
    // Sensors are forgotten for others, with what they hold.
    (Shape::Line, "max_keys = 3\nover_limit = \"evict_idle\"", DOOR),
    (Shape::Steps, "", "{ segment_hold = { deviation = 0.5 } }"),
    (Shape::Counts, "", "{ window = { width_ms = 4000, agg = \"count\", allowed_lateness_ms = 500 } }"),
];

/// Says which acknowledged reading, the first so many apart, does not stand in what is on the disk.
fn check(shape: Shape, life: &Life, checked: usize) -> Result<(), String> {
    for (sensor, time, value) in &life.acked[checked..] {
        let rows = life.durable.get(sensor).map_or(&[][..], Vec::as_slice);
        let after = rows.partition_point(|(t, _)| t <= time);
        let before = after.checked_sub(1).map(|at| rows[at]);
        let near = |expected: f64| (value - expected).abs() <= DEVIATION * (1.0 + 1e-9);
        let is_there = match (shape, before, rows.get(after)) {
            // Beside a heartbeat's repetition there may be a reading of the same millisecond.
            (Shape::Line, Some((t, _)), _) if t == *time => rows.iter().any(|(t, v)| t == time && near(*v)),
            (Shape::Line, Some((t0, v0)), Some((t1, v1))) => {
                near(v0 + (v1 - v0) * (time - t0) as f64 / (t1 - t0) as f64)
            }
            (Shape::Steps, Some((_, v)), _) => near(v),
            // Its window was complete: it passed as it came.
            (Shape::Counts, ..) if rows.contains(&(*time, *value)) => true,
            (Shape::Counts, ..) => {
                let window = time.div_euclid(WIDTH_MS);
                let mut times: Vec<i64> =
                    life.acked.iter().filter(|(s, ..)| s == sensor).map(|(_, t, _)| *t).collect();
                times.sort_unstable();
                times.dedup();
                // No measured value is an integer.
                let in_window = rows.iter().filter(|(t, _)| t.div_euclid(WIDTH_MS) == window);
                let (counts, beside): (Vec<&(i64, f64)>, Vec<_>) =
                    in_window.partition(|row| row.1.fract() == 0.0);
                times.retain(|t| t.div_euclid(WIDTH_MS) == window && !beside.iter().any(|row| row.0 == *t));
                counts.into_iter().map(|(_, count)| *count).sum::<f64>() >= times.len() as f64
            }
            _ => false,
        };
        if !is_there {
            return Err(format!(
                "{sensor} {value} at {time} was acknowledged, and is not between {before:?} and {:?}",
                rows.get(after)
            ));
        }
    }
    Ok(())
}

/// One gateway's history, with crashes, clean stops and lost connections.
fn history(shape: Shape, case: Case<'_>, seed: u64) -> Result<u64, String> {
    let clients = 3;
    let (mut world, mut checked) = (World::new(case, clients, seed), 0);
    for _ in 0..400 {
        let client = usize::try_from(world.rng.between(0, clients as u64)).unwrap();
        match world.rng.between(0, 100) {
            0..60 => world.sample(client),
            60..85 => {}
            85..95 => world.commit(),
            // Who is forgotten is not known by its copy: that one passes, rightly, and would move the line.
            95..97 if case.defaults.is_empty() => world.connect(client),
            97 => world.clean_stop(),
            98 => {
                world.crash();
                checked = 0;
            }
            _ => {}
        }
        // Readings are further apart than heartbeats may come between two of them, 1 ms after each other.
        let ms = world.rng.between(40, 200);
        world.pass(ms);
        // A crash might come now.
        check(shape, &world.life, checked)?;
        checked = world.life.acked.len();
    }
    // Nobody measures any more: what is held has nothing to wait for but time.
    let mut steps = 0;
    while !world.is_quiet() {
        world.pass(100);
        steps += 1;
        if steps > 10_000 {
            return Err("a PUBACK never comes".to_owned());
        }
    }
    check(shape, &world.life, checked)?;
    let bound_ms = case.hold_max_ms + ACK_WITHIN_MS + 1_000;
    if world.longest_wait_ms > bound_ms {
        return Err(format!("a PUBACK took {} ms", world.longest_wait_ms));
    }
    Ok(world.longest_wait_ms)
}

/// `EDGE_TEST_BUDGET` percent of `full`, 10 unless set.
fn budget(full: u64) -> u64 {
    let percent = std::env::var("EDGE_TEST_BUDGET").ok().and_then(|percent| percent.parse().ok());
    (full * percent.unwrap_or(10_u64).clamp(1, 100) / 100).max(1)
}

fn seed() -> u64 {
    std::env::var("EDGE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(41)
}

fn case<'a>((_, defaults, stages): (Shape, &'a str, &'a str), window: usize, planted: Planted) -> Case<'a> {
    Case { defaults, stages, hold_max_ms: 6_000, window, planted }
}

#[test]
fn promise_1_nothing_that_was_acknowledged_is_lost_by_a_crash() {
    let (cases, mut longest_ms) = (budget(1_000), 0);
    for n in 0..cases {
        let stage = STAGES[usize::try_from(n).unwrap() % STAGES.len()];
        let window = match stage.0 {
            // A reading that waited in its sensor until its window was complete passes beside it.
            Shape::Counts => 100,
            _ => [1, 4, 20, 100][usize::try_from(n / 6).unwrap() % 4],
        };
        match history(stage.0, case(stage, window, Planted::Nothing), seed() + n) {
            Ok(ms) => longest_ms = longest_ms.max(ms),
            Err(why) => panic!("seed {}, window {window}, {stage:?}: {why}", seed() + n),
        }
    }
    println!("executed withheld histories: {cases} cases, longest PUBACK {longest_ms} ms");
}

#[test]
fn promise_1_planted_bugs_are_found_in_every_stage() {
    for planted in [Planted::AcknowledgesAtOnce, Planted::DoesNotWaitForTheDisk] {
        for stage in STAGES {
            let found = (0..200).find(|n| history(stage.0, case(stage, 100, planted), seed() + n).is_err());
            let found = found.unwrap_or_else(|| panic!("{planted:?} is not found in {stage:?}"));
            println!("{planted:?} found after {} histories in {}", found + 1, stage.2);
        }
    }
}

/// A sensor alone that sends its next reading only after the PUBACK of the last: nothing but time can end the hold.
#[test]
fn a_publisher_that_waits_for_each_puback_gets_it_within_hold_max() {
    for stage in STAGES {
        let mut world = World::new(case(stage, 1, Planted::Nothing), 1, seed());
        for _ in 0..3 {
            world.sample(0);
            let mut waited_ms = 0;
            while !world.is_quiet() {
                world.pass(50);
                waited_ms += 50;
                assert!(waited_ms <= 6_000 + ACK_WITHIN_MS + 100, "{stage:?}: {waited_ms} ms");
            }
        }
        assert!(world.life.acked.len() >= 3);
    }
}

/// A heartbeat repeats what is older than what is open.
#[test]
fn a_heartbeat_does_not_stand_for_an_open_window() {
    let stages = "{ window = { width_ms = 4000, agg = \"count\" } }, { stale = { timeout_ms = 60000, heartbeat_ms = 700 } }";
    let mut world = World::new(case((Shape::Counts, "", stages), 9, Planted::Nothing), 1, seed());
    world.sample(0);
    world.pass(3_990);
    world.sample(0);
    for _ in 0..3 {
        // The first window ended, and is said again and again while the second is open.
        world.pass(900);
        world.commit();
    }
    let rows = &world.life.durable["c0/a"];
    assert!(
        rows.len() > 2 && world.life.acked.iter().all(|(_, time, _)| time - rows[0].0 < WIDTH_MS),
        "{rows:?}"
    );
}

/// Promise 12: a copy of a held reading takes a place as well, and all places come back.
#[test]
fn readings_that_wait_are_bounded_and_their_copies_count() {
    let (mut withheld, mut link) = (Withheld::new(60_000), Link::default());
    for n in 1..READINGS_MAX {
        withheld.hold(0, u32::from(n % 2 == 0), link.part());
    }
    assert!(!withheld.takes_no_more());
    withheld.hold_copy(1, &mut link);
    assert!(withheld.takes_no_more());
    withheld.cover(0, 0, &mut link);
    assert!(!withheld.takes_no_more());
    withheld.cover(1, 0, &mut link);
    assert_eq!(withheld.readings, 0);
}

/// A message has one receipt, however many of its readings are held, and counts until the last of them is covered.
#[test]
fn what_waits_is_counted_by_message_and_from_the_oldest() {
    let (mut withheld, mut two, mut one) = (Withheld::new(60_000), Link::default(), Link::default());
    assert_eq!(withheld.extent(), Extent::default());
    withheld.hold(5, 1, two.part());
    withheld.hold(5, 2, two.part());
    withheld.hold(9, 2, one.part());
    assert_eq!(withheld.extent(), Extent { messages: 2, since_ms: Some(5) });
    let mut emitted = Link::default();
    withheld.cover(1, 0, &mut emitted);
    assert_eq!(withheld.extent(), Extent { messages: 2, since_ms: Some(5) });
    withheld.cover(2, 1, &mut emitted);
    assert_eq!(withheld.extent(), Extent { messages: 1, since_ms: Some(9) });
    withheld.cover(2, 0, &mut emitted);
    assert_eq!(withheld.extent(), Extent::default());
}
