//! Entropy writer: makes the stream of numbers and raw bits, from its last bit to its first, by the coders' states.

#![deny(clippy::indexing_slicing)]

use super::ans::{STATE_BITS, STATES, Steps, TURNS};
use super::bits::{Front, PUT_MAX, RAW_LOW, ReverseWriter, bit_len, eg_prefix};
use super::coder::Coder;
use super::token::{ESCAPE, split};

/// Stream that is being written, back to front: what is read last is written first.
pub(super) struct EntropyWriter {
    out: ReverseWriter,
    /// States of the coder. They all start equal, and in a stream written from its end the turn follows from the count of numbers behind.
    states: States,
    turns: bool,
}

impl EntropyWriter {
    /// Starts the end of a stream in this buffer. `turns`: four states take turns there.
    pub(super) fn new(buffer: Vec<u8>, turns: bool) -> Self {
        EntropyWriter { out: ReverseWriter::new(buffer), states: [STATES as u32; TURNS], turns }
    }

    #[inline]
    pub(super) fn bits(&mut self, value: u64, n: u32) {
        self.out.put(value, n);
    }

    /// Writes a run of numbers, from its last to its first.
    #[inline]
    pub(super) fn run(&mut self, coder: &Coder, run: &[u64]) {
        self.states = put_run(coder, run, &mut self.out, self.states, self.turns);
    }

    /// Writes the states that take turns behind this point; in front of it there is one state.
    pub(super) fn start_turns(&mut self) {
        let [_, others @ ..] = self.states;
        others.into_iter().rev().for_each(|state| self.out.put(start(state), STATE_BITS));
        self.turns = false;
    }

    /// Writes the state and the marker, passes the stream to `take`, and returns the buffer for reuse.
    pub(super) fn finish<T>(mut self, take: impl FnOnce(&[u8]) -> T) -> (T, Vec<u8>) {
        let [state, ..] = self.states;
        self.out.put(start(state), STATE_BITS);
        self.out.finish(take)
    }
}

fn start(state: u32) -> u64 {
    u64::from(state) - STATES as u64
}

/// Numbers between two checks for room, and the most bytes of a number: state, length, bits.
const CHUNK: usize = 512;
const NUMBER_MAX: usize = 12;

/// State in front of each number to be written, in the order of their turns.
type States = [u32; TURNS];

/// Writes a run from its last number to its first.
fn put_run(coder: &Coder, run: &[u64], out: &mut ReverseWriter, mut states: States, turns: bool) -> States {
    for chunk in run.rchunks(CHUNK) {
        let (front, buffer) = out.open(chunk.len() * NUMBER_MAX);
        let (front, next) = if coder.is_plain() {
            put_chunk(coder, chunk, buffer, (front, states), turns, split)
        } else {
            put_chunk(coder, chunk, buffer, (front, states), turns, |number| coder.split(number))
        };
        out.close(front);
        states = next;
    }
    states
}

/// Writes a chunk of a run. The next numbers are split while a state waits for its table.
#[inline(always)]
fn put_chunk(
    coder: &Coder,
    chunk: &[u64],
    buffer: &mut [u8],
    (mut front, [mut a, mut b, mut c, mut d]): (Front, States),
    turns: bool,
    split: impl Fn(u64) -> (u8, u64, u32),
) -> (Front, States) {
    let steps = coder.dist.steps();
    let code = |number: &u64, state| Code::of(steps, *number, split(*number), state);
    let (rest, fours) = if turns { chunk.as_rchunks() } else { (chunk, &[][..]) };
    for [w, x, y, z] in fours.iter().rev() {
        let (last, third) = (code(z, d), code(y, c));
        put_two(last, third, buffer, &mut front);
        let (second, first) = (code(x, b), code(w, a));
        put_two(second, first, buffer, &mut front);
        (a, b, c, d) = (first.next, second.next, third.next, last.next);
    }
    for number in rest.iter().rev() {
        if turns {
            (a, b, c, d) = (d, a, b, c);
        }
        let code = code(number, a);
        put_one(code, buffer, &mut front);
        a = code.next;
    }
    (front, [a, b, c, d])
}

/// Code of a number: its raw bits, the state's bits in front of them, and the next state.
#[derive(Clone, Copy)]
struct Code {
    number: u64,
    value: u64,
    bits: u32,
    low: u32,
    n: u32,
    next: u32,
}

/// Marker in `bits` of a number without a token, larger than any count of bits.
const ESCAPED: u32 = 1 << 16;

impl Code {
    /// Returns the code of a number that was split into token, raw bits, and count of these.
    #[inline(always)]
    fn of(steps: Steps<'_>, number: u64, (token, value, bits): (u8, u64, u32), state: u32) -> Self {
        match steps.take(state, token) {
            Some((low, n, next)) => Self { number, value, bits, low, n, next },
            None => Self::escaped(steps, number, state),
        }
    }

    #[cold]
    fn escaped(steps: Steps<'_>, number: u64, state: u32) -> Self {
        // Every distribution has the escape.
        let (low, n, next) = steps.take(state, ESCAPE).unwrap_or((0, 0, state));
        Self { number, value: 0, bits: ESCAPED, low, n, next }
    }

    /// Returns all bits of the code in one word, if they can be put at once.
    #[inline(always)]
    fn word(&self) -> u64 {
        self.value | u64::from(self.low) << (self.bits & 63)
    }
}

/// Puts two codes with one update of the front, for which every number waits.
#[inline(always)]
fn put_two(last: Code, first: Code, buffer: &mut [u8], front: &mut Front) {
    let n = last.bits + last.n;
    let all = n + first.bits + first.n;
    if all <= PUT_MAX {
        front.put(buffer, last.word() | first.word() << n, all);
    } else {
        put_one(last, buffer, front);
        put_one(first, buffer, front);
    }
}

#[inline(always)]
fn put_one(code: Code, buffer: &mut [u8], front: &mut Front) {
    let n = code.bits + code.n;
    if n <= PUT_MAX {
        front.put(buffer, code.word(), n);
    } else {
        put_long(code, buffer, front);
    }
}

/// Puts a code of many bits, or one of a number that has no token in the distribution.
#[cold]
fn put_long(code: Code, buffer: &mut [u8], front: &mut Front) {
    if code.bits == ESCAPED {
        let n = bit_len(code.number);
        front.put_wide(buffer, code.number, n);
        let (high, len) = eg_prefix(n.into(), RAW_LOW);
        front.put(buffer, u64::from(n) & ((1 << RAW_LOW) - 1), RAW_LOW);
        front.put(buffer, high, 2 * len + 1);
    } else {
        front.put_wide(buffer, code.value, code.bits);
    }
    front.put(buffer, code.low.into(), code.n);
}
