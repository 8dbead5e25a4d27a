//! Promise 12: no configuration, no reading and no clock makes the filter panic, lose count, or call a NaN good.
#![cfg(feature = "config")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

#[path = "support/any_input.rs"]
mod any_input;
mod support;

use any_input::{Bug, SEED, configuration, drive, snapshot, whole_snapshot};
use edge_filter::Pipeline;
use support::{Rng, budget};

#[test]
fn the_check_finds_planted_bugs() {
    let mut rng = Rng::from_env();
    for bug in Bug::ALL {
        let mut find = |off| drive(&mut Pipeline::from_toml(SEED).unwrap(), &mut rng, 2_000, Some(bug), off);
        assert_eq!(find(None).map_err(|(rule, _)| rule), Err(bug.rule()), "{bug:?}");
        assert_eq!(find(Some(bug.rule())), Ok(()), "{bug:?} without its rule");
    }
}

#[test]
fn promise_12_no_reading_and_no_clock_breaks_the_accounting() {
    let (mut rng, cases) = (Rng::from_env(), budget(2_000));
    for _ in 0..cases {
        drive(&mut Pipeline::from_toml(SEED).unwrap(), &mut rng, 500, None, None).unwrap();
    }
    println!("executed filter input fuzz: {cases} cases of 500 readings");
}

fn mutate(rng: &mut Rng, text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..=rng.below(4) {
        let at = rng.below(bytes.len() as u64 + 1) as usize;
        match rng.below(5) {
            0 => drop(bytes.drain(at..(at + rng.below(20) as usize).min(bytes.len()))),
            1 => bytes.insert(at, rng.next() as u8),
            2 => bytes
                .splice(
                    at..at,
                    rng.pick(&["0", "-", "nan", "inf", "9", "[", "}", "\"", "#", "+", "/"]).bytes(),
                )
                .for_each(drop),
            3 => bytes.truncate(at.max(1)),
            _ => {
                let digits: Vec<usize> = (0..bytes.len()).filter(|&i| bytes[i].is_ascii_digit()).collect();
                if !digits.is_empty() {
                    let at = rng.pick(&digits);
                    bytes[at] = b'0' + rng.below(10) as u8;
                }
            }
        }
        if bytes.is_empty() {
            bytes.push(b'a');
        }
    }
    bytes
}

#[test]
fn promise_12_no_configuration_panics_and_what_is_accepted_works() {
    let (mut rng, cases) = (Rng::from_env(), budget(1_000_000));
    let (mut accepted, mut refused) = (0_u64, 0_u64);
    for _ in 0..cases {
        let bytes = mutate(&mut rng, SEED);
        let is_accepted = configuration(&bytes, &mut rng);
        accepted += u64::from(is_accepted);
        refused += u64::from(!is_accepted);
    }
    assert!(accepted > 0 && refused > 0, "{accepted} {refused}");
    println!("executed filter configuration fuzz: {cases} cases ({accepted} accepted, {refused} refused)");
}

#[test]
fn promise_12_no_damaged_snapshot_panics_or_freezes_a_sensor() {
    let (mut rng, cases) = (Rng::from_env(), budget(20_000));
    let mut restored = 0_u64;
    let whole = whole_snapshot(&mut rng);
    for _ in 0..cases {
        let mut bytes = whole.clone();
        for _ in 0..=rng.below(3) {
            let at = rng.below(bytes.len() as u64) as usize;
            bytes[at] = rng.next() as u8;
        }
        restored += u64::from(snapshot(&bytes, &mut rng));
    }
    assert!(restored > 0);
    println!("executed filter snapshot fuzz: {cases} cases ({restored} restored)");
}
