//! Promise 14: interlocks fail safe. Truth tables of every small tree against an evaluator of another kind, which tries
//! every value that an unknown input might have; degraded modes by hand; planted bugs are found.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

mod support;

use edge_filter::interlock::{
    Condition, Degraded, Interlock, InterlockError, InterlockState, Reset, Test, Vote,
};
use support::{Rng, budget};

/// T, F, bad.
const VALUES: [Option<f64>; 3] = [Some(1.0), Some(0.0), None];

fn leaf(input: usize) -> Condition {
    Condition::Input { input, test: Test::IsTrue }
}

fn at_least(k: usize, of: Vec<Condition>, degraded: Degraded) -> Condition {
    Condition::AtLeast { k, of, degraded }
}

/// Plain two-valued logic.
fn demands(tree: &Condition, inputs: &[bool]) -> bool {
    match tree {
        Condition::Input { input, .. } => inputs[*input],
        Condition::Not(inner) => !demands(inner, inputs),
        Condition::All(of) => of.iter().all(|one| demands(one, inputs)),
        Condition::Any(of) => of.iter().any(|one| demands(one, inputs)),
        Condition::AtLeast { k, of, .. } => of.iter().filter(|one| demands(one, inputs)).count() >= *k,
        _ => panic!("a new kind of condition"),
    }
}

/// Returns what two-valued logic says for every value that the unknown inputs might have.
fn possible(tree: &Condition, inputs: &[Option<f64>]) -> (bool, bool) {
    let (mut trips, mut healthy) = (false, false);
    for world in 0..1_u32 << inputs.len() {
        let values: Vec<bool> = (0..inputs.len()).map(|i| world >> i & 1 == 1).collect();
        let fits =
            inputs.iter().zip(&values).all(|(known, value)| known.is_none_or(|v| (v != 0.0) == *value));
        if fits {
            let demanded = demands(tree, &values);
            trips |= demanded;
            healthy |= !demanded;
        }
    }
    (trips, healthy)
}

fn expected(tree: &Condition, inputs: &[Option<f64>]) -> Vote {
    match possible(tree, inputs) {
        (true, false) => Vote::Trip,
        (false, _) => Vote::Healthy,
        (true, true) => Vote::Unknown,
    }
}

/// Every tree of two levels over three inputs, each named once, and every one of those below `Not`.
fn trees() -> Vec<Condition> {
    let safe = Degraded::TripVote;
    let mut groups = Vec::new();
    for mask in 0..8_u32 {
        let leaves = |from: usize, to: usize| -> Vec<Condition> {
            let signed =
                |i: usize| if mask >> i & 1 == 1 { Condition::Not(Box::new(leaf(i))) } else { leaf(i) };
            (from..to).map(signed).collect()
        };
        let all_of = |of: Vec<Condition>| {
            let voted = (1..=of.len()).map(|k| at_least(k, of.clone(), safe)).collect::<Vec<_>>();
            [vec![Condition::All(of.clone()), Condition::Any(of)], voted].concat()
        };
        groups.extend(all_of(leaves(0, 3)));
        for pair in all_of(leaves(0, 2)) {
            let third = leaves(2, 3).remove(0);
            groups.extend(all_of(vec![pair.clone(), third.clone()]));
            groups.extend(all_of(vec![Condition::Not(Box::new(pair)), third]));
        }
    }
    let negated: Vec<_> = groups.iter().cloned().map(|tree| Condition::Not(Box::new(tree))).collect();
    groups.into_iter().chain(negated).collect()
}

type Evaluator = fn(&Condition, &[Option<f64>]) -> Vote;

/// Rows of all truth tables, and the first that is wrong.
fn compare(evaluator: Evaluator) -> (u32, Option<String>) {
    let (mut rows, mut wrong) = (0, None);
    for tree in trees() {
        for a in VALUES {
            for b in VALUES {
                for c in VALUES {
                    let inputs = [a, b, c];
                    let (found, right) = (evaluator(&tree, &inputs), expected(&tree, &inputs));
                    rows += 1;
                    if found != right && wrong.is_none() {
                        wrong = Some(format!("{tree:?} with {inputs:?}: {found:?}, not {right:?}"));
                    }
                }
            }
        }
    }
    (rows, wrong)
}

