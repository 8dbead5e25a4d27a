#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "a bench measures time and opens files")]
//! `edge-benches queue|bridge|codec|filter|control [--list]`, `edge-benches queue FIGURE...`: figures as ratios to a plain baseline measured in the same run.
//!
//! One JSON object per line: `figure value unit baseline ratio runs profile`. Rates are messages per second; a ratio above 1
//! means faster than the baseline, or, for sizes, larger than it. Profile `release` is this workspace's, with thin LTO;
//! `stock` is Cargo's own, which a program has that depends on the crates and sets nothing.

mod bridge;
mod codec;
mod control;
mod filter;
mod measure;
mod queue;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["queue", "--list"] => print(&queue::list()),
        ["codec", "--list"] => print(&codec::list()),
        ["filter", "--list"] => print(&filter::list()),
        ["filter"] => filter::run(),
        ["bridge", "--list"] => print(&bridge::list()),
        ["queue", figures @ ..] => queue::run(figures),
        [queue::CHILD, what, dir, messages] => queue::child(what, dir, messages),
        ["bridge"] => bridge::run(),
        [bridge::CHILD, hub, spool] => bridge::child(hub, spool),
        ["codec"] => codec::run(None),
        ["codec", "--data", dir] => codec::run(Some(dir)),
        ["control", "--list"] => print(&control::list()),
        ["control"] => control::run(),
        _ => {
            eprintln!(
                "usage: edge-benches queue|bridge|codec|filter|control [--list], queue with the beginnings of figures' names, or codec --data DIR"
            );
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn print(names: &[String]) -> Result<(), String> {
    names.iter().for_each(|name| println!("{name}"));
    Ok(())
}
