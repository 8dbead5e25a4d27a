//! `queue.*`: what a durable push costs, beside a plain loop that writes the same bytes to a file that was already
//! written once and syncs it, and beside other stores that a Rust program would embed.
//!
//! Names after `queue` choose figures by the start of their name; the long ones run only so.

mod bytes;
mod drain;
mod incoming;
mod latency;
mod mount;
mod open;
mod peer;
mod peers;
mod push;

pub(crate) use open::{CHILD, child};

/// Figures that are measured together.
struct Group {
    names: Vec<String>,
    run: fn() -> Result<(), String>,
    /// Minutes and gigabytes: only by name.
    long: bool,
}

fn groups() -> Vec<Group> {
    let group = |names, run| Group { names, run, long: false };
    let long = |names, run| Group { names, run, long: true };
    vec![
        group(push::names(), push::run),
        group(latency::names(), latency::run),
        group(drain::names(), drain::run),
        group(bytes::store_names(), bytes::store),
        group(bytes::device_names(), bytes::device),
        group(open::names(&open::USUAL), open::usual),
        long(open::names(&open::MILLION), open::million),
        long(open::names(&open::TEN_MILLION), open::ten_million),
    ]
}

pub(crate) fn list() -> Vec<String> {
    groups().into_iter().flat_map(|group| group.names).collect()
}

/// Runs the groups with a figure whose name starts with one of `wanted`, or all but the long ones.
pub(crate) fn run(wanted: &[&str]) -> Result<(), String> {
    let mut any = false;
    for group in groups() {
        let named = |prefix: &&str| group.names.iter().any(|name| name.starts_with(*prefix));
        if if wanted.is_empty() { !group.long } else { wanted.iter().any(named) } {
            any = true;
            (group.run)()?;
        }
    }
    if any { Ok(()) } else { Err(format!("no figure starts with {}", wanted.join(" or "))) }
}

/// A directory of this run's own, on the disk the bench is started on.
fn scratch() -> Result<tempfile::TempDir, String> {
    tempfile::Builder::new().prefix("edge-bench").tempdir_in(".").map_err(text)
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
