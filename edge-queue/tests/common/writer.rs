//! The process that is killed or whose disk goes: it commits for ever and prints what it was told is safe. Its parent
//! keeps the account.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use edge_queue::medium::Dir;
use edge_queue::store::{Change, DoneRows, ReadLimit};
use edge_queue::testing::{Rng, row_at};
use edge_queue::{Lane, Seq};

use crate::stores::OpenStore;

const LANE: Lane = Lane(1);
/// Rows kept; older ones are given up.
const BACKLOG: u64 = 400;

/// Commits until the store fails or `commits` are done. Prints `floor N` before the floor may move there, and
/// `ack FIRST LAST EPOCH` after the commit said `Ok`.
pub(crate) fn write(open: OpenStore, dir: Box<dyn Dir>, commits: u64, out: &mut dyn Write) {
    let Ok((mut store, found)) = open(dir) else { return };
    let mut state = found.state;
    let mut rng = Rng::new(u64::from(state.epoch));
    let mut figures = state.lane[1];
    figures.next = figures.next.max(found.highest_seq[1] + 1);
    for _ in 0..commits {
        let (first, last) = (figures.next, figures.next + rng.between(0, 60));
        let floor = last.saturating_sub(BACKLOG).max(figures.floor);
        (figures.next, figures.floor) = (last + 1, floor);
        let change = Change::Lane { lane: LANE, state: figures };
        state.apply(&change);
        writeln!(out, "floor {floor}").unwrap();
        let rows: Vec<_> = (first..=last).map(|seq| row_at(LANE, seq, state.epoch)).collect();
        if store.append(&rows).and_then(|()| store.commit(&[change], &state)).is_err() {
            return;
        }
        writeln!(out, "ack {first} {last} {}", state.epoch).unwrap();
        if store.advance(LANE, &DoneRows::below(floor)).is_err() {
            return;
        }
    }
}

/// Account of the writer's words, over all its lives.
#[derive(Default)]
pub(crate) struct Account {
    floor: Seq,
    epochs: BTreeMap<Seq, u32>,
}

impl Account {
    /// Takes what one writer printed until `acks` lines of acks were seen (the rest too, if the pipe ended).
    pub(crate) fn listen(&mut self, lines: &mut dyn Iterator<Item = String>, acks: usize) -> usize {
        let mut seen = 0;
        while seen < acks {
            let Some(line) = lines.next() else { break };
            let words: Vec<&str> = line.split(' ').collect();
            match words.as_slice() {
                ["floor", floor] => self.floor = floor.parse().unwrap(),
                ["ack", first, last, epoch] => {
                    let (first, last): (Seq, Seq) = (first.parse().unwrap(), last.parse().unwrap());
                    self.epochs.extend((first..=last).map(|seq| (seq, epoch.parse::<u32>().unwrap())));
                    seen += 1;
                }
                _ => {}
            }
        }
        self.epochs = self.epochs.split_off(&self.floor);
        seen
    }

    /// Rows that were receipted and are not there, or with other bytes.
    pub(crate) fn lost(&self, open: OpenStore, dir: Box<dyn Dir>) -> Vec<Seq> {
        let (mut store, _) = open(dir).expect("a store opens whatever happened");
        let mut found = BTreeMap::new();
        let mut from = Some(self.floor);
        while let Some(at) = from {
            let chunk = store.read(LANE, at, ReadLimit { rows: 500, bytes: 1 << 20 }).unwrap();
            found.extend(chunk.rows.into_iter().map(|row| (row.seq, row)));
            from = chunk.next;
        }
        let kept = |seq: Seq, epoch: u32| found.get(&seq) == Some(&row_at(LANE, seq, epoch));
        self.epochs.iter().filter(|&(&seq, &epoch)| !kept(seq, epoch)).map(|(&seq, _)| seq).collect()
    }
}

/// Starts this test binary again as the writer: `test` is the test that plays it when the variables are set.
pub(crate) fn spawn(test: &str, variables: &[(&str, &str)]) -> (Child, impl Iterator<Item = String> + use<>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--include-ignored"])
        .envs(variables.iter().copied())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    (child, out.lines().map_while(Result::ok))
}
