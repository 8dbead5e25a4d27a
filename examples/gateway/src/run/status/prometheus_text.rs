//! Prometheus text, format 0.0.4: writer of a page of metrics. Pure.

use std::fmt::Write;

use edge_bridge::Durations;

/// Longest value of a label, in characters.
const LABEL_CHARS_MAX: usize = 400;

/// Returns foreign text as the value of a label: backslash and quote are escaped, and characters that are neither printable ASCII nor letters or
/// digits become `?`.
pub(in crate::run) fn label(text: &str) -> String {
    let mut value = String::new();
    for c in text.chars().take(LABEL_CHARS_MAX) {
        match c {
            '\\' => value.push_str("\\\\"),
            '"' => value.push_str("\\\""),
            ' '..='~' => value.push(c),
            c if c.is_alphanumeric() => value.push(c),
            _ => value.push('?'),
        }
    }
    if text.chars().nth(LABEL_CHARS_MAX).is_some() {
        value.push_str("...");
    }
    value
}

/// Page of metrics, line by line.
#[derive(Default)]
pub(crate) struct Page(String);

impl Page {
    pub(in crate::run) fn into_text(self) -> String {
        self.0
    }

    pub(in crate::run) fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, "counter", help);
        self.line(format_args!("{name} {value}"));
    }

    pub(in crate::run) fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, "gauge", help);
        self.line(format_args!("{name} {value}"));
    }

    /// Adds a gauge of seconds. Milliseconds below 2^53 are exact.
    pub(in crate::run) fn age(&mut self, name: &str, help: &str, ms: u64) {
        self.head(name, "gauge", help);
        self.line(format_args!("{name} {}", ms as f64 / 1_000.0));
    }

    pub(in crate::run) fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    /// Adds one line per value of a label. The values are constants of this program, so nothing has to be escaped.
    pub(in crate::run) fn labelled(
        &mut self,
        name: &str,
        label: &str,
        values: impl IntoIterator<Item = (&'static str, u64)>,
    ) {
        for (value, count) in values {
            self.line(format_args!("{name}{{{label}=\"{value}\"}} {count}"));
        }
    }

    /// Adds a histogram in seconds. Milliseconds below 2^53 are exact.
    pub(in crate::run) fn histogram(&mut self, name: &str, help: &str, durations: &Durations) {
        self.head(name, "histogram", help);
        for (bound_ms, count) in durations.up_to() {
            self.line(format_args!("{name}_bucket{{le=\"{}\"}} {count}", bound_ms as f64 / 1_000.0));
        }
        let (count, sum_ms) = (durations.count(), durations.sum_ms());
        self.line(format_args!("{name}_bucket{{le=\"+Inf\"}} {count}"));
        self.line(format_args!("{name}_sum {}", sum_ms as f64 / 1_000.0));
        self.line(format_args!("{name}_count {count}"));
    }

    /// Adds a line. Writing to a `String` cannot fail.
    pub(in crate::run) fn line(&mut self, line: std::fmt::Arguments<'_>) {
        let written = self.0.write_fmt(line);
        debug_assert!(written.is_ok());
        self.0.push('\n');
    }
}
