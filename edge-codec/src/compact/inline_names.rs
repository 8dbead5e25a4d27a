//! Names and units of a self-contained batch: each is stored as the bytes that it shares with the one before, and the rest as letters.

#![deny(clippy::indexing_slicing)]

use crate::compact::stream::ans::Decoder;
use crate::compact::stream::coder::Coder;
use crate::compact::stream::distribution_choice;
use crate::compact::stream::error::StreamError;
use crate::compact::stream::op_buffer::OpBuffer;
use crate::{Limits, Sensor};

/// Exp-Golomb order of the counts of shared and of own bytes.
const LEN_LOW: u32 = 2;

/// Bytes in the order of their frequency in names; all other bytes come behind, by value.
const LETTERS: &[u8; 72] = b"e_tra/iosn1l2cpd0mu3h.g45b6f7-8v9wkyxzjq TSCPAMERDLVIFOBHNGWUKXYQJZ:%#@+";

/// Returns a byte's index in `LETTERS`, or its value behind them.
fn rank(byte: u8) -> u64 {
    let listed = LETTERS.iter().position(|b| *b == byte);
    listed.unwrap_or(LETTERS.len() + usize::from(byte)) as u64
}

fn letter(rank: u64) -> Option<u8> {
    let rank = usize::try_from(rank).ok()?;
    LETTERS.get(rank).copied().or_else(|| u8::try_from(rank.checked_sub(LETTERS.len())?).ok())
}

/// Writes all names, then all units, each as bytes shared with the one before and bytes of its own.
pub(super) fn write(sensors: &[Sensor<'_>], ops: &mut OpBuffer) {
    let names = sensors.iter().map(|s| s.name.as_bytes());
    let units = sensors.iter().map(|s| s.unit.as_bytes());
    let mut before: &[u8] = b"";
    let mut ranks = Vec::new();
    for text in names.chain(units) {
        let shared = before.iter().zip(text).take_while(|(a, b)| a == b).count();
        let own = text.get(shared..).unwrap_or_default();
        ops.eg(shared as u64, LEN_LOW);
        ops.eg(own.len() as u64, LEN_LOW);
        ranks.extend(own.iter().map(|b| rank(*b)));
        before = text;
    }
    let (coder, _) = distribution_choice::coder(&ranks);
    ops.coder(&coder);
    ops.numbers(&coder, &ranks);
}

/// Reads the names and units of `sensors` sensors. `bytes_max`: limit of all their bytes together.
pub(super) fn read(
    sensors: usize,
    decoder: &mut Decoder<'_>,
    limits: &Limits,
    bytes_max: usize,
) -> Result<Vec<(String, String)>, StreamError> {
    let mut lens: Vec<(usize, usize)> = Vec::new();
    let (mut len_before, mut sum) = (0, 0_usize);
    for _ in 0..sensors.saturating_mul(2) {
        let mut len = || usize::try_from(decoder.bits.eg(LEN_LOW)).unwrap_or(usize::MAX);
        let (shared, own) = (len(), len());
        let whole = shared.saturating_add(own);
        sum = sum.saturating_add(whole);
        if shared > len_before {
            return Err(StreamError::What("a name shares more than there is"));
        }
        if whole > limits.text_bytes {
            return Err(StreamError::Limit("text bytes", limits.text_bytes, whole as u64));
        }
        if sum > bytes_max {
            return Err(StreamError::Limit("decompressed bytes", bytes_max, sum as u64));
        }
        if decoder.bits.overrun() {
            return Err(StreamError::End);
        }
        lens.push((shared, own));
        len_before = whole;
    }
    let coder = Coder::read(&mut decoder.bits).ok_or(StreamError::What("names without a coder"))?;
    let mut texts: Vec<String> = Vec::with_capacity(lens.len());
    let mut bytes = Vec::new();
    for (shared, own) in lens {
        bytes.truncate(shared);
        for _ in 0..own {
            bytes.push(
                letter(decoder.number(&coder.dist, coder.low))
                    .ok_or(StreamError::What("a letter is none"))?,
            );
        }
        texts.push(
            std::str::from_utf8(&bytes).map_err(|_| StreamError::What("a name is not UTF-8"))?.to_owned(),
        );
    }
    let units = texts.split_off(sensors.min(texts.len()));
    Ok(texts.into_iter().zip(units).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sensor(name: &str, unit: &str) -> Sensor<'static> {
        Sensor { id: 0, name: name.to_owned().into(), unit: unit.to_owned().into() }
    }

    #[test]
    fn every_byte_has_a_rank_of_its_own() {
        assert!((0..=255).all(|b| letter(rank(b)) == Some(b)));
        assert_eq!(letter(LETTERS.len() as u64 + 256), None);
    }

    #[test]
    fn names_come_back_without_what_they_share() {
        let sensors =
            [sensor("line2/temp", "Cel"), sensor("line2/tension", "Cel"), sensor("", "°F"), sensor("é", "è")];
        let mut ops = OpBuffer::default();
        write(&sensors, &mut ops);
        let bytes = ops.write(<[u8]>::to_vec);
        assert!(bytes.len() < 40, "{}", bytes.len());
        let read =
            |sensors, most| read(sensors, &mut Decoder::new(&bytes).unwrap(), &Limits::default(), most);
        let expected: Vec<_> = sensors.iter().map(|s| (s.name.to_string(), s.unit.to_string())).collect();
        assert!(matches!(read(4, 100), Ok(read) if read == expected));
        assert!(matches!(read(4, 30), Err(StreamError::Limit("decompressed bytes", 30, _))));
    }
}
