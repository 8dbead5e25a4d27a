//! Number forms: doubles become integers and come back bit for bit.
//!
//! Each form is a chain of correctly rounded IEEE 754 operations, so that every language computes the same bits. A value that a form does not
//! hit exactly is refused, or corrected in units of the last place.

#![deny(clippy::indexing_slicing)]

use super::integers;
use super::rounding::{
    LEAST_EXPONENT, POW10, digits_before, digits15, from_ordinal, from_ordinal32, ordinal, pow10, round_to,
};
use crate::compact::stream::bits::BitReader;
use crate::compact::stream::op_buffer::OpBuffer;

/// Divisors for sensors that average: a value is `m / (10^e × divisor)`.
pub(crate) const DIVISORS: [f64; 4] = [1.0, 3.0, 7.0, 9.0];
/// Last operation on the quotient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rounding {
    Nothing,
    /// Rounded to 15 significant digits, as `%.15g` prints.
    Digits15,
    /// Rounded to binary32 and back, as a meter with floats gives it.
    Single,
}

/// Number form: the conversion between doubles and integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NumberForm {
    /// `rounding(m / (10^e × DIVISORS[divisor]))`; if `ulps`, it is then moved by a second number of units in the last place.
    Decimal { e: u8, divisor: u8, rounding: Rounding, ulps: bool },
    /// Decimals with this count of significant digits, numbered by size.
    Digits(u8),
    /// Bits of the double, numbered by size.
    Bits64,
    /// Bits of a binary32 that equals the double, numbered by size.
    Bits32,
}

impl NumberForm {
    pub(crate) fn has_ulps(self) -> bool {
        matches!(self, NumberForm::Decimal { ulps: true, .. })
    }

    /// Computes the integers of all values (given as bits), and the corrections if the form has them. Returns `false` if a value does not come
    /// back. Both lists are cleared first.
    pub(crate) fn integers(self, values: &[u64], out: &mut Vec<i64>, ulps: &mut Vec<i64>) -> bool {
        out.clear();
        ulps.clear();
        match self {
            NumberForm::Decimal { e, divisor: 0, rounding: Rounding::Nothing, ulps: false } => {
                integers::decimals(pow10(e), values, out)
            }
            NumberForm::Decimal { e, divisor, rounding, ulps: correct } => {
                let scale = scale(e, divisor);
                let held = match rounding {
                    Rounding::Nothing => integers::corrected(scale, values, |v| v, out, ulps),
                    Rounding::Digits15 => integers::digits15(scale, values, out, ulps),
                    Rounding::Single => {
                        integers::corrected(scale, values, |v| f64::from(v as f32), out, ulps)
                    }
                };
                let exact = correct || ulps.iter().all(|u| *u == 0);
                if !correct {
                    ulps.clear();
                }
                held && exact
            }
            NumberForm::Digits(p) => integers::significant(p, values, out),
            NumberForm::Bits64 => {
                out.extend(values.iter().map(|bits| ordinal(f64::from_bits(*bits))));
                true
            }
            NumberForm::Bits32 => {
                out.extend(values.iter().map_while(|bits| integers::single(f64::from_bits(*bits))));
                out.len() == values.len()
            }
        }
    }