fn ours(tree: &Condition, inputs: &[Option<f64>]) -> Vote {
    tree.vote(&|i| inputs[i])
}

#[test]
fn promise_14_every_small_tree_votes_as_its_truth_table() {
    let (rows, wrong) = compare(ours);
    assert_eq!(wrong, None);
    assert!(rows > 10_000, "{rows}");
    println!("executed filter interlock truth tables: {rows} cases");
}

/// Evaluators with the mistakes that interlocks have.
#[test]
fn planted_bugs_are_found() {
    fn assume(tree: &Condition, inputs: &[Option<f64>], unknown: bool) -> Vote {
        let values: Vec<bool> = inputs.iter().map(|v| v.map_or(unknown, |v| v != 0.0)).collect();
        if demands(tree, &values) { Vote::Trip } else { Vote::Healthy }
    }
    let bugs: [(&str, Evaluator); 4] = [
        ("a bad input counts as healthy", |tree, inputs| assume(tree, inputs, false)),
        ("a bad input counts as a trip, below `Not` too", |tree, inputs| assume(tree, inputs, true)),
        (
            "any bad input trips",
            |tree, inputs| {
                if inputs.contains(&None) { Vote::Unknown } else { ours(tree, inputs) }
            },
        ),
        ("one vote too many is asked for", |tree, inputs| match tree {
            Condition::AtLeast { k, of, degraded } if *k < of.len() => {
                ours(&at_least(k + 1, of.clone(), *degraded), inputs)
            }
            _ => ours(tree, inputs),
        }),
    ];
    for (bug, evaluator) in bugs {
        assert!(compare(evaluator).1.is_some(), "{bug}: not found");
    }
}

/// Inputs that are named twice: what is healthy is healthy in every possible world.
#[test]
fn promise_14_shared_inputs_never_make_an_unknown_trip_healthy() {
    fn tree(rng: &mut Rng, depth: u32) -> Condition {
        let of = |rng: &mut Rng| (0..1 + rng.below(3)).map(|_| tree(rng, depth - 1)).collect::<Vec<_>>();
        match if depth == 0 { 9 } else { rng.below(6) } {
            0 => Condition::All(of(rng)),
            1 => Condition::Any(of(rng)),
            2 => Condition::Not(Box::new(tree(rng, depth - 1))),
            3 => {
                let of = of(rng);
                at_least(1 + rng.below(of.len() as u64) as usize, of, Degraded::TripVote)
            }
            _ => leaf(rng.below(5) as usize),
        }
    }
    let (mut rng, cases) = (Rng::from_env(), budget(100_000));
    for _ in 0..cases {
        let tree = tree(&mut rng, 4);
        let inputs: Vec<_> = (0..5).map(|_| rng.pick(&VALUES)).collect();
        let (trips, healthy) = possible(&tree, &inputs);
        match ours(&tree, &inputs) {
            Vote::Healthy => assert!(!trips, "{tree:?} {inputs:?}"),
            Vote::Trip => assert!(!healthy, "{tree:?} {inputs:?}"),
            Vote::Unknown => assert!(inputs.contains(&None), "{tree:?} {inputs:?}"),
        }
    }
    println!("executed filter interlock trees: {cases} cases");
}

