//! Piece of a configuration file that is read repeatedly, each time without the values that could not be read.

use super::omitted_values::LeftOut;
use super::path::Place;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeValue, Error};

/// Fault of one value that could not be read.
pub(in crate::pipeline) struct Fault {
    /// Place to report: that of the value, or of the table that has a key too many or too few.
    pub(in crate::pipeline) place: Place,
    pub(in crate::pipeline) span: Range<usize>,
    pub(in crate::pipeline) left_out: LeftOut,
    pub(in crate::pipeline) kind: FaultKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pipeline) enum FaultKind {
    /// A key that has no meaning there.
    Unknown,
    /// A key that is missing; a stand-in value takes its place.
    Missing,
    /// A value of a wrong type or range.
    Value,
    /// A fault after which nothing of the piece can be used.
    Whole,
}

/// Piece of a configuration file.
pub(in crate::pipeline) struct Piece<'t> {
    value: Spanned<DeValue<'t>>,
    place: Place,
    /// Number of the value in [`STAND_INS`] that each stand-in has now.
    stand_ins: Vec<usize>,
}

/// Byte offset of the stand-ins, beyond the end of every file, by which errors about them are recognised.
const STAND_INS_AT: usize = usize::MAX / 2;

/// Values that stand in for missing ones, one of every type that a key may need. Errors about a stand-in are not reported.
const STAND_INS: [&str; 6] = ["\"127.0.0.1:0\"", "0", "{}", "[]", "[0, 1]", "false"];

impl<'t> Piece<'t> {
    pub(in crate::pipeline) fn new(value: Spanned<DeValue<'t>>, place: Place) -> Self {
        Piece { value, place, stand_ins: Vec::new() }
    }

    pub(in crate::pipeline) fn value(&self) -> Spanned<DeValue<'t>> {
        self.value.clone()
    }

    /// Exchanges the stand-in that could not be read for the next one. `None`: the error is not about a stand-in; `Some(false)`: there is no
    /// other.
    pub(in crate::pipeline) fn exchange(&mut self, error: &Error) -> Option<bool> {
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

    /// Leaves out the value that could not be read, or adds a stand-in for a missing one. Returns the fault.
    pub(in crate::pipeline) fn leave_out(&mut self, error: &Error) -> Fault {
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

/// Returns the stand-in `kind` for the place `number`; `None` beyond the last.
fn stand_in(number: usize, kind: usize) -> Option<Spanned<DeValue<'static>>> {
    let at = STAND_INS_AT + number;
    let value = DeValue::parse(STAND_INS.get(kind)?).ok()?;
    Some(Spanned::new(at..at + 1, value.into_inner()))
}

/// Returns the value that has these bytes.
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

/// Adds a stand-in to the table that has these bytes. Returns the place of the table.
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

/// Removes the innermost value that contains these bytes. Returns its table, and the value's place. In an array a stand-in replaces it, so that
/// the other elements keep their indices.
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
