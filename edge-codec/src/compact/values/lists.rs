//! Columns of few different integers: the list of these, and each integer's place in it.

#![deny(clippy::indexing_slicing)]

use crate::compact::stream::bits::bit_len;

/// Longer ones do not pay.
pub(crate) const LIST_MAX: usize = 1024;
/// Integers that lie no further apart than this are looked up instead of searched.
const NEAR: usize = 1 << 13;
const NONE: u16 = u16::MAX;

/// The distinct integers, rising, if they are so few that a list may pay.
pub(crate) fn distinct(integers: &[i64]) -> Option<Vec<i64>> {
    if integers.len() < 12 {
        return None;
    }
    let least = integers.iter().copied().min()?;
    let list = if let Some(mut places) = places(least, integers.iter().copied().max()?) {
        for x in integers {
            if let Some(place) = places.get_mut(x.wrapping_sub(least) as usize) {
                *place = 0;
            }
        }
        let there = (0..).zip(&places).filter(|(_, place)| **place != NONE);
        there.map(|(above, _)| least.wrapping_add(above)).collect()
    } else {
        let mut sorted = integers.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        sorted
    };
    (list.len() <= LIST_MAX && list.len() * 4 <= integers.len() * 3).then_some(list)
}

/// Replaces integers by their places in a rising list; `false` if one is not there.
pub(crate) fn number(integers: &mut [i64], list: &[i64]) -> bool {
    let (Some(first), Some(last)) = (list.first(), list.last()) else { return integers.is_empty() };
    let Some(mut places) = places(*first, *last).filter(|_| list.len() <= LIST_MAX) else {
        return integers.iter_mut().all(|x| list.binary_search(x).map(|at| *x = at as i64).is_ok());
    };
    for (at, x) in (0..).zip(list) {
        if let Some(place) = places.get_mut(x.wrapping_sub(*first) as usize) {
            *place = at;
        }
    }
    integers.iter_mut().all(|x| {
        let place = places.get(x.wrapping_sub(*first) as usize).copied().filter(|place| *place != NONE);
        place.map(|place| *x = place.into()).is_some()
    })
}

/// A place for each integer of a range, if that is a short one.
fn places(least: i64, most: i64) -> Option<Vec<u16>> {
    let apart = usize::try_from(most.checked_sub(least)?).ok().filter(|apart| *apart < NEAR)?;
    Some(vec![NONE; apart + 1])
}

/// What a list takes in a plan, in bits.
pub(crate) fn bits(list: &[i64]) -> u64 {
    let rest = list.get(1..).unwrap_or_default();
    let gap = list.iter().zip(rest).map(|(a, b)| bit_len(b.wrapping_sub(*a) as u64)).max().unwrap_or(0);
    80 + list.len() as u64 * u64::from(gap)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_and_far_integers_are_listed_alike() {
        for step in [1, 7, 1 << 20, i64::MAX / 8] {
            let integers: Vec<i64> = (0..40).map(|n| (n * 5 % 8 - 4) * step).collect();
            let list = distinct(&integers).unwrap();
            assert_eq!(list, (-4..4).map(|n| n * step).collect::<Vec<_>>());
            let mut places = integers.clone();
            assert!(number(&mut places, &list));
            assert!(places.iter().zip(&integers).all(|(at, x)| list[*at as usize] == *x));
            assert!(!number(&mut [4 * step], &list) && !number(&mut [i64::MIN], &list));
            assert!(step == 1 || !number(&mut [step + 1], &list));
        }
    }

    #[test]
    fn many_different_integers_are_not_listed() {
        assert_eq!(distinct(&(0..40).collect::<Vec<_>>()), None);
        assert_eq!(distinct(&[1; 11]), None);
        assert_eq!(distinct(&[i64::MAX; 12]), Some(vec![i64::MAX]));
        assert_eq!(distinct(&[1; 12]), Some(vec![1]));
        let many: Vec<i64> = (0..4096).map(|n| n % 1100).collect();
        assert_eq!(distinct(&many), None);
    }
}