#[test]
fn two_of_three_and_its_degraded_modes() {
    let (t, f, bad) = (VALUES[0], VALUES[1], VALUES[2]);
    for (inputs, as_vote, ignored) in [
        ([t, t, f], Vote::Trip, Vote::Trip),
        ([t, f, f], Vote::Healthy, Vote::Healthy),
        ([t, f, bad], Vote::Unknown, Vote::Healthy),
        ([t, t, bad], Vote::Trip, Vote::Trip),
        ([f, f, bad], Vote::Healthy, Vote::Healthy),
        ([f, bad, bad], Vote::Unknown, Vote::Unknown),
        ([t, bad, bad], Vote::Unknown, Vote::Unknown),
        ([bad, bad, bad], Vote::Unknown, Vote::Unknown),
    ] {
        for (degraded, expected) in [(Degraded::TripVote, as_vote), (Degraded::Ignore, ignored)] {
            let tree = at_least(2, vec![leaf(0), leaf(1), leaf(2)], degraded);
            assert_eq!(ours(&tree, &inputs), expected, "{degraded:?} {inputs:?}");
            // Unknown trips, and a bad channel is told even while it does not.
            let interlock = Interlock::new(tree).unwrap().reset_by(Reset::Auto { after_ms: 0 }).unwrap();
            let status = interlock.evaluate(&mut InterlockState::default(), &|i| inputs[i], 0);
            assert_eq!(status.energised, expected == Vote::Healthy, "{degraded:?} {inputs:?}");
            assert_eq!(status.degraded, inputs.contains(&None));
        }
    }
}

fn estop() -> Interlock {
    let open = Condition::Input { input: 0, test: Test::IsFalse };
    let hot = Condition::Input { input: 1, test: Test::Above(80.0) };
    Interlock::new(Condition::Any(vec![open, hot])).unwrap()
}

#[test]
fn promise_14_a_trip_latches_until_it_is_reset_and_healthy() {
    let (interlock, mut state) = (estop(), InterlockState::default());
    let healthy = |i: usize| Some([1.0, 20.0][i]);
    let pressed = |i: usize| Some([0.0, 20.0][i]);
    let missing = |i: usize| [Some(1.0), None][i];
    let nan = |i: usize| Some([1.0, f64::NAN][i]);
    assert!(!interlock.evaluate(&mut state, &missing, 0).energised, "tripped before the first value");
    let refused = interlock.reset(&mut state, &missing, 1);
    assert_eq!(refused, Err(InterlockError::NotHealthy { demand: Vote::Unknown }));
    assert!(!interlock.evaluate(&mut state, &healthy, 2).energised, "healthy is not reset");
    interlock.reset(&mut state, &healthy, 3).unwrap();
    assert!(interlock.evaluate(&mut state, &healthy, 4).energised);
    for (n, trip) in [&pressed as &dyn Fn(usize) -> Option<f64>, &missing, &nan].into_iter().enumerate() {
        assert!(!interlock.evaluate(&mut state, &|i| trip(i), 5).energised, "{n}");
        assert!(interlock.reset(&mut state, &|i| trip(i), 6).is_err(), "{n}");
        assert!(!interlock.evaluate(&mut state, &healthy, 7).energised, "{n}: latched");
        interlock.reset(&mut state, &healthy, 8).unwrap();
        assert!(interlock.evaluate(&mut state, &healthy, 9).energised, "{n}");
    }
}

#[test]
fn an_automatic_reset_waits_for_its_whole_time() {
    let interlock = estop().reset_by(Reset::Auto { after_ms: 100 }).unwrap();
    let mut state = InterlockState::default();
    let mut energised =
        |closed: f64, now| interlock.evaluate(&mut state, &|i| Some([closed, 20.0][i]), now).energised;
    assert!(!energised(1.0, 0) && !energised(1.0, 99) && energised(1.0, 100));
    assert!(!energised(0.0, 101) && !energised(1.0, 150) && !energised(0.0, 240) && !energised(1.0, 251));
    assert!(!energised(1.0, 350) && energised(1.0, 351));
}

