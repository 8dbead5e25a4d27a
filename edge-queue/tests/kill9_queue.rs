//! kill -9 of a process that uses the queue as an application does, again and again on the same directory (promises 1, 3
//! and 4): what was receipted and not acknowledged is there with its bytes and its identity, the ledger adds up, no number
//! is given twice. Process crashes only: the page cache survives them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![allow(clippy::disallowed_methods, reason = "a clock of its own and a writer thread are what is tested")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use edge_queue::testing::{Rng, budget_percent, seed};
use edge_queue::{
    Config, Event, Lane, LaneConfig, Lease, OnFull, Pending, Queue, Receipt, Row, RowId, StoreKind, Wait,
};

const DIR: &str = "EDGE_QUEUE_KILL9_QUEUE_DIR";
const STORE: &str = "EDGE_QUEUE_KILL9_QUEUE_STORE";
const FIRST: &str = "EDGE_QUEUE_KILL9_QUEUE_FIRST";
const ROUNDS_FULL: u64 = 60;

fn config(store: &str) -> Config {
    Config::default()
        .store(if store == "ring" { StoreKind::Ring } else { StoreKind::Redb })
        .max_bytes(1024 * 1024)
        .lane(Lane::ALARM, LaneConfig::default().max_bytes(1024 * 1024))
        .row_bytes_max(8 * 1024)
        .segment_bytes(256 * 1024)
        .ack_within(Duration::from_millis(5))
        .on_full(OnFull::Reject)
}

fn payload(n: u64) -> Vec<u8> {
    let mut rng = Rng::new(n);
    let len = usize::try_from(rng.between(1, 400)).unwrap();
    [&n.to_le_bytes()[..], &rng.bytes(len)].concat()
}

fn number(payload: &[u8]) -> u64 {
    u64::from_le_bytes(payload[..8].try_into().unwrap())
}

/// The process that is killed. Prints `acking N` before a row is acknowledged (it may then be gone), `stored N` once its
/// receipt says so, `id N LANE EPOCH SEQ` when a stored row is leased.
fn live(dir: &Path, store: &str, first: u64, rows: u64, out: &mut dyn Write) {
    let q = Queue::open(dir, config(store)).unwrap();
    let mut hub = q.consumer("hub").unwrap();
    let mut rng = Rng::new(first);
    let mut pending: Vec<(u64, Pending)> = Vec::new();
    let mut next = first;
    while next < first + rows {
        for _ in 0..rng.between(1, 30) {
            let lane = if rng.one_in(5) { Lane::ALARM } else { Lane::TELEMETRY };
            if let Ok(receipt) = q.push(Row::new(payload(next)).lane(lane)) {
                pending.push((next, receipt));
                next += 1;
            }
        }
        // The oldest is waited for: the writer thread commits.
        if let Some((_, receipt)) = pending.first().filter(|_| rng.one_in(2)) {
            receipt.wait().unwrap();
        }
        pending.retain(|(n, receipt)| match receipt.try_get().unwrap() {
            Some(Receipt::Stored) => {
                writeln!(out, "stored {n}").unwrap();
                false
            }
            got => got.is_none(),
        });
        let most = usize::try_from(rng.between(1, 40)).unwrap();
        let leases: Vec<Lease> = hub.lease(most, Wait::None).unwrap().into_iter().collect();
        for lease in leases {
            let (n, id) = (number(lease.payload()), lease.id());
            if lease.stored() {
                writeln!(out, "id {n} {} {} {}", id.lane.0, id.epoch, id.seq).unwrap();
            }
            if rng.one_in(3) {
                writeln!(out, "acking {n}").unwrap();
                out.flush().unwrap();
                lease.ack();
            }
        }
        out.flush().unwrap();
    }
}

/// Account of the process's words, over all its lives.
#[derive(Default)]
struct Account {
    stored: BTreeMap<u64, bool>,
    ids: BTreeMap<u64, (u8, u32, u64)>,
    /// Row of each number of a lane: never a second one, whatever the epoch.
    given: BTreeMap<(u8, u64), u64>,
    highest: u64,
}

impl Account {
    /// Takes lines until `most` rows were said to be stored.
    fn listen(&mut self, lines: &mut dyn Iterator<Item = String>, most: usize) -> usize {
        let mut seen = 0;
        while seen < most {
            let Some(line) = lines.next() else { break };
            let words: Vec<&str> = line.split(' ').collect();
            match words.as_slice() {
                ["stored", n] => {
                    self.stored.entry(n.parse().unwrap()).or_insert(false);
                    self.highest = self.highest.max(n.parse().unwrap());
                    seen += 1;
                }
                ["acking", n] => drop(self.stored.insert(n.parse().unwrap(), true)),
                ["id", n, lane, epoch, seq] => {
                    let id = (lane.parse().unwrap(), epoch.parse().unwrap(), seq.parse().unwrap());
                    self.note_id(n.parse().unwrap(), id);
                }
                _ => {}
            }
        }
        seen
    }

