//! Qualities: one bit if all are 0, else runs of the batch's quality codes.

#![deny(clippy::indexing_slicing)]

use crate::compact::stream::ans::Decoder;
use crate::compact::stream::bits::BitReader;
use crate::compact::stream::op_buffer::OpBuffer;

/// Returns the first different codes other than 0, in the order of the runs.
pub(super) fn codes(runs: impl Iterator<Item = (u32, usize)>) -> Vec<u32> {
    let mut codes = Vec::new();
    for (quality, _) in runs.filter(|run| run.0 != 0) {
        if !codes.contains(&quality) {
            codes.push(quality);
        }
        if codes.len() >= CODES_MAX {
            break;
        }
    }
    codes
}

/// Most codes that are listed; a code that is not listed is written in its run.
const CODES_MAX: usize = 14;

/// Writes the list of codes, which is empty if all qualities are 0.
pub(super) fn write_codes(codes: &[u32], ops: &mut OpBuffer) {
    ops.eg(codes.len() as u64, 0);
    codes.iter().for_each(|code| ops.bits((*code).into(), 32));
}

pub(super) fn read_codes(bits: &mut BitReader<'_>) -> Option<Vec<u32>> {
    let count = usize::try_from(bits.eg(0)).ok().filter(|n| *n <= CODES_MAX)?;
    Some((0..count).map(|_| bits.bits(32) as u32).collect())
}

/// Writes one column's qualities: a bit if all are 0, else runs.
pub(super) fn write(runs: impl Iterator<Item = (u32, usize)>, codes: &[u32], ops: &mut OpBuffer) {
    let mut runs = runs.peekable();
    let first = runs.next();
    let good = runs.peek().is_none() && first.is_none_or(|(code, _)| code == 0);
    ops.flag(!good);
    if good {
        return;
    }
    for (code, run) in first.into_iter().chain(runs) {
        ops.eg(run as u64 - 1, 3);
        let listed = codes.iter().position(|c| *c == code).map_or(codes.len() + 1, |at| at + 1);
        ops.bits(if code == 0 { 0 } else { listed as u64 }, 4);
        if code != 0 && listed > codes.len() {
            ops.bits(code.into(), 32);
        }
    }
}

/// Appends `n` qualities to `out`. `None`: the runs do not add up.
pub(super) fn read(decoder: &mut Decoder<'_>, codes: &[u32], n: usize, out: &mut Vec<u32>) -> Option<()> {
    let end = out.len() + n;
    if decoder.bits.bits(1) == 0 {
        out.resize(end, 0);
        return Some(());
    }
    while out.len() < end {
        let run = usize::try_from(decoder.bits.eg(3)).ok()?.checked_add(1)?;
        let code = match (decoder.bits.bits(4) as usize).checked_sub(1) {
            None => 0,
            Some(at) if at < codes.len() => *codes.get(at)?,
            Some(_) => decoder.bits.bits(32) as u32,
        };
        let to = out.len().checked_add(run).filter(|to| *to <= end)?;
        out.resize(to, code);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qualities_come_back() {
        let many: Vec<u32> = (0..40).map(|n| if n % 3 == 0 { 0 } else { 0x8000_0000 + n / 2 }).collect();
        for qualities in [vec![0; 9], vec![0, 0, 7, 7, 0], vec![u32::MAX], many] {
            let runs = || qualities.chunk_by(|a, b| a == b).map(|run| (run[0], run.len()));
            let codes = codes(runs());
            let mut ops = OpBuffer::default();
            write_codes(&codes, &mut ops);
            write(runs(), &codes, &mut ops);
            let bytes = ops.write(<[u8]>::to_vec);
            let mut decoder = Decoder::new(&bytes).unwrap();
            let listed = read_codes(&mut decoder.bits).unwrap();
            let mut out = Vec::new();
            read(&mut decoder, &listed, qualities.len(), &mut out).unwrap();
            assert_eq!(out, qualities);
            assert!(decoder.ended_well());
        }
    }
}