    /// Replaces integers by the bits of their doubles, before any correction. The error says why a number is none of this form.
    pub(crate) fn restore(self, values: &mut [u64]) -> Result<(), &'static str> {
        match self {
            NumberForm::Decimal { e, divisor, rounding, .. } => {
                let scale = scale(e, divisor);
                match rounding {
                    Rounding::Nothing => each(values, |m| m as f64 / scale),
                    Rounding::Digits15 => all_digits15(values, scale),
                    Rounding::Single => each(values, |m| f64::from((m as f64 / scale) as f32)),
                }
            }
            NumberForm::Digits(p) => {
                let mut powers = Powers::new(p);
                each(values, |number| powers.value(number));
                return powers.checked();
            }
            NumberForm::Bits64 => each(values, from_ordinal),
            NumberForm::Bits32 => {
                // Without a branch per value.
                let above = values.iter().fold(0, |above, v| above | (*v as i64 ^ i64::from(*v as i32)));
                if above != 0 {
                    return Err("a number of a binary32 is above 32 bits");
                }
                each(values, from_ordinal32);
            }
        }
        Ok(())
    }

    /// Writes the form's number and parameters.
    pub(crate) fn describe(self, ops: &mut OpBuffer) {
        match self {
            NumberForm::Decimal { e, divisor, rounding, ulps } => {
                ops.bits(0, 2);
                ops.bits(e.into(), 4);
                ops.bits(divisor.into(), 2);
                ops.bits(rounding as u64, 2);
                ops.flag(ulps);
            }
            NumberForm::Digits(p) => {
                ops.bits(1, 2);
                ops.bits(p.into(), 4);
            }
            NumberForm::Bits64 => ops.bits(2, 2),
            NumberForm::Bits32 => ops.bits(3, 2),
        }
    }

    /// Reads the output of [`describe`](Self::describe).
    pub(crate) fn read(bits: &mut BitReader<'_>) -> Result<NumberForm, &'static str> {
        Ok(match bits.bits(2) {
            0 => {
                let (e, divisor) = (bits.bits(4) as u8, bits.bits(2) as u8);
                let roundings = [Rounding::Nothing, Rounding::Digits15, Rounding::Single];
                let rounding =
                    *roundings.get(bits.bits(2) as usize).ok_or("an unknown rounding after a division")?;
                NumberForm::Decimal { e, divisor, rounding, ulps: bits.bits(1) == 1 }
            }
            1 => match bits.bits(4) as u8 {
                0 => return Err("decimals of no digits"),
                p => NumberForm::Digits(p),
            },
            2 => NumberForm::Bits64,
            _ => NumberForm::Bits32,
        })
    }
}

/// Returns the divisor of [`NumberForm::Decimal`].
pub(crate) fn scale(e: u8, divisor: u8) -> f64 {
    pow10(e) * DIVISORS.get(usize::from(divisor)).copied().unwrap_or(1.0)
}

#[inline(always)]
fn each(values: &mut [u64], mut double: impl FnMut(i64) -> f64) {
    values.iter_mut().for_each(|v| *v = double(*v as i64).to_bits());
}

/// Computes [`digits15`] of all `m / scale`. Neighbours mostly have as many digits before the point, and are then rounded together.
fn all_digits15(values: &mut [u64], scale: f64) {
    let (chunks, rest) = values.as_chunks_mut::<8>();
    for chunk in chunks {
        let quotients = chunk.map(|m| m as i64 as f64 / scale);
        let [first, ..] = quotients;
        let before = digits_before(first) as u8;
        let (least, end) = (if before == 0 { 0.0 } else { pow10(before - 1) }, pow10(before));
        let alike =
            quotients.iter().fold(before <= 15, |alike, q| alike & (q.abs() >= least) & (q.abs() < end));
        let power = pow10(15_u8.saturating_sub(before));
        *chunk = if alike {
            quotients.map(|q| round_to(q, power).to_bits())
        } else {
            quotients.map(|q| digits15(q).to_bits())
        };
    }
    each(rest, |m| digits15(m as f64 / scale));
}

const SIGN: u64 = 1 << 63;

/// Inverse of [`digits`](super::integers::digits), which remembers the exponent that neighbours mostly share.
pub(crate) struct Powers {
    p: u8,
    /// Least number with `p` digits.
    least: u64,
    /// First of the numbers with the exponent of the last one, and the count of these.
    first: u64,
    count: u64,
    power: f64,
    up: bool,
    /// Set once a number had an exponent for which there is no power of ten.
    outside: bool,
}

impl Powers {
    pub(crate) fn new(p: u8) -> Self {
        let least = pow10(p.wrapping_sub(1)) as u64;
        Self { p, least, first: 0, count: 0, power: 1.0, up: false, outside: false }
    }