    fn note_id(&mut self, n: u64, id: (u8, u32, u64)) {
        let before = self.ids.insert(n, id);
        assert!(before.is_none_or(|known| known == id), "row {n} was {before:?} and is {id:?}");
        let other = self.given.insert((id.0, id.2), n);
        assert!(other.is_none_or(|known| known == n), "{id:?} was given to {other:?} and to {n}");
    }

    /// Opens what the kill left, compares, acknowledges a part and closes or drops.
    fn judge(&mut self, dir: &Path, store: &str, rng: &mut Rng) {
        let q = Queue::open(dir, config(store)).unwrap();
        let mut hub = q.consumer("hub").unwrap();
        let mut found = BTreeMap::new();
        let mut leases: Vec<Lease> = Vec::new();
        loop {
            let chunk = hub.lease(500, Wait::None).unwrap();
            if chunk.is_empty() {
                break;
            }
            for lease in chunk {
                let n = number(lease.payload());
                assert_eq!(lease.payload()[..], payload(n)[..], "row {n} has other bytes");
                let RowId { lane, epoch, seq, .. } = lease.id();
                self.note_id(n, (lane.0, epoch, seq));
                self.highest = self.highest.max(n);
                assert!(found.insert(n, ()).is_none(), "row {n} twice");
                leases.push(lease);
            }
        }
        let lost: Vec<u64> = self
            .stored
            .iter()
            .filter(|(n, acked)| !**acked && !found.contains_key(n))
            .map(|(n, _)| *n)
            .collect();
        assert!(lost.is_empty(), "receipted and lost: {lost:?}");
        for ledger in q.ledger() {
            assert!(ledger.balanced() && ledger.dropped.total() == 0, "{ledger:?}");
        }
        let told = q.events();
        assert!(told.iter().all(|event| matches!(event, Event::TailUncertain)), "{told:?}");
        for lease in leases {
            // Mostly done, so that the lanes never fill; the rest is there in the next round too.
            let n = number(lease.payload());
            self.stored.insert(n, !rng.one_in(6));
            if self.stored[&n] {
                lease.ack();
            }
        }
        if rng.one_in(2) {
            drop(hub);
            q.close().unwrap();
        }
    }
}

fn spawn(dir: &Path, store: &str, first: u64) -> (Child, impl Iterator<Item = String> + use<>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_application_alone_loses_nothing", "--nocapture"])
        .env(DIR, dir)
        .env(STORE, store)
        .env(FIRST, first.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    (child, out.lines().map_while(Result::ok))
}

#[test]
fn an_application_killed_at_any_moment_finds_everything_it_was_promised() {
    for store in ["ring", "redb"] {
        let dir = tempfile::tempdir().unwrap();
        let (mut account, mut rng) = (Account::default(), Rng::new(seed()));
        let rounds = (ROUNDS_FULL * budget_percent()).div_ceil(100).max(5);
        for round in 0..rounds {
            let (mut child, mut lines) = spawn(dir.path(), store, account.highest + 10_000);
            let most = usize::try_from(rng.between(1, 300)).unwrap();
            let seen = account.listen(&mut lines, most);
            child.kill().unwrap();
            account.listen(&mut lines, usize::MAX);
            let status = child.wait().unwrap();
            assert_eq!(seen, most, "{store}, round {round}: it ended by itself: {status}");
            account.judge(dir.path(), store, &mut rng);
        }
        println!("executed kill9_queue.{store}: {rounds} cases");
    }
}

/// A service that is started again finds its killed self still going: it waits for that instead of saying `Busy`.
#[test]
fn a_queue_whose_process_is_being_killed_opens_as_soon_as_it_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..5 {
        let (mut child, mut lines) = spawn(dir.path(), "ring", 1 + round * 100_000);
        assert!(Account::default().listen(&mut lines, 1) > 0, "round {round}: it ended by itself");
        child.kill().unwrap();
        Queue::open(dir.path(), config("ring")).unwrap().close().unwrap();
        child.wait().unwrap();
    }
}

/// The application when the variables say so; alone it runs for a while and nothing may be missing.
#[test]
fn the_application_alone_loses_nothing() {
    if let (Ok(dir), Ok(store), Ok(first)) = (std::env::var(DIR), std::env::var(STORE), std::env::var(FIRST))
    {
        println!();
        live(Path::new(&dir), &store, first.parse().unwrap(), u64::MAX / 2, &mut std::io::stdout());
        return;
    }
    for store in ["ring", "redb"] {
        let dir = tempfile::tempdir().unwrap();
        let mut printed = Vec::new();
        live(dir.path(), store, 1, 1_000, &mut printed);
        let mut account = Account::default();
        let text = String::from_utf8(printed).unwrap();
        assert!(account.listen(&mut text.lines().map(str::to_owned), usize::MAX) > 500, "{store}");
        account.judge(dir.path(), store, &mut Rng::new(1));
    }
}

/// Negative control: a receipt that nothing stands behind is noticed.
#[test]
#[should_panic(expected = "receipted and lost: [777777]")]
fn a_receipt_for_a_row_that_is_not_there_is_caught() {
    let dir = tempfile::tempdir().unwrap();
    let mut account = Account::default();
    account.stored.insert(777_777, false);
    account.judge(dir.path(), "ring", &mut Rng::new(1));
}
