//! Case files: typed access to their keys, with the place in every error.

use crate::error::Error;
use edge_filter::ParamError;
use serde_json::{Map, Value};
use std::cell::RefCell;
use std::path::Path;

#[derive(Debug)]
pub(super) struct Case {
    file: String,
    kind: String,
    config: Map<String, Value>,
    /// Places of keys that somebody has asked for.
    known: RefCell<Vec<String>>,
}

/// Object of a case, and its place.
#[derive(Clone, Debug)]
pub(super) struct Config<'a> {
    case: &'a Case,
    map: &'a Map<String, Value>,
    at: String,
}

impl Case {
    pub(super) fn load(file: &Path) -> Result<Self, Error> {
        let text =
            edge_state::operator_file::read_text(file).map_err(|error| Error::io(file, "read it", &error))?;
        Self::parse(&file.display().to_string(), &text)
    }

    fn parse(file: &str, text: &str) -> Result<Self, Error> {
        let wrong = |what: String| Error::Config(format!("{file}: {what}"));
        let value: Value = serde_json::from_str(text).map_err(|error| wrong(format!("no JSON: {error}")))?;
        let Value::Object(mut case) = value else { return Err(wrong("must be an object".into())) };
        let Some(Value::String(kind)) = case.remove("kind") else {
            return Err(wrong("`kind` must be given as a text".into()));
        };
        let Some(Value::Object(config)) = case.remove("config") else {
            return Err(wrong("`config` must be given as an object".into()));
        };
        Ok(Case { file: file.to_owned(), kind, config, known: RefCell::default() })
    }

    pub(super) fn config(&self) -> Config<'_> {
        Config { case: self, map: &self.config, at: "config".into() }
    }

    pub(super) fn expect_kind(&self, kinds: &[&str]) -> Result<(), Error> {
        if kinds.contains(&self.kind.as_str()) {
            return Ok(());
        }
        let (file, found, kinds) = (&self.file, &self.kind, kinds.join(" or "));
        Err(Error::Config(format!("{file}: kind: must be {kinds} for this type, found \"{found}\"")))
    }

    /// A key that this version does not know may be a slip of the pen, or a remark: said, not refused.
    pub(super) fn warn_about_unknown_keys(&self) {
        for place in self.unknown_keys() {
            edge_print::complain!("filter-lab: {}: {place}: unknown key, not used", self.file);
        }
    }

    fn unknown_keys(&self) -> Vec<String> {
        let known = self.known.borrow();
        let mut unknown = Vec::new();
        collect("config", &self.config, &mut |place| {
            if !known.contains(&place) {
                unknown.push(place);
            }
        });
        unknown
    }
}

fn collect(at: &str, map: &Map<String, Value>, found: &mut impl FnMut(String)) {
    for (key, value) in map {
        let place = format!("{at}.{key}");
        if let Value::Array(items) = value {
            for (i, item) in items.iter().enumerate() {
                if let Value::Object(map) = item {
                    collect(&format!("{place}[{i}]"), map, found);
                }
            }
        }
        found(place);
    }
}

