//! Names of the elements of an array of tables, to check references to them.

use crate::pipeline::Pattern;

use super::error::Reference;
use super::omitted_values::{LeftOutValues, alike};
use super::parsed_text::ParsedText;
use super::path::Place;
use hashbrown::HashSet;
use toml::Spanned;
use toml::de::DeValue;

/// Names that the elements of one array of tables have, or may have been meant to have.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct ElementNames<'f> {
    names: HashSet<&'f str>,
    /// True if an element has no readable name, so that it may have any.
    has_nameless: bool,
    /// Names that were refused, and may have been meant as others.
    unusable: Vec<&'f str>,
}

/// Most refused names of a table that are compared with each reference; a person does not make more slips.
const UNUSABLE_MAX: usize = 256;

impl<'f> ElementNames<'f> {
    /// Collects the names in `table`, and in each unknown table whose key may be `table` misspelt.
    pub(in crate::pipeline) fn new(
        table: &'f str,
        text: &'f ParsedText<'_>,
        left_out: &'f LeftOutValues,
        unusable: impl Iterator<Item = &'f str>,
    ) -> Self {
        let unusable = unusable.take(UNUSABLE_MAX).collect();
        let mut found = ElementNames { unusable, ..ElementNames::default() };
        let root = Place::root();
        let misspelt = left_out.unknown_alike(&root, table);
        for element in [table].into_iter().chain(misspelt).flat_map(|key| elements(text, key)) {
            let keys = element.get_ref().as_table().into_iter().flat_map(|keys| keys.iter());
            let named = keys.filter(|(key, _)| alike(key.get_ref(), "name"));
            let mut named = named.filter_map(|(_, value)| value.get_ref().as_str()).peekable();
            found.has_nameless |= named.peek().is_none();
            found.names.extend(named);
        }
        found
    }

    /// Returns whether an element may have the name, may have been meant to have it, or matches it if it is a pattern.
    pub(in crate::pipeline) fn may_have(&self, Reference { name, .. }: &Reference) -> bool {
        let is_matched = || {
            let pattern = Pattern::new(name).ok().filter(|pattern| pattern.name().is_none());
            pattern.is_some_and(|pattern| self.names.iter().any(|name| pattern.matches(name)))
        };
        self.has_nameless
            || self.names.contains(name.as_str())
            || is_matched()
            || self.unusable.iter().any(|unusable| may_stand_for(unusable, name))
    }
}

/// Returns whether a refused name may have been meant as `name`. Its wildcards stand for any letters, and an empty name may have been meant as
/// any.
fn may_stand_for(unusable: &str, name: &str) -> bool {
    let mut parts = unusable.split(['+', '#']);
    let (before, after) = (parts.next().unwrap_or_default(), parts.next_back());
    unusable.is_empty() || after.is_some_and(|after| name.starts_with(before) && name.ends_with(after))
}

/// Returns the `name` of an element; `None` if it has none that can be read.
pub(in crate::pipeline) fn name_of<'f>(element: &'f Spanned<DeValue<'_>>) -> Option<&'f str> {
    element.get_ref().get("name")?.get_ref().as_str()
}

/// Returns the elements of an array of tables; none if there is no such array.
pub(in crate::pipeline) fn elements<'f, 't>(
    text: &'f ParsedText<'t>,
    table: &str,
) -> impl Iterator<Item = &'f Spanned<DeValue<'t>>> {
    let elements = text.tables().get(table).and_then(|value| value.get_ref().as_array());
    elements.into_iter().flat_map(|elements| elements.iter())
}

#[cfg(test)]
mod tests {
    use super::may_stand_for;

    #[test]
    fn a_refused_name_stands_for_what_its_wildcards_leave_open() {
        for (unusable, name) in
            [("", "any"), ("line/+", "line/a"), ("+/temp", "a/temp"), ("a/+/c/#/e", "a/b/e")]
        {
            assert!(may_stand_for(unusable, name), "{unusable} {name}");
        }
        for (unusable, name) in
            [("line", "line"), ("line/+", "other/a"), ("a/+/c", "a/b/d"), ("+/temp", "a/level")]
        {
            assert!(!may_stand_for(unusable, name), "{unusable} {name}");
        }
    }
}
