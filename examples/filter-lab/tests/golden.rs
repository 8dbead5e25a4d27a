#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
//! Promise 13: filters do what they state. Results of other people's programs, replayed; what made them is in
//! `data/README.md`.

mod support;

use support::{cases, data, differences, replay};

#[test]
fn every_case_equals_the_other_programs_result() {
    let (mut failed, mut executed) = (Vec::new(), 0);
    for (name, case) in cases() {
        let input = data().join(case["input"].as_str().unwrap());
        let found = replay(&data().join(format!("{name}.json")), &input);
        let expected = std::fs::read_to_string(data().join(format!("{name}.golden.csv"))).unwrap();
        let differences = differences(&case, &expected, &found);
        executed += 1;
        if !differences.is_empty() {
            failed.push(format!("{name}: {} differences, first {}", differences.len(), differences[0]));
        }
    }
    println!("executed filter_lab_golden: {executed} cases");
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(executed >= 54, "only {executed} cases found");
}
