//! Context of every part: the present, the networks, chance, the ledger; and the heap of what is still to come.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use bytes::Bytes;

use crate::bug::Bug;
use crate::fault::Fault;
use crate::ledger::{FILLING, Ledger};
use crate::net::{Arrival, End, LinkId, Net};
use crate::rng::Rng;

/// Bytes of a payload's filling that are cut into slices, at each of its ends.
const FILLING_CUT: usize = 16;

#[derive(Debug)]
pub(crate) enum Due {
    Arrival(Arrival),
    Wake(Node),
    At(Fault),
    /// The attempt of this number; an older one was given up.
    Dialed(u64),
    PowerOn,
    BridgeStart,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Node {
    Gateway,
    Hub,
    Sensor(u16),
}

#[derive(Debug)]
struct Item {
    at_ms: u64,
    serial: u64,
    due: Due,
}

impl PartialEq for Item {
    fn eq(&self, other: &Self) -> bool {
        self.serial == other.serial
    }
}
impl Eq for Item {}
impl PartialOrd for Item {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Item {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at_ms, self.serial).cmp(&(other.at_ms, other.serial))
    }
}

/// Context of every part.
pub(crate) struct Ctx {
    pub(crate) now_ms: u64,
    pub(crate) net: Net,
    pub(crate) ledger: Ledger,
    pub(crate) rng: Rng,
    pub(crate) bug: Option<Bug>,
    /// The hub was told to break the protocol.
    pub(crate) hostile: bool,
    /// Arrivals are handed on in slices of so many bytes; 0 = as they come.
    pub(crate) slice: usize,
    /// Attempts of the gateway to reach the hub.
    pub(crate) dials: u64,
    heap: BinaryHeap<Reverse<Item>>,
    serial: u64,
}

impl Ctx {
    pub(crate) fn new(mut rng: Rng, bug: Option<Bug>) -> Self {
        Self {
            now_ms: 0,
            net: Net::new(Rng::new(rng.next())),
            ledger: Ledger::default(),
            rng,
            bug,
            hostile: false,
            slice: 0,
            dials: 0,
            heap: BinaryHeap::new(),
            serial: 0,
        }
    }

    /// Returns when the next event is.
    pub(crate) fn next_ms(&self) -> Option<u64> {
        self.heap.peek().map(|Reverse(item)| item.at_ms)
    }

    pub(crate) fn pop(&mut self) -> Option<(u64, Due)> {
        self.heap.pop().map(|Reverse(item)| (item.at_ms, item.due))
    }

    pub(crate) fn at(&mut self, in_ms: u64, due: Due) {
        self.push(self.now_ms + in_ms, due);
    }

    pub(crate) fn send(&mut self, link: LinkId, from: End, bytes: Option<&Bytes>) {
        let mut arrivals = Vec::new();
        self.net.send(self.now_ms, link, from, bytes, &mut arrivals);
        for arrival in arrivals {
            self.push(arrival.at_ms, Due::Arrival(arrival));
        }
    }

    pub(crate) fn slices(&self, bytes: &Bytes) -> Vec<Bytes> {
        if self.slice == 0 {
            return vec![bytes.clone()];
        }
        let (mut slices, mut rest, mut filled) = (Vec::new(), bytes.clone(), 0);
        while !rest.is_empty() {
            let run = rest.iter().take_while(|byte| **byte == FILLING).count();
            // The middle of a payload comes in one piece: each of its bytes alone is the same again.
            let size =
                if filled >= FILLING_CUT && run > FILLING_CUT { run - FILLING_CUT } else { self.slice };
            let slice = rest.split_to(size.min(rest.len()));
            filled = if run >= slice.len() { filled + slice.len() } else { 0 };
            slices.push(slice);
        }
        slices
    }

    pub(crate) fn push(&mut self, at_ms: u64, due: Due) {
        self.serial += 1;
        self.heap.push(Reverse(Item { at_ms, serial: self.serial, due }));
    }
}