#[test]
fn promise_14_a_bypass_ends_by_itself_and_the_condition_counts_again() {
    let interlock = estop().max_bypass_ms(1_000).unwrap();
    let mut state = InterlockState::default();
    let (healthy, lost) = (|i: usize| Some([1.0, 20.0][i]), |_: usize| None);
    assert_eq!(
        estop().bypass(&mut state, 1, 0),
        Err(InterlockError::BypassTime { max_ms: None }),
        "not allowed unless said so"
    );
    for for_ms in [i64::MIN, 0, 1_001] {
        assert!(interlock.bypass(&mut state, for_ms, 0).is_err(), "{for_ms}");
    }
    interlock.bypass(&mut state, 1_000, 0).unwrap();
    let during = interlock.evaluate(&mut state, &lost, 999);
    assert!(during.energised && during.bypassed && during.tripped && during.degraded);
    assert!(!interlock.evaluate(&mut state, &lost, 1_000).energised);
    // Tripped before the bypass: tripped after it. Healthy before it and all through it: nothing happened.
    interlock.bypass(&mut state, 1_000, 2_000).unwrap();
    assert!(interlock.evaluate(&mut state, &healthy, 2_500).energised);
    assert!(!interlock.evaluate(&mut state, &healthy, 3_000).energised);
    interlock.reset(&mut state, &healthy, 3_001).unwrap();
    interlock.bypass(&mut state, 1_000, 4_000).unwrap();
    assert!(interlock.evaluate(&mut state, &healthy, 4_500).energised);
    assert!(interlock.evaluate(&mut state, &healthy, 5_000).energised);
    // A clock that was set back ends it.
    interlock.bypass(&mut state, 1_000, 6_000).unwrap();
    assert!(!interlock.evaluate(&mut state, &lost, 5_999).energised);
}

#[test]
fn promise_14_a_trip_that_came_and_went_under_a_bypass_latches() {
    let healthy = |i: usize| Some([1.0, 20.0][i]);
    let pressed = |i: usize| Some([0.0, 20.0][i]);
    let missing = |i: usize| [Some(1.0), None][i];
    for (n, trip) in [&pressed as &dyn Fn(usize) -> Option<f64>, &missing].into_iter().enumerate() {
        for reset_by in [Reset::Manual, Reset::Auto { after_ms: 500 }] {
            let interlock = estop().max_bypass_ms(1_000).unwrap().reset_by(reset_by).unwrap();
            let mut state = InterlockState::default();
            interlock.reset(&mut state, &healthy, 0).unwrap();
            interlock.bypass(&mut state, 300, 0).unwrap();
            let during = interlock.evaluate(&mut state, &|i| trip(i), 100);
            assert!(during.energised && during.bypassed && during.tripped, "{n}");
            let gone = interlock.evaluate(&mut state, &healthy, 200);
            assert!(gone.energised && gone.bypassed && gone.tripped, "{n}: told while it is bypassed");
            let after = interlock.evaluate(&mut state, &healthy, 300);
            assert!(!after.energised && after.tripped, "{n}: {reset_by:?}");
            // An automatic reset counts from when the condition is healthy, a manual one waits.
            assert!(!interlock.evaluate(&mut state, &healthy, 699).energised, "{n}");
            let by_itself = interlock.evaluate(&mut state, &healthy, 700).energised;
            assert_eq!(by_itself, reset_by != Reset::Manual, "{n}");
            // Reset while it is bypassed: nothing stops at its end.
            interlock.bypass(&mut state, 300, 1_000).unwrap();
            assert!(interlock.evaluate(&mut state, &|i| trip(i), 1_100).energised, "{n}");
            interlock.reset(&mut state, &healthy, 1_200).unwrap();
            assert!(interlock.evaluate(&mut state, &healthy, 1_300).energised, "{n}");
        }
    }
}

