use super::*;

const DENIED: ReasonCode = ReasonCode::NOT_AUTHORIZED;

fn topics() -> [Utf8; 3] {
    ["a", "b", "c"].map(Utf8::from_static)
}

fn refused() -> LinkRefusal {
    let mut link = LinkRefusal::new(1);
    let [a, ..] = topics();
    (1..STREAK).for_each(|_| assert_eq!(link.on_answer(0, DENIED, &a, false), LinkChange::None));
    assert_eq!(link.on_answer(0, DENIED, &a, false), LinkChange::Refused);
    link
}

#[test]
fn a_burst_of_a_forbidden_topic_is_not_taken_for_the_link_while_others_get_through() {
    let (mut link, [a, b, _]) = (LinkRefusal::new(1), topics());
    assert_eq!(link.on_answer(0, DENIED, &a, false), LinkChange::None);
    assert_eq!(link.on_answer(10, ReasonCode::SUCCESS, &b, false), LinkChange::None);
    for _ in 0..100 {
        assert_eq!(link.on_answer(40, DENIED, &a, false), LinkChange::None);
    }
    // What got through is refused now, too; or nothing got through for a while.
    let mut revoked = link.clone();
    assert_eq!(revoked.on_answer(41, DENIED, &b, false), LinkChange::Refused);
    assert_eq!(link.on_answer(10 + WORKS_MS, DENIED, &a, false), LinkChange::Refused);
}

#[test]
fn eight_denials_without_another_answer_between() {
    let mut link = LinkRefusal::new(1);
    let [a, b, _] = topics();
    for answer in [ReasonCode::SUCCESS, ReasonCode::QUOTA_EXCEEDED] {
        for _ in 1..STREAK {
            link.on_answer(0, DENIED, &a, false);
        }
        assert_eq!(link.on_answer(0, answer, &b, false), LinkChange::None);
        assert!(!link.is_refused());
    }
    let mut link = refused();
    assert_eq!(link.on_answer(5, ReasonCode::SUCCESS, &b, false), LinkChange::Healed);
    assert!(!link.is_refused());
}

#[test]
fn each_probe_is_of_another_topic_and_only_probes_lengthen_the_delay() {
    let mut link = refused();
    let [a, b, c] = topics();
    let due_ms = link.due_ms().unwrap();
    link.on_answer(10, DENIED, &a, false);
    assert_eq!(link.due_ms(), Some(due_ms), "it was sent before the link was found to be refused");
    assert_eq!(link.pick(u64::MAX, [&a, &b, &c].into_iter().enumerate()), Some(1));
    link.on_probe();
    link.on_answer(due_ms, DENIED, &b, false);
    assert_eq!(link.due_ms(), Some(due_ms + NEXT_TOPIC_MS), "there may be a topic that is taken");
    assert_eq!(link.pick(u64::MAX, [&a, &b, &c].into_iter().enumerate()), Some(2));
    link.on_probe();
    link.on_answer(due_ms, DENIED, &c, false);
    assert_eq!(link.pick(u64::MAX, [&c, &b, &a].into_iter().enumerate()), Some(2), "the longest ago");
    link.on_probe();
    link.on_answer(due_ms, DENIED, &a, false);
    assert!(link.due_ms().unwrap() > due_ms + 500, "all were tried");
    assert_eq!(link.on_answer(due_ms, ReasonCode::SUCCESS, &b, false), LinkChange::Healed);
    let apart = link.take_refused_apart();
    assert!(apart == [c, a], "{apart:?}");
}

#[test]
fn another_denial_of_a_refused_topic_says_nothing_new() {
    let mut link = LinkRefusal::new(1);
    let [a, b, _] = topics();
    for _ in 0..100 {
        assert_eq!(link.on_answer(0, DENIED, &a, true), LinkChange::None);
    }
    (1..STREAK).for_each(|_| assert_eq!(link.on_answer(0, DENIED, &b, false), LinkChange::None));
    link.on_answer(0, DENIED, &a, true);
    assert_eq!(link.on_answer(0, DENIED, &b, false), LinkChange::Refused, "it ends no streak either");
}

