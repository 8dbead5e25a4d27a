//! Test series of a sensor that changes what it does, and what an encoder that lives on makes of it.

use crate::compact::stream::op_buffer::OpBuffer;
use crate::compact::values::plan::{Scratch, SharedParts};

const N: usize = 200;
pub(super) const BATCHES: usize = 8;

/// Batches of noise in thousandths, standing still, steps of a half, a ramp, and noise again. Each form holds what comes
/// later.
fn batches() -> Vec<Vec<u64>> {
    let noise = |n: u64| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54) as f64;
    let value = |regime: usize, n: u64| match regime {
        0 | 4 => noise(n) / 1000.0 + 20.0,
        1 => 20.0,
        2 => (noise(n) / 256.0).floor() / 2.0,
        _ => 20.0 + n as f64 / 8.0,
    };
    let batch = |at: usize| (0..N).map(|n| value(at / BATCHES, (at * N + n) as u64).to_bits()).collect();
    (0..5 * BATCHES).map(batch).collect()
}

pub(super) fn size(
    values: &[u64],
    write: impl FnOnce(&[u64], &mut Option<SharedParts>, &mut OpBuffer, &mut Scratch),
) -> usize {
    let (mut ops, mut scratch, mut before) = (OpBuffer::default(), Scratch::default(), None);
    write(values, &mut before, &mut ops, &mut scratch);
    ops.write(<[u8]>::len)
}

/// The first batch that takes over 3 % more than what a `search` for this batch alone gives, and some bytes.
pub(super) fn first_loss(
    mut write: impl FnMut(&[u64]) -> usize,
    mut search: impl FnMut(&[u64]) -> usize,
) -> Option<usize> {
    batches().iter().position(|values| {
        let (kept, found) = (write(values), search(values));
        kept > found + found * 3 / 100 + 4
    })
}
