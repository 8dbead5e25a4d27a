//! Columns of few different integers: the list of these, and each integer's place in it.

#![deny(clippy::indexing_slicing)]

use crate::compact::stream::bits::bit_len;

/// Longer ones do not pay.
pub(crate) const LIST_MAX: usize = 1024;
/// Integers that lie no further apart than this are looked up instead of searched.
const NEAR: usize = 1 << 13;
const NONE: u16 = u16::MAX;

/// Whether the start of a column has so few different values that a list may pay.
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

/// The distinct integers, rising, if they are so few that a list may pay; then the integers become their places in it.
pub(crate) fn make(integers: &mut [i64]) -> Option<Vec<i64>> {
    if integers.len() < 12 {
        return None;
    }
    let longest = (integers.len() * 3 / 4).min(LIST_MAX);
    let (least, most) = integers.iter().fold((i64::MAX, i64::MIN), |(a, b), x| (a.min(*x), b.max(*x)));
    match places(least, most) {
        Some(places) => make_near(integers, least, places, longest),
        None => make_far(integers, longest),
    }
}

fn make_near(integers: &mut [i64], least: i64, mut places: Vec<u16>, longest: usize) -> Option<Vec<i64>> {
    for x in integers.iter() {
        if let Some(place) = places.get_mut(x.wrapping_sub(least) as usize) {
            *place = 0;
        }
    }
    let mut list = Vec::with_capacity(longest);
    for (above, place) in (0..).zip(&mut places).filter(|(_, place)| **place != NONE) {
        if list.len() == longest {
            return None;
        }
        *place = list.len() as u16;
        list.push(least.wrapping_add(above));
    }
    for x in integers {
        *x = places.get(x.wrapping_sub(least) as usize).copied().unwrap_or(0).into();
    }
    Some(list)
}

/// By hashing, so that only the distinct integers are sorted.
fn make_far(integers: &mut [i64], longest: usize) -> Option<Vec<i64>> {
    let slots = (longest * 2).next_power_of_two();
    let mut table = vec![NONE; slots];
    // In the order they come; then with the number of each.
    let mut found: Vec<(i64, u16)> = Vec::with_capacity(longest);
    let mut numbers = Vec::with_capacity(integers.len());
    for x in integers.iter() {
        let mut at = hash(*x) as usize;
        numbers.push(loop {
            let slot = table.get_mut(at & (slots - 1))?;
            match found.get(usize::from(*slot)) {
                Some(there) if there.0 == *x => break *slot,
                Some(_) => at += 1,
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
    for (x, number) in integers.iter_mut().zip(numbers) {
        *x = places.get(usize::from(number)).copied()?;
    }
    Some(found.into_iter().map(|(x, _)| x).collect())
}

/// The high bits of a product, which all bits of the integer move.
fn hash(x: i64) -> u64 {
    (x as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32
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
            let mut made = integers.clone();
            let list = make(&mut made).unwrap();
            assert_eq!(list, (-4..4).map(|n| n * step).collect::<Vec<_>>());
            let mut places = integers.clone();
            assert!(number(&mut places, &list) && places == made);
            assert!(places.iter().zip(&integers).all(|(at, x)| list[*at as usize] == *x));
            assert!(!number(&mut [4 * step], &list) && !number(&mut [i64::MIN], &list));
            assert!(step == 1 || !number(&mut [step + 1], &list));
        }
    }

    #[test]
    fn many_different_integers_are_not_listed() {
        for step in [1, 1 << 40] {
            assert_eq!(make(&mut (0..40).map(|n| n * step).collect::<Vec<_>>()), None);
            assert_eq!(make(&mut [step; 11]), None);
            assert_eq!(make(&mut [step; 12]), Some(vec![step]));
            assert_eq!(make(&mut (0..4096).map(|n| n % 1100 * step).collect::<Vec<_>>()), None);
        }
        assert_eq!(make(&mut [i64::MAX; 12]), Some(vec![i64::MAX]));
    }
}
