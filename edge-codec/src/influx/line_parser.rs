//! Lines of the line protocol: measurement, tags, fields, time.

#![deny(clippy::indexing_slicing)]

use crate::error::quoted;
use crate::number_text::number;
use crate::{DecodeError, Limits, Value};
use std::borrow::Cow;

/// One line, parsed but not yet converted to readings.
#[derive(Debug, PartialEq)]
pub(super) struct Line<'a> {
    /// Byte offset of the line in the input.
    pub(super) offset: usize,
    pub(super) measurement: Cow<'a, str>,
    pub(super) tags: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    pub(super) fields: Vec<(Cow<'a, str>, Value<'a>)>,
    pub(super) time: Option<i64>,
}

impl<'a> Line<'a> {
    pub(super) fn wrong(&self, what: impl Into<Cow<'static, str>>) -> DecodeError {
        DecodeError::Malformed { offset: self.offset, what: what.into() }
    }
}

/// Reader of the lines of a text, one after the other. Comments and empty lines are skipped.
pub(super) struct Lines<'a, 'l> {
    text: &'a str,
    /// Byte offset of the next character.
    at: usize,
    limits: &'l Limits,
}

impl<'a, 'l> Lines<'a, 'l> {
    pub(super) fn new(text: &'a str, limits: &'l Limits) -> Self {
        Self { text, at: 0, limits }
    }