/// Random bypasses, ends of bypasses, steps of the clock back: over no stretch is the interlock bypassed for longer than
/// one bypass may last, unless it went as long without one.
#[test]
fn promise_14_bypasses_are_not_chained_beyond_their_time() {
    const MAX: i64 = 1_000;
    let interlock = estop().max_bypass_ms(MAX).unwrap();
    let lost = |_: usize| None;
    let (mut rng, cases) = (Rng::from_env(), budget(1_000));
    let (mut granted, mut refused) = (0_u64, 0_u64);
    for _ in 0..cases {
        let (mut state, mut now) = (InterlockState::default(), 5_000_i64);
        let (mut together, mut without) = (0_i64, MAX);
        for _ in 0..4_000 {
            if rng.below(4) == 0 {
                let for_ms = rng.pick(&[1, 50, 400, MAX]);
                match interlock.bypass(&mut state, for_ms, now) {
                    Ok(()) => granted += 1,
                    Err(InterlockError::BypassSpent { max_ms, left_ms }) => {
                        refused += 1;
                        assert!(max_ms == MAX && (0..for_ms).contains(&left_ms), "{left_ms}");
                    }
                    Err(other) => panic!("{other:?}"),
                }
            }
            if rng.below(40) == 0 {
                interlock.end_bypass(&mut state);
            }
            // Each step is as the evaluation at its beginning says.
            let bypassed = interlock.evaluate(&mut state, &lost, now).energised;
            let step = rng.pick(&[1, 1, 1, 1, 50]);
            if bypassed {
                together = if without >= MAX { 1 } else { together + 1 };
                (now, without) = (now + 1, 0);
            } else {
                (now, without) = (now + step, without + step);
                if rng.below(400) == 0 {
                    now -= 3_000;
                }
            }
            assert!(together <= MAX, "bypassed for {together} ms of {MAX}");
        }
    }
    assert!(granted > 100 && refused > 100, "{granted} granted, {refused} refused");
    println!("executed filter interlock bypasses: {cases} cases");
}

#[test]
fn a_second_bypass_takes_what_the_first_left() {
    let interlock = estop().max_bypass_ms(1_000).unwrap();
    let (mut state, lost) = (InterlockState::default(), |_: usize| None);
    interlock.bypass(&mut state, 300, 0).unwrap();
    let refused = interlock.bypass(&mut state, 1_000, 100);
    assert_eq!(refused, Err(InterlockError::BypassSpent { max_ms: 1_000, left_ms: 900 }));
    assert!(interlock.evaluate(&mut state, &lost, 299).energised, "the first one goes on");
    interlock.bypass(&mut state, 700, 299).unwrap();
    interlock.end_bypass(&mut state);
    assert!(!interlock.evaluate(&mut state, &lost, 399).energised, "ended before its time");
    let refused = interlock.bypass(&mut state, 602, 1_398);
    let text = refused.unwrap_err().to_string();
    assert!(text.contains("601 ms are left until the interlock went 1000 ms without one"), "{text}");
    interlock.bypass(&mut state, 1_000, 1_399).unwrap();
    assert!(interlock.evaluate(&mut state, &lost, 2_398).energised);
    assert!(!interlock.evaluate(&mut state, &lost, 2_399).energised);
}

/// No sensor measures infinity: what gives it is broken.
#[test]
fn promise_14_infinities_are_unknown() {
    let above = Condition::Input { input: 0, test: Test::Above(80.0) };
    let below = Condition::Input { input: 0, test: Test::Below(10.0) };
    for test in [above, below, leaf(0), Condition::Not(Box::new(leaf(0)))] {
        for value in [f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
            assert_eq!(test.vote(&|_| Some(value)), Vote::Unknown, "{test:?} {value}");
            let interlock =
                Interlock::new(test.clone()).unwrap().reset_by(Reset::Auto { after_ms: 0 }).unwrap();
            let status = interlock.evaluate(&mut InterlockState::default(), &|_| Some(value), 0);
            assert!(!status.energised && status.degraded, "{test:?} {value}");
        }
    }
}

#[test]
fn trees_that_cannot_be_meant_are_refused() {
    let negated = |times| (0..times).fold(leaf(0), |tree, _| Condition::Not(Box::new(tree)));
    assert!(Interlock::new(negated(15)).is_ok(), "16 levels");
    let deep = negated(16);
    for tree in [
        Condition::All(vec![]),
        Condition::Any(vec![]),
        at_least(0, vec![leaf(0)], Degraded::TripVote),
        at_least(2, vec![leaf(0)], Degraded::Ignore),
        Condition::Not(Box::new(Condition::Any(vec![]))),
        Condition::Input { input: 0, test: Test::Above(f64::NAN) },
        deep,
    ] {
        assert!(Interlock::new(tree.clone()).is_err(), "{tree:?}");
    }
}
