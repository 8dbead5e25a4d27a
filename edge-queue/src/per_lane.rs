//! A value for each lane.

use std::ops::{Deref, DerefMut};

use crate::row::LANES_MAX;

/// One value for each lane that a queue can have, in use or not: a slice by lane number. How many those are is no part of the
/// type's interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerLane<T>(pub(crate) [T; LANES_MAX]);

impl<T> PerLane<T> {
    /// Makes the value of each lane from its number.
    pub fn from_fn(value: impl FnMut(usize) -> T) -> PerLane<T> {
        PerLane(std::array::from_fn(value))
    }
}

impl<T: Copy> PerLane<T> {
    /// Takes the same value for every lane.
    pub const fn all(value: T) -> PerLane<T> {
        PerLane([value; LANES_MAX])
    }
}

impl<T: Default, const N: usize> From<[T; N]> for PerLane<T> {
    /// Gives the first `N` lanes these values, and any others the default.
    fn from(values: [T; N]) -> PerLane<T> {
        let mut values = values.into_iter();
        PerLane::from_fn(|_| values.next().unwrap_or_default())
    }
}

impl<T> Deref for PerLane<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T> DerefMut for PerLane<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}

impl<T> IntoIterator for PerLane<T> {
    type Item = T;
    type IntoIter = std::array::IntoIter<T, LANES_MAX>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a PerLane<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<'a, T> IntoIterator for &'a mut PerLane<T> {
    type Item = &'a mut T;
    type IntoIter = std::slice::IterMut<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_are_not_given_are_the_default_and_ones_too_many_are_left_out() {
        assert_eq!(PerLane::from([7, 8]).0, [7, 8, 0, 0]);
        assert_eq!(PerLane::from([1, 2, 3, 4, 5]).0, [1, 2, 3, 4]);
        assert_eq!(PerLane::from_fn(|lane| lane * 2).into_iter().collect::<Vec<_>>(), [0, 2, 4, 6]);
        let mut nines = PerLane::all(9);
        nines[2] = 1;
        (&mut nines).into_iter().for_each(|n| *n += 1);
        assert_eq!(((&nines).into_iter().sum::<i32>(), nines.get(4)), (32, None));
    }
}
