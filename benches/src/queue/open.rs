//! `queue.open_ms.*` and `queue.rss_kib.*`: how long an open takes, and the most memory a process had resident, with so many
//! messages queued. Each in processes of its own: one fills and is killed with signal 9, one opens what that left.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use edge_queue::{Config, Queue, Row, Wait};

use super::incoming::{Incoming, MESSAGE_BYTES};
use super::{scratch, text};
use crate::measure::Figure;

/// First argument of a process that fills (`fill`) or opens (`open`) a queue of this bench.
pub(crate) const CHILD: &str = "queue-child";
const RUNS: usize = 5;
/// Messages of 200 bytes count with 32 bytes more each.
const ROW_BYTES: u64 = MESSAGE_BYTES as u64 + 32;

/// Number of messages, and its name in the figures.
type Size = (u64, &'static str);
pub(super) const USUAL: [Size; 2] = [(1_000, "1k"), (300_000, "300k")];
pub(super) const MILLION: [Size; 1] = [(1_000_000, "1m")];
pub(super) const TEN_MILLION: [Size; 1] = [(10_000_000, "10m")];

pub(super) fn names(sizes: &[Size]) -> Vec<String> {
    let names =
        |(_, size): &Size| [format!("queue.open_ms.ring.{size}"), format!("queue.rss_kib.ring.{size}")];
    sizes.iter().flat_map(names).collect()
}

pub(super) fn usual() -> Result<(), String> {
    USUAL.into_iter().try_for_each(measure)
}

pub(super) fn million() -> Result<(), String> {
    MILLION.into_iter().try_for_each(measure)
}

pub(super) fn ten_million() -> Result<(), String> {
    TEN_MILLION.into_iter().try_for_each(measure)
}

fn measure((messages, name): Size) -> Result<(), String> {
    let dir = scratch()?;
    let filled = run("fill", dir.path(), messages)?;
    let mut opened = Vec::new();
    for _ in 0..RUNS {
        // From the disk, as after a restart of the machine.
        let file = File::open(dir.path().join("queue.ring")).map_err(text)?;
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).map_err(text)?;
        opened.push(run("open", dir.path(), messages)?);
    }
    opened.sort_by(|a, b| a.open_ms.total_cmp(&b.open_ms));
    let Some(middle) = opened.get(opened.len() / 2) else { return Ok(()) };
    let figure = |figure: String, value, unit, baseline: &str, base: Option<f64>, runs| {
        let ratio = base.map(|base| value / base);
        Figure { figure, value, unit, baseline: baseline.to_owned(), ratio, runs }.print();
    };
    figure(format!("queue.open_ms.ring.{name}"), middle.open_ms, "ms", "", None, RUNS);
    let most = opened.iter().chain([&filled]).map(|seen| seen.rss_kib).fold(0.0, f64::max);
    let baseline = "the process before it opened the queue";
    figure(format!("queue.rss_kib.ring.{name}"), most, "KiB", baseline, Some(filled.bare_kib), 1);
    Ok(())
}

/// A process's report of itself.
struct Seen {
    open_ms: f64,
    bare_kib: f64,
    rss_kib: f64,
}

/// Runs a process up to its report, then kills it.
fn run(what: &str, dir: &Path, messages: u64) -> Result<Seen, String> {
    let program = std::env::current_exe().map_err(text)?;
    let mut command = Command::new(program);
    command.args([CHILD, what]).arg(dir).arg(messages.to_string());
    let mut child = Killed(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(text)?);
    let mut line = String::new();
    let out = child.0.stdout.take().ok_or("no pipe")?;
    BufReader::new(out).read_line(&mut line).map_err(text)?;
    let numbers: Vec<f64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    match numbers.as_slice() {
        [open_ms, bare_kib, rss_kib, found] if *found >= messages as f64 => {
            Ok(Seen { open_ms: *open_ms, bare_kib: *bare_kib, rss_kib: *rss_kib })
        }
        _ => Err(format!("{what} of {messages} messages reported {line:?}")),
    }
}

/// Signal 9 when it goes.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _killed = self.0.kill();
        let _ended = self.0.wait();
    }
}

/// The process. Prints: milliseconds of the open, resident KiB before it, the most ever, messages in the queue; then waits to
/// be killed.
pub(crate) fn child(what: &str, dir: &str, messages: &str) -> Result<(), String> {
    let messages: u64 = messages.parse().map_err(text)?;
    let bare = peak_rss_kib()?;
    let start = Instant::now();
    let config =
        Config::default().max_messages(messages * 2).max_bytes(messages.max(100_000) * ROW_BYTES * 9 / 8);
    let queue = Queue::open(dir, config).map_err(text)?;
    let open_ms = start.elapsed().as_secs_f64() * 1e3;
    let mut consumer = queue.consumer("hub").map_err(text)?;
    if what == "fill" {
        let mut incoming = Incoming::of(64);
        let mut left = messages + 1_000;
        while left > 0 {
            let batch = left.min(1_000);
            let rows = (0..batch).map(|_| Row::new(incoming.next()));
            let _receipts = queue.push_batch(rows).map_err(text)?;
            queue.commit().map_err(text)?;
            left -= batch;
        }
        // A kill in the middle of things: acknowledged, some of it not yet durably so.
        consumer.lease(1_000, Wait::None).map_err(text)?.ack();
        queue.commit().map_err(text)?;
    }
    let _in_flight = consumer.lease(100, Wait::None).map_err(text)?;
    let found = queue.stats().messages;
    println!("{open_ms} {bare} {} {found}", peak_rss_kib()?);
    std::io::stdout().flush().map_err(text)?;
    std::io::stdin().read_to_end(&mut Vec::new()).map(drop).map_err(text)
}

fn peak_rss_kib() -> Result<u64, String> {
    let status = std::fs::read_to_string("/proc/self/status").map_err(text)?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    kib.ok_or_else(|| "no VmHWM in /proc/self/status".to_owned())
}
