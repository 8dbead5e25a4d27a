//! A piece of a configuration file that is read again and again, without what could not be read.

use super::config_path::Place;
use super::omitted_values::LeftOut;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeValue, Error};

/// One thing that could not be read.
pub(super) struct Fault {
    /// The place to be told: of the value, or of the table that has a key too many or too few.
    pub(super) place: Place,
    pub(super) span: Range<usize>,
    pub(super) left_out: LeftOut,
    pub(super) kind: FaultKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FaultKind {
    /// A key without a meaning.
    Unknown,
    /// A key that is not there; something stands in for it.
    Missing,
    /// A value that is not what belongs there.
    Value,
    /// Nothing can be made of the piece.
    Whole,
}

/// A piece of a file.
pub(super) struct Piece<'t> {
    value: Spanned<DeValue<'t>>,
    place: Place,
    /// Kind of each stand-in.
    stand_ins: Vec<usize>,
}

/// Place of the stand-ins, beyond the end of every file.
const STAND_INS_AT: usize = usize::MAX / 2;

/// Values of every type that a key may need. What is found wrong with one that stands in for another is not told.
const STAND_INS: [&str; 6] = ["\"127.0.0.1:0\"", "0", "{}", "[]", "[0, 1]", "false"];

impl<'t> Piece<'t> {
    pub(super) fn new(value: Spanned<DeValue<'t>>, place: Place) -> Self {
        Piece { value, place, stand_ins: Vec::new() }
    }

    pub(super) fn value(&self) -> Spanned<DeValue<'t>> {
        self.value.clone()
    }

    /// Tries another stand-in where it is one that could not be read. Returns whether it is one, and whether there is another.
    pub(super) fn exchange(&mut self, error: &Error) -> Option<bool> {
        let span = error.span()?;
        let number = span.start.checked_sub(STAND_INS_AT)?;
        let kind = self.stand_ins.get_mut(number)?;
        *kind += 1;
        let next = stand_in(number, *kind);
        Some(next.is_some_and(|next| {
            let found = find(&mut self.value, &span);
            found.map(|value| *value = next).is_some()
        }))
    }

    /// Leaves out what could not be read, or puts a stand-in where something is missing.
    pub(super) fn leave_out(&mut self, error: &Error) -> Fault {
        let span = error.span().unwrap_or_else(|| self.value.span());
        let place = &self.place;
        let number = self.stand_ins.len();
        self.stand_ins.push(0);
        let missing = error.message().strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
        if let Some(key) = missing
            && let Some(table) = add(&mut self.value, &span, key, place, number)
        {
            let left_out = LeftOut { place: table.named(key), is_unknown: false };
            return Fault { place: table, span, left_out, kind: FaultKind::Missing };
        }
        match take_out(self.value.get_mut(), &span, place, number) {
            // A table that names no variant is nothing.
            Some((table, left_out))
                if left_out.is_unknown && error.message().starts_with("unknown variant") =>
            {
                let left_out = LeftOut { place: table.clone(), is_unknown: false };
                Fault { place: table, span, left_out, kind: FaultKind::Whole }
            }
            Some((table, left_out)) if left_out.is_unknown => {
                Fault { place: table, span, left_out, kind: FaultKind::Unknown }
            }
            Some((_, left_out)) => {
                Fault { place: left_out.place.clone(), span, left_out, kind: FaultKind::Value }
            }
            None => {
                let left_out = LeftOut { place: place.clone(), is_unknown: false };
                Fault { place: place.clone(), span, left_out, kind: FaultKind::Whole }
            }
        }
    }
}

/// One of the values that may stand in; `None` beyond the last.
fn stand_in(number: usize, kind: usize) -> Option<Spanned<DeValue<'static>>> {
    let at = STAND_INS_AT + number;
    let value = DeValue::parse(STAND_INS.get(kind)?).ok()?;
    Some(Spanned::new(at..at + 1, value.into_inner()))
}

/// The part that stands at these bytes.
fn find<'v, 't>(
    value: &'v mut Spanned<DeValue<'t>>,
    span: &Range<usize>,
) -> Option<&'v mut Spanned<DeValue<'t>>> {
    if value.span() == *span {
        return Some(value);
    }
    match value.get_mut() {
        DeValue::Array(elements) => elements.iter_mut().find_map(|element| find(element, span)),
        DeValue::Table(table) => table.iter_mut().find_map(|(_, value)| find(value, span)),
        _ => None,
    }
}

/// Puts a stand-in into the table at these bytes; returns its place.
fn add(
    value: &mut Spanned<DeValue<'_>>,
    span: &Range<usize>,
    key: &str,
    place: &Place,
    number: usize,
) -> Option<Place> {
    let is_it = value.span() == *span;
    match value.get_mut() {
        DeValue::Table(table) if is_it && !table.contains_key(key) => {
            let key = Spanned::new(0..0, key.to_owned().into());
            table.insert(key, stand_in(number, 0)?);
            Some(place.clone())
        }
        DeValue::Table(table) => table
            .iter_mut()
            .find_map(|(name, value)| add(value, span, key, &place.named(name.get_ref()), number)),
        DeValue::Array(elements) => {
            let mut elements = elements.iter_mut().enumerate();
            elements.find_map(|(index, element)| add(element, span, key, &place.index(index), number))
        }
        _ => None,
    }
}

/// Takes out the innermost part that these bytes belong to; returns its table, and what was left out. A stand-in takes the
/// place of an element of an array, so that the others keep theirs.
fn take_out(
    value: &mut DeValue<'_>,
    span: &Range<usize>,
    place: &Place,
    number: usize,
) -> Option<(Place, LeftOut)> {
    let holds = |of: Range<usize>| of.start <= span.start && span.end <= of.end;
    match value {
        DeValue::Array(elements) => elements.iter_mut().enumerate().find_map(|(index, element)| {
            let place_of_it = place.index(index);
            let inner = take_out(element.get_mut(), span, &place_of_it, number);
            inner.or_else(|| {
                *element = stand_in(number, 0).filter(|_| holds(element.span()))?;
                Some((place.clone(), LeftOut { place: place_of_it, is_unknown: false }))
            })
        }),
        DeValue::Table(table) => {
            let inner = table.iter_mut().find_map(|(key, value)| {
                take_out(value.get_mut(), span, &place.named(key.get_ref()), number)
            });
            inner.or_else(|| {
                let (key, is_unknown) = table.iter().find_map(|(key, value)| {
                    let is_key = holds(key.span());
                    (is_key || holds(value.span())).then(|| (key.get_ref().to_string(), is_key))
                })?;
                table.remove(key.as_str());
                Some((place.clone(), LeftOut { place: place.named(&key), is_unknown }))
            })
        }
        _ => None,
    }
}