impl<'a> Config<'a> {
    fn get(&self, key: &str) -> Option<&'a Value> {
        self.case.known.borrow_mut().push(format!("{}.{key}", self.at));
        self.map.get(key).filter(|value| !value.is_null())
    }

    fn place(&self, key: &str) -> String {
        format!("{}: {}.{key}", self.case.file, self.at)
    }

    /// The value of `key` is not what it must be.
    pub(super) fn wrong(&self, key: &str, must_be: &str) -> Error {
        let found = self.map.get(key).map_or_else(|| "nothing".to_owned(), Value::to_string);
        Error::Config(format!("{}: must be {must_be}, found {found}", self.place(key)))
    }

    /// A filter refused a parameter; its name there is that of the key here, or it says what is wrong anyway.
    pub(super) fn refused(&self, error: &ParamError) -> Error {
        Error::Config(format!("{}: {}: {error}", self.case.file, self.at))
    }

    pub(super) fn maybe_number(&self, key: &str) -> Result<Option<f64>, Error> {
        let number = |value: &Value| value.as_f64().ok_or_else(|| self.wrong(key, "a number"));
        self.get(key).map(number).transpose()
    }

    pub(super) fn number(&self, key: &str) -> Result<f64, Error> {
        self.maybe_number(key)?.ok_or_else(|| self.wrong(key, "a number"))
    }

    pub(super) fn maybe_count(&self, key: &str) -> Result<Option<usize>, Error> {
        let must_be = "a whole number, 0 or more";
        let Some(value) = self.get(key) else { return Ok(None) };
        let whole = value.as_u64().or_else(|| {
            let number = value.as_f64()?;
            // A number with a point that is whole all the same: 20.0.
            (number.fract() == 0.0 && (0.0..9e15).contains(&number)).then_some(number as u64)
        });
        let count = whole.and_then(|n| usize::try_from(n).ok()).ok_or_else(|| self.wrong(key, must_be))?;
        Ok(Some(count))
    }

    pub(super) fn count(&self, key: &str) -> Result<usize, Error> {
        self.maybe_count(key)?.ok_or_else(|| self.wrong(key, "a whole number, 0 or more"))
    }

    pub(super) fn maybe_ms(&self, key: &str) -> Result<Option<i64>, Error> {
        let ms = |n: usize| i64::try_from(n).map_err(|_| self.wrong(key, "milliseconds"));
        self.maybe_count(key)?.map(ms).transpose()
    }

    pub(super) fn maybe_flag(&self, key: &str) -> Result<Option<bool>, Error> {
        let flag = |value: &Value| value.as_bool().ok_or_else(|| self.wrong(key, "true or false"));
        self.get(key).map(flag).transpose()
    }

    pub(super) fn maybe_text(&self, key: &str) -> Result<Option<&'a str>, Error> {
        let text = |value: &'a Value| value.as_str().ok_or_else(|| self.wrong(key, "a text"));
        self.get(key).map(text).transpose()
    }

    pub(super) fn text(&self, key: &str) -> Result<&'a str, Error> {
        self.maybe_text(key)?.ok_or_else(|| self.wrong(key, "a text"))
    }

    /// Returns one of `choices`, the first if the key is not given.
    pub(super) fn choice<T: Copy>(&self, key: &str, choices: &[(&str, T)]) -> Result<T, Error> {
        let text = self.maybe_text(key)?;
        let chosen = choices.iter().find(|(name, _)| text.is_none_or(|text| text == *name));
        chosen.map(|(_, value)| *value).ok_or_else(|| {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            self.wrong(key, &names.join(" or "))
        })
    }

    /// Reads two numbers in either order. Returns the smaller one first.
    pub(super) fn maybe_span(&self, key: &str) -> Result<Option<(f64, f64)>, Error> {
        let Some(value) = self.get(key) else { return Ok(None) };
        match value.as_array().map(Vec::as_slice) {
            Some([a, b]) => match (a.as_f64(), b.as_f64()) {
                (Some(a), Some(b)) => Ok(Some((a.min(b), a.max(b)))),
                _ => Err(self.wrong(key, "two numbers")),
            },
            _ => Err(self.wrong(key, "two numbers")),
        }
    }

    /// Reads two numbers, of which each may be null.
    pub(super) fn maybe_limits(&self, key: &str) -> Result<(Option<f64>, Option<f64>), Error> {
        let Some(value) = self.get(key) else { return Ok((None, None)) };
        let limit = |value: &Value| value.is_null().then_some(None).or_else(|| value.as_f64().map(Some));
        let limits = match value.as_array().map(Vec::as_slice) {
            Some([low, high]) => limit(low).zip(limit(high)),
            _ => None,
        };
        limits.ok_or_else(|| self.wrong(key, "two numbers, or null"))
    }

    pub(super) fn maybe_texts(&self, key: &str) -> Result<Option<Vec<&'a str>>, Error> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let texts = value.as_array().and_then(|items| items.iter().map(Value::as_str).collect());
        texts.map(Some).ok_or_else(|| self.wrong(key, "a list of texts"))
    }

    pub(super) fn objects(&self, key: &str) -> Result<Vec<Config<'a>>, Error> {
        let must_be = "a list of objects";
        let items = self.get(key).and_then(Value::as_array).ok_or_else(|| self.wrong(key, must_be))?;
        let objects = items.iter().enumerate().map(|(i, item)| {
            let map = item.as_object().ok_or_else(|| self.wrong(key, must_be))?;
            Ok(Config { case: self.case, map, at: format!("{}.{key}[{i}]", self.at) })
        });
        objects.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_file_place_and_what_was_found() -> Result<(), Error> {
        let text =
            r#"{"kind": "kept", "config": {"value": "x", "n": 2.0, "of": [{"a": 1, "b": 2}], "c": null}}"#;
        let case = Case::parse("case.json", text)?;
        let config = case.config();
        let message = |result: Result<f64, Error>| result.map(|_| ()).unwrap_err().to_string();
        assert_eq!(message(config.number("value")), "case.json: config.value: must be a number, found \"x\"");
        assert_eq!(message(config.number("c")), "case.json: config.c: must be a number, found null");
        assert_eq!(config.count("n")?, 2);
        let limits = |text: &str| {
            let case = Case::parse("x", &format!("{{\"kind\": \"pid\", \"config\": {{\"of\": {text}}}}}"));
            case.and_then(|case| case.config().maybe_limits("of")).map_err(|error| error.to_string())
        };
        for wrong in ["[\"0\", 100]", "[0, true]", "[0]", "7"] {
            let told = limits(wrong).unwrap_err();
            assert!(told.contains("config.of: must be two numbers, or null, found "), "{wrong}: {told}");
        }
        assert_eq!(limits("[0, null]"), Ok((Some(0.0), None)));
        assert_eq!(limits("[null, 100]"), Ok((None, Some(100.0))));
        let of = config.objects("of")?;
        assert_eq!(message(of[0].number("z")), "case.json: config.of[0].z: must be a number, found nothing");
        of[0].number("a")?;
        assert_eq!(case.unknown_keys(), ["config.of[0].b"]);
        assert!(case.expect_kind(&["flags"]).is_err());
        assert!(Case::parse("x", "{\"kind\": 1}").is_err());
        Ok(())
    }
}
