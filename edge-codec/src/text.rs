//! Output of text into byte vectors.

use std::io::Write;

/// Appends formatted text. Writing to a `Vec` cannot fail.
pub(crate) fn display(out: &mut Vec<u8>, what: std::fmt::Arguments<'_>) {
    let written = out.write_fmt(what);
    debug_assert!(written.is_ok());
}

/// Returns the number of decimal digits of a number.
#[cfg(feature = "json")]
pub(crate) fn decimal_len(number: u64) -> usize {
    number.checked_ilog10().unwrap_or(0) as usize + 1
}

/// Appends a JSON string (RFC 8259 §7). Quotes, backslashes and control characters are escaped.
#[cfg(feature = "json")]
pub(crate) fn json_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..0x20 => display(out, format_args!("\\u{byte:04x}")),
            other => out.push(other),
        }
    }
    out.push(b'"');
}
