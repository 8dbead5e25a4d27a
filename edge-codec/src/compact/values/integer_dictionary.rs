//! Dictionary encoding: a column of few different integers becomes the list of these, and for each integer its index in it.

#![deny(clippy::indexing_slicing)]

use crate::compact::stream::bits::bit_len;

/// Longest dictionary; a longer one does not pay.
pub(crate) const LIST_MAX: usize = 1024;
/// Range of integers up to which they are looked up in an array instead of searched.
const NEAR: usize = 1 << 13;
const NONE: u16 = u16::MAX;

/// Returns whether the start of a column has so few different values that a dictionary may pay.
pub(crate) fn are_few(values: &[u64]) -> bool {
    let start = values.get(..96).unwrap_or(values);
    let mut seen = [(0, false); 256];
    let mut different = 0;
    for x in start {
        let mut at = hash(*x as i64) as u8;
        while let Some(slot) = seen.get_mut(usize::from(at)).filter(|slot| **slot != (*x, true)) {
            if !slot.1 {
                *slot = (*x, true);
                different += 1;
                break;
            }
            at = at.wrapping_add(1);
        }
        if different * 2 > start.len() {
            return false;
        }
    }
    start.len() >= 12
}

/// Returns the different integers, rising, and the index of each value. `None`: there are more than `most`, or so many that a dictionary cannot
/// pay.
pub(crate) fn make(integers: &[i64], most: usize) -> Option<(Vec<i64>, Vec<i64>)> {
    if integers.len() < 12 {
        return None;
    }
    let longest = (integers.len() * 3 / 4).min(LIST_MAX).min(most);
    let (low, high) = integers.iter().fold((i64::MAX, i64::MIN), |(a, b), x| (a.min(*x), b.max(*x)));
    match places(low, high, integers.len() * SPARSE) {
        Some(places) => make_near(integers, low, places, longest.min(integers.len() / 2)),
        None => make_far(integers, longest),
    }
}

/// Ratio of an integer range to the count of values from which hashing is faster than an array of the range.
const SPARSE: usize = 8;

fn make_near(
    integers: &[i64],
    least: i64,
    mut places: Vec<u16>,
    longest: usize,
) -> Option<(Vec<i64>, Vec<i64>)> {
    for x in integers.iter() {
        if let Some(place) = places.get_mut(above(*x, least)) {
            *place = 0;
        }
    }
    let mut list = Vec::with_capacity(longest);
    for (nth, place) in (0..).zip(&mut places).filter(|(_, place)| **place != NONE) {
        if list.len() == longest {
            return None;
        }
        *place = list.len() as u16;
        list.push(least.wrapping_add(nth));
    }
    let place = |x: &i64| places.get(above(*x, least)).copied().unwrap_or(0).into();
    Some((list, integers.iter().map(place).collect()))
}

/// Count of values after which the share of different ones is judged, since fewer tell little about the rest.
const EARLY: usize = 24;

/// Makes the dictionary by hashing, so that only different integers are sorted.
fn make_far(integers: &[i64], longest: usize) -> Option<(Vec<i64>, Vec<i64>)> {
    let slots = (longest * 2).next_power_of_two();
    let mut table = vec![NONE; slots];
    // In the order they come; then with the number of each.
    let mut found: Vec<(i64, u16)> = Vec::with_capacity(longest);
    let mut numbers = Vec::with_capacity(integers.len());
    let early = (integers.len() / 4).max(EARLY);
    for (nth, x) in integers.iter().enumerate() {
        // Where almost each is another one at first, they mostly are later.
        if nth == early && found.len() > nth * 7 / 8 {
            return None;
        }
        let mut at = hash(*x) as usize;
        numbers.push(loop {
            let slot = table.get_mut(at & (slots - 1))?;
            match found.get(usize::from(*slot)) {
                Some(there) if there.0 == *x => break *slot,
                Some(_) => at = at.wrapping_add(1),
                None if found.len() == longest => return None,
                None => {
                    *slot = found.len() as u16;
                    found.push((*x, *slot));
                    break *slot;
                }
            }
        });
    }
    found.sort_unstable();
    let mut places = vec![0; found.len()];
    for (place, (_, number)) in (0..).zip(&found) {
        *places.get_mut(usize::from(*number))? = place;
    }
    let places = numbers.into_iter().map(|number| places.get(usize::from(number)).copied());
    Some((found.into_iter().map(|(x, _)| x).collect(), places.collect::<Option<_>>()?))
}

/// Returns the high bits of a product, on which all bits of the integer have an effect.
fn hash(x: i64) -> u64 {
    (x as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32
}

/// Replaces integers by their indices in a rising list. Returns `false` if one is not in it.
pub(crate) fn number(integers: &mut [i64], list: &[i64]) -> bool {
    let (Some(first), Some(last)) = (list.first(), list.last()) else { return integers.is_empty() };
    let Some(mut places) = places(*first, *last, NEAR).filter(|_| list.len() <= LIST_MAX) else {
        return integers.iter_mut().all(|x| list.binary_search(x).map(|at| *x = at as i64).is_ok());
    };
    for (at, x) in (0..).zip(list) {
        if let Some(place) = places.get_mut(above(*x, *first)) {
            *place = at;
        }
    }
    integers.iter_mut().all(|x| {
        let place = places.get(above(*x, *first)).copied().filter(|place| *place != NONE);
        place.map(|place| *x = place.into()).is_some()
    })
}

/// Returns the place of an integer in an array that starts at `least`. One that is far off has none: on a machine of 32 bits its low bits alone
/// would be the place of another one.
fn above(x: i64, least: i64) -> usize {
    usize::try_from(x.wrapping_sub(least) as u64).unwrap_or(usize::MAX)
}

/// Returns an array with an entry for each integer of a range. `None`: the range is too long.
fn places(least: i64, most: i64, near: usize) -> Option<Vec<u16>> {
    let apart = usize::try_from(most.checked_sub(least)?).ok().filter(|apart| *apart < near.min(NEAR))?;
    Some(vec![NONE; apart + 1])
}

/// Returns the bits that a dictionary takes in a plan.
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
            let (list, made) = make(&integers, 99).unwrap();
            assert_eq!(list, (-4..4).map(|n| n * step).collect::<Vec<_>>());
            let mut places = integers.clone();
            assert!(number(&mut places, &list) && places == made);
            assert!(places.iter().zip(&integers).all(|(at, x)| list[*at as usize] == *x));
            assert!(!number(&mut [4 * step], &list) && !number(&mut [i64::MIN], &list));
            assert!(step == 1 || !number(&mut [step + 1], &list));
            assert!(step > 7 || !number(&mut [(1 << 32) + step], &list), "the low 32 bits are another's");
        }
    }

    #[test]
    fn many_different_integers_are_not_listed() {
        for step in [1, 1 << 40] {
            let listed = |n: i64, of: i64| make(&(0..n).map(|n| n % of * step).collect::<Vec<_>>(), 2000);
            assert_eq!((listed(40, 40), listed(11, 1), listed(4096, 1100)), (None, None, None));
            assert_eq!(listed(12, 1), Some((vec![0], vec![0; 12])));
            assert_eq!(make(&[step, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 1), None);
        }
        assert_eq!(make(&[i64::MAX; 12], 9), Some((vec![i64::MAX], vec![0; 12])));
    }
}