    pub(super) fn next(&mut self) -> Result<Option<Line<'a>>, DecodeError> {
        loop {
            self.skip(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0));
            match self.peek() {
                None => return Ok(None),
                Some(b'#') => self.skip(|byte| byte != b'\n'),
                Some(_) => return self.line().map(Some),
            }
        }
    }

    fn line(&mut self) -> Result<Line<'a>, DecodeError> {
        let offset = self.at;
        let measurement = self.word(b", ", "a measurement")?;
        let mut tags = Vec::new();
        while self.take(b',') {
            let key = self.word(b"=, ", "a tag's key")?;
            self.expect(b'=', "`=` behind a tag's key")?;
            let value = self.word(b"=, ", "a tag's value")?;
            self.add(&mut tags, key, value)?;
        }
        self.expect(b' ', "a blank before the fields")?;
        self.skip(|byte| byte == b' ');
        let mut fields = Vec::new();
        loop {
            let key = self.word(b"=, ", "a field's key")?;
            self.expect(b'=', "`=` behind a field's key")?;
            let value = self.value()?;
            self.add(&mut fields, key, value)?;
            if !self.take(b',') {
                break;
            }
        }
        let time = self.time()?;
        Ok(Line { offset, measurement, tags, fields, time })
    }

    /// Reads the time, if there is one, and the end of the line.
    fn time(&mut self) -> Result<Option<i64>, DecodeError> {
        self.skip(|byte| byte == b' ');
        let start = self.at;
        self.skip(|byte| !matches!(byte, b' ' | b'\r' | b'\n' | 0));
        let figures = self.text.get(start..self.at).unwrap_or_default();
        let time =
            match figures {
                "" => None,
                _ => Some(figures.parse().map_err(|_| {
                    malformed(start, "expected a time, a whole number, or the end of the line")
                })?),
            };
        self.skip(|byte| matches!(byte, b' ' | b'\r' | 0));
        if self.peek().is_some() {
            self.expect(b'\n', "the end of the line")?;
        }
        Ok(time)
    }

    /// Reads text up to an unescaped byte of `ends`. A backslash before `,`, `=` or a blank escapes it; before any other character it stands for
    /// itself.
    fn word(&mut self, ends: &[u8], name: &'static str) -> Result<Cow<'a, str>, DecodeError> {
        let start = self.at;
        let mut escapes = false;
        while let Some(byte) = self.peek().filter(|byte| !ends.contains(byte) && *byte != b'\n') {
            let is_escape = byte == b'\\' && matches!(self.ahead(1), Some(b',' | b'=' | b' '));
            escapes |= is_escape;
            self.at = self.at.saturating_add(if is_escape { 2 } else { 1 });
        }
        let word = self.text.get(start..self.at).unwrap_or_default();
        self.limits.check_text(start, word.as_bytes())?;
        if word.is_empty() {
            return Err(malformed(start, format!("expected {name}")));
        }
        Ok(if escapes { Cow::Owned(without_escapes(word, &[',', '=', ' '])) } else { Cow::Borrowed(word) })
    }

    fn value(&mut self) -> Result<Value<'a>, DecodeError> {
        if self.take(b'"') {
            return self.string().map(Value::Text);
        }
        let start = self.at;
        self.skip(|byte| !matches!(byte, b',' | b' ' | b'\r' | b'\n' | 0));
        let word = self.text.get(start..self.at).unwrap_or_default();
        plain_value(word).ok_or_else(|| DecodeError::Unexpected {
            offset: start,
            field: "a field".into(),
            expected: "a number, a number with i or u, a boolean or a text in quotation marks",
            found: quoted(word).into(),
        })
    }

    /// Reads a text up to its closing quotation mark. The opening one was read before.
    fn string(&mut self) -> Result<Cow<'a, str>, DecodeError> {
        let start = self.at;
        let mut escapes = false;
        loop {
            match self.peek() {
                None => return Err(DecodeError::Truncated { offset: self.text.len(), needed: 1 }),
                Some(b'"') => break,
                Some(b'\\') if matches!(self.ahead(1), Some(b'"' | b'\\')) => {
                    escapes = true;
                    self.at = self.at.saturating_add(2);
                }
                Some(_) => self.at = self.at.saturating_add(1),
            }
        }
        let text = self.text.get(start..self.at).unwrap_or_default();
        self.at = self.at.saturating_add(1);
        self.limits.check_text(start, text.as_bytes())?;
        Ok(if escapes { Cow::Owned(without_escapes(text, &['"', '\\'])) } else { Cow::Borrowed(text) })
    }

    /// Adds a tag or a field. Refuses a key that occurs twice in a line.
    fn add<T>(
        &self,
        all: &mut Vec<(Cow<'a, str>, T)>,
        key: Cow<'a, str>,
        value: T,
    ) -> Result<(), DecodeError> {
        let (offset, limit, found) = (self.at, self.limits.fields, all.len().saturating_add(1));
        if all.iter().any(|(other, _)| *other == key) {
            return Err(DecodeError::Duplicate { offset, field: key.into_owned().into() });
        }
        if found > limit {
            return Err(DecodeError::Limit { what: "fields", offset, limit, found: found as u64 });
        }
        all.push((key, value));
        Ok(())
    }

    fn peek(&self) -> Option<u8> {
        self.ahead(0)
    }

    fn ahead(&self, bytes: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at.checked_add(bytes)?).copied()
    }

    fn skip(&mut self, is_passed: impl Fn(u8) -> bool) {
        while self.peek().is_some_and(&is_passed) {
            self.at = self.at.saturating_add(1);
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_there = self.peek() == Some(byte);
        self.at = self.at.saturating_add(usize::from(is_there));
        is_there
    }

    fn expect(&mut self, byte: u8, name: &'static str) -> Result<(), DecodeError> {
        if self.take(byte) { Ok(()) } else { Err(malformed(self.at, format!("expected {name}"))) }
    }
}

/// Returns the value of a word without quotation marks; `None` if it is no value.
fn plain_value(word: &str) -> Option<Value<'static>> {
    match word {
        "t" | "T" | "true" | "True" | "TRUE" => return Some(Value::Bool(true)),
        "f" | "F" | "false" | "False" | "FALSE" => return Some(Value::Bool(false)),
        _ => {}
    }
    if let Some(figures) = word.strip_suffix('i') {
        return figures.parse().ok().map(Value::I64);
    }
    if let Some(figures) = word.strip_suffix('u') {
        return figures.parse().ok().map(Value::U64);
    }
    // A number without a suffix is a double.
    Some(match number(word)? {
        Value::I64(_) | Value::U64(_) => Value::F64(word.parse().ok()?),
        double => double,
    })
}

fn without_escapes(text: &str, escaped: &[char]) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let next = chars.peek().copied().filter(|next| c == '\\' && escaped.contains(next));
        plain.push(next.unwrap_or(c));
        if next.is_some() {
            chars.next();
        }
    }
    plain
}

fn malformed(offset: usize, what: impl Into<Cow<'static, str>>) -> DecodeError {
    DecodeError::Malformed { offset, what: what.into() }
}