    /// Returns an error if a number so far was none of this form.
    pub(crate) fn checked(&self) -> Result<(), &'static str> {
        if self.outside { Err("a decimal has an exponent out of range") } else { Ok(()) }
    }

    /// Returns whether a number has the exponent of the last one.
    #[inline(always)]
    fn holds(&self, size: u64) -> bool {
        size.wrapping_sub(self.first) < self.count
    }

    /// Returns the digits of a number with this exponent. They are below 10^15, so that no unsigned conversion is needed.
    #[inline(always)]
    fn digits(&self, size: u64) -> f64 {
        size.wrapping_sub(self.first).wrapping_add(self.least) as i64 as f64
    }

    /// Returns the double of a number.
    #[inline(always)]
    pub(crate) fn value(&mut self, number: i64) -> f64 {
        let size = number.unsigned_abs();
        if !self.holds(size) {
            if size == 0 {
                return 0.0;
            }
            self.find(size);
        }
        let m = self.digits(size);
        let value = if self.up { m * self.power } else { m / self.power };
        // The sign of noise is not foreseen: no branch.
        f64::from_bits(value.to_bits() | number as u64 & SIGN)
    }

    #[cold]
    fn find(&mut self, size: u64) {
        self.count = self.least * 9;
        let group = (size - 1) / self.count;
        self.first = 1 + group * self.count;
        let shift = i64::from(self.p) - 1 - LEAST_EXPONENT - i64::try_from(group).unwrap_or(i64::MAX >> 1);
        self.up = shift < 0;
        self.outside |= shift.unsigned_abs() >= POW10.len() as u64;
        self.power = pow10(shift.unsigned_abs().min(u64::from(u8::MAX)) as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comes_back(form: NumberForm, value: f64) -> bool {
        let (mut m, mut ulps) = (Vec::new(), Vec::new());
        if !form.integers(&[value.to_bits()], &mut m, &mut ulps) {
            return false;
        }
        let mut back = [m[0] as u64];
        form.restore(&mut back).unwrap();
        let ulp = ulps.first().copied().unwrap_or(0);
        let value_back = from_ordinal(ordinal(f64::from_bits(back[0])).wrapping_add(ulp));
        assert_eq!(value_back.to_bits(), value.to_bits(), "{form:?} took {value}");
        true
    }

    fn decimal(e: u8, divisor: u8, rounding: Rounding, ulps: bool) -> NumberForm {
        NumberForm::Decimal { e, divisor, rounding, ulps }
    }

    #[test]
    fn what_a_form_takes_it_gives_back() {
        let mut values = vec![
            0.0,
            -0.0,
            1.0,
            -12.5,
            0.1,
            53.600_000_000_000_01,
            31.133_333_333_333_3,
            5.827_000_141_143_799,
        ];
        values.extend([
            f64::NAN,
            f64::INFINITY,
            f64::MIN,
            5e-324,
            1e300,
            123.4567,
            1e15 + 0.5,
            -9.5e-7,
            21.76,
            1e22,
            9.999_999e-11,
        ]);
        values.push(f64::from_bits(0xfff4_0000_0000_0001));
        let mut forms = vec![NumberForm::Bits64, NumberForm::Bits32];
        forms.extend((1..=15).map(NumberForm::Digits));
        for rounding in [Rounding::Nothing, Rounding::Digits15, Rounding::Single] {
            for e in 0..16 {
                forms.extend(
                    (0..4).flat_map(|divisor| [false, true].map(|ulps| decimal(e, divisor, rounding, ulps))),
                );
            }
        }
        for form in forms {
            let taken = values.iter().filter(|v| comes_back(form, **v)).count();
            assert!(taken > 0, "{form:?}");
        }
        assert!(values.iter().all(|v| comes_back(NumberForm::Bits64, *v)));
    }

    #[test]
    fn each_kind_of_number_has_its_form() {
        assert!(comes_back(decimal(2, 0, Rounding::Nothing, false), 21.76));
        assert!(!comes_back(decimal(1, 0, Rounding::Nothing, false), 21.76));
        assert!(comes_back(decimal(1, 1, Rounding::Digits15, false), 31.133_333_333_333_3));
        assert!(comes_back(decimal(3, 0, Rounding::Single, false), 5.827_000_141_143_799));
        assert!(
            comes_back(NumberForm::Digits(7), 123.4567) && comes_back(NumberForm::Digits(7), -0.001_645_227)
        );
        assert!(!comes_back(NumberForm::Digits(6), 123.4567));
        assert!(!comes_back(decimal(2, 0, Rounding::Nothing, false), -0.0));
    }

    #[test]
    fn ordinals_rise_with_the_numbers() {
        let rising = [-1e300, -1.0, -5e-324, -0.0, 0.0, 5e-324, 1.0, 1e300];
        assert!(rising.windows(2).all(|w| ordinal(w[0]) < ordinal(w[1])));
        let rising = [-123.4, -1.0, -0.001, 0.0, 0.000_5, 0.099_99, 0.1, 99.99, 100.1];
        let numbers: Vec<_> = rising.iter().map(|v| integers::digits(*v, 4, &mut 0).unwrap()).collect();
        assert!(numbers.windows(2).all(|w| w[0] < w[1]), "{numbers:?}");
    }
}
