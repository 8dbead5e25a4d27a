//! ZigZag coding, as `sint64` of Protobuf has it. It maps signed to unsigned numbers, so that numbers close to 0 stay small.

/// Maps 0, -1, 1, -2, … to 0, 1, 2, 3, …
#[inline(always)]
pub(crate) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

#[inline(always)]
pub(crate) fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_and_small_ones_stay_small() {
        let coded = [(0, 0), (-1, 1), (1, 2), (-2, 3), (i64::MAX, u64::MAX - 1), (i64::MIN, u64::MAX)];
        for (value, coded) in coded {
            assert_eq!((zigzag(value), unzigzag(coded)), (coded, value));
        }
    }
}