#[test]
fn a_topic_that_was_not_tried_does_not_wait_for_the_back_off() {
    let mut link = refused();
    let [a, b, _] = topics();
    for _ in 0..8 {
        link.on_probe();
        link.on_answer(0, DENIED, &a, true);
    }
    assert_eq!(link.due_ms(), Some(LOOK_MS));
    assert_eq!(link.pick(LOOK_MS, [&a].into_iter().enumerate()), None);
    link.on_looked(LOOK_MS, false);
    assert_eq!(link.due_ms(), Some(2 * LOOK_MS));
    assert_eq!(link.pick(2 * LOOK_MS, [&a, &b].into_iter().enumerate()), Some(1));
    link.on_looked(2 * LOOK_MS, true);
    assert!(link.due_ms().unwrap() > 2 * LOOK_MS, "nothing that comes now is in sight");
}

#[test]
fn it_gives_way_when_only_tried_topics_are_in_sight_for_long() {
    let [a, b, _] = topics();
    let mut link = refused();
    assert!(link.give_way(ALIKE_MS, [&a, &b].into_iter()).is_empty(), "b was not tried");
    assert!(link.give_way(ALIKE_MS - 1, [&a].into_iter()).is_empty(), "too early");
    assert_eq!(link.give_way(ALIKE_MS, [&a].into_iter()), std::slice::from_ref(&a));
    assert!(!link.is_refused());
}

/// A probe of each of so many topics, none of which was tried, is refused.
fn probe_topics(link: &mut LinkRefusal, now_ms: u64, count: usize) {
    for n in 0..count {
        link.on_probe();
        let topic = Utf8::try_from(format!("t/{n}").as_str()).unwrap();
        link.on_answer(now_ms, DENIED, &topic, false);
    }
}

#[test]
fn an_operator_sees_the_latest_tried_topics() {
    let mut link = refused();
    probe_topics(&mut link, 0, 2 * LISTED_MAX);
    let listed = link.tried();
    assert_eq!((listed.len(), listed[0].as_str()), (LISTED_MAX, "t/127"));
    assert!(LinkRefusal::new(1).tried().is_empty());
}

#[test]
fn probes_of_so_many_topics_follow_soon_then_they_become_rare() {
    let mut link = refused();
    probe_topics(&mut link, 0, SOON_MAX);
    assert_eq!(link.due_ms(), Some(NEXT_TOPIC_MS));
    let rare_ms: Vec<u64> = (0..6)
        .map(|n| {
            link.on_probe();
            let topic = Utf8::try_from(format!("u/{n}").as_str()).unwrap();
            link.on_answer(0, DENIED, &topic, false);
            link.due_ms().unwrap()
        })
        .collect();
    assert!(rare_ms[0] > NEXT_TOPIC_MS && rare_ms[5] > 10 * LOOK_MS, "without looks: {rare_ms:?}");
}

#[test]
fn the_first_probe_comes_within_a_second() {
    let mut link = LinkRefusal::new(1);
    for _ in 0..STREAK {
        link.on_answer(50_000, DENIED, &topics()[0], false);
    }
    assert!(link.due_ms().is_some_and(|at_ms| (50_500..=51_000).contains(&at_ms)), "{link:?}");
}

#[test]
fn a_probe_that_could_not_be_made_comes_a_second_later() {
    let mut link = refused();
    link.postpone(90_000);
    assert_eq!(link.due_ms(), Some(91_000));
}

#[test]
fn a_retry_probes_at_once_and_with_short_delays_again() {
    let mut link = refused();
    let [a, ..] = topics();
    for _ in 0..8 {
        link.on_probe();
        link.on_answer(0, DENIED, &a, false);
    }
    assert!(link.looks(LOOK_MS));
    link.retry_now(7);
    assert_eq!((link.due_ms(), link.looks(7)), (Some(7), false));
    link.on_probe();
    link.on_answer(7, DENIED, &a, false);
    assert!(link.due_ms().is_some_and(|at_ms| at_ms <= 1_007), "{link:?}");
}

#[test]
fn what_was_on_its_way_is_answered_once() {
    let mut link = LinkRefusal::new(1);
    assert!(!link.on_drained(), "nothing is refused");
    let mut link = refused();
    assert_eq!([link.on_drained(), link.on_drained()], [true, false]);
}
