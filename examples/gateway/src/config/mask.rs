//! Masking of passwords in addresses, before a line of a configuration is shown. Passwords belong into files of their own, but may be written
//! into an address by mistake: before the host, or behind a `?` or a `#`, where an address of a hub has nothing. Or they stand at a key that is none, as
//! `password` is.

use std::borrow::Cow;

/// Returns the text with an ellipsis in place of every password: `scheme://user:…@host`, and in quotes also without a scheme.
pub(super) fn without_password(text: &str) -> Cow<'_, str> {
    if !may_have_password(text) {
        return Cow::Borrowed(text);
    }
    let (mut out, mut rest) = (String::new(), text);
    while let Some((at, quote)) = rest.char_indices().find(|(_, char)| QUOTES.contains(char)) {
        let (plain, quoted) = rest.split_at(at);
        out.push_str(&plain_text(plain));
        out.push(quote);
        let quoted = quoted.get(1..).unwrap_or_default();
        let Some(end) = end_of(quoted, quote) else {
            // No string of the file: perhaps an apostrophe.
            out.push_str(&address(quoted));
            return Cow::Owned(out);
        };
        let (inside, behind) = quoted.split_at(end);
        out.push_str(&address(inside));
        out.push(quote);
        rest = behind.get(1..).unwrap_or_default();
    }
    out.push_str(&plain_text(rest));
    Cow::Owned(out)
}

/// Returns whether there is something that marks an address.
pub(super) fn may_have_password(text: &str) -> bool {
    text.contains('@') || text.contains("://")
}

/// Returns a line of a file with an ellipsis in place of the value of each key that sounds like a secret. No key of the gateway has a secret as its
/// value, so what stands there was put at a mistyped one.
pub(super) fn without_secret_values(line: &str) -> Cow<'_, str> {
    let (mut out, mut rest) = (String::new(), line);
    while let Some((name, value)) = rest.split_once('=') {
        let value_at = rest.len() - value.trim_start().len();
        let (before, value) = rest.split_at(value_at);
        out.push_str(before);
        rest = value;
        if sounds_secret(name) {
            out.push('…');
            rest = behind_string(value);
        }
    }
    if out.contains('…') { Cow::Owned(out + rest) } else { Cow::Borrowed(line) }
}

/// Returns whether the last key of a text sounds like a secret. A key that ends in `_file` has a path.
pub(super) fn sounds_secret(text: &str) -> bool {
    let is_of_key = |char: char| char.is_alphanumeric() || char == '_' || char == '-';
    let name = text.trim_end_matches(|char: char| !is_of_key(char)).to_lowercase();
    let name = name.rsplit(|char: char| !is_of_key(char)).next().unwrap_or_default();
    let is_path = name.ends_with("_file");
    !is_path && (["pass", "pw"].contains(&name) || SECRETS.iter().any(|part| name.contains(part)))
}

/// Parts of names of secrets, also of mistyped ones.
const SECRETS: [&str; 10] =
    ["passw", "pasw", "passo", "passp", "sword", "secret", "token", "pwd", "psw", "credential"];

/// Returns what stands behind the string with which a text begins. Empty if it is no string of one line, since the end of the value is not known then.
fn behind_string(text: &str) -> &str {
    let Some(quote) = text.chars().next().filter(|char| ['"', '\''].contains(char)) else { return "" };
    let inside = text.get(1..).unwrap_or_default();
    match end_of(inside, quote) {
        // Perhaps the first line of a string of several.
        None | Some(0) => "",
        Some(end) => inside.get(end + 1..).unwrap_or_default(),
    }
}

const QUOTES: [char; 3] = ['"', '\'', '`'];

/// Returns the index of the quote that ends a string. In a string of `"`, a quote behind a backslash does not end it.
fn end_of(quoted: &str, quote: char) -> Option<usize> {
    let mut is_escaped = false;
    quoted.char_indices().find_map(|(at, char)| {
        let ends = char == quote && !is_escaped;
        is_escaped = quote == '"' && char == '\\' && !is_escaped;
        ends.then_some(at)
    })
}

/// Masks text outside of quotes, where only something behind a scheme is an address.
fn plain_text(text: &str) -> Cow<'_, str> {
    if text.contains("://") { address(text) } else { Cow::Borrowed(text) }
}

/// Masks the password of one address. A password may have any character, so it ends at the last `@`.
fn address(text: &str) -> Cow<'_, str> {
    let (scheme, rest) = text.split_at(text.find("://").map_or(0, |at| at + 3));
    let login = rest.rsplit_once('@').and_then(|(login, host)| Some((login.split_once(':')?.0, host)));
    let (before, host) = match login {
        Some((user, host)) => (Cow::Owned(format!("{scheme}{user}:…@")), host),
        None => (Cow::Borrowed(scheme), rest),
    };
    match host.find(['?', '#']).filter(|_| !scheme.is_empty()) {
        Some(end) => Cow::Owned(format!("{before}{}…", host.get(..=end).unwrap_or_default())),
        None if login.is_some() => Cow::Owned(format!("{before}{host}")),
        None => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_keys_that_sound_like_secrets_are_left_out() {
        for (text, shown) in [
            ("pasword = \"topsecret\"", "pasword = …"),
            ("password = topsecret, more", "password = …"),
            ("hub.passwd=\"top = \\\" secret\" # note", "hub.passwd=… # note"),
            ("hub = { \"pw\" = 'topsecret', url = \"x\" }", "hub = { \"pw\" = …, url = \"x\" }"),
            ("api_token = \"\"\"topsecret", "api_token = …"),
            ("PassPhrase = \"topsecret", "PassPhrase = …"),
            ("secret = [\"topsecret\"]", "secret = …"),
            ("password_file = \"hub.password\"", "password_file = \"hub.password\""),
            ("max_bypass_ms = 5", "max_bypass_ms = 5"),
            ("match = \"password\"", "match = \"password\""),
            ("topic = \"a/b\" # … = no secret", "topic = \"a/b\" # … = no secret"),
        ] {
            assert_eq!(without_secret_values(text), shown);
        }
    }

    #[test]
    fn passwords_in_addresses_are_left_out_and_all_else_stays() {
        for (text, shown) in [
            ("proxy = \"http://u:secret@proxy:1\" # x@y", "proxy = \"http://u:…@proxy:1\" # x@y"),
            ("proxy = 'http://u:se@cr/et@proxy:1'", "proxy = 'http://u:…@proxy:1'"),
            ("http://:secret@proxy", "http://:…@proxy"),
            ("\"mqtt://u:p@h\" or \"http://v:p@h\"", "\"mqtt://u:…@h\" or \"http://v:…@h\""),
            ("http://u:a://b@proxy:1", "http://u:…@proxy:1"),
            ("broker = \"u:secret@10.0.0.1:1883\"", "broker = \"u:…@10.0.0.1:1883\""),
            ("proxy = \"http://u:it's-secret@proxy:1\"", "proxy = \"http://u:…@proxy:1\""),
            (r#"proxy = "u:a\"secret@proxy:1" # it's"#, r#"proxy = "u:…@proxy:1" # it's"#),
            ("the hub's `u:secret@hub` is no address", "the hub's `u:…@hub` is no address"),
            ("the hub's address is u:x", "the hub's address is u:x"),
            ("topic = \"a/b\" # mail to a@b", "topic = \"a/b\" # mail to a@b"),
            ("url = \"mqtts://hub:8883\"", "url = \"mqtts://hub:8883\""),
            ("url = \"mqtts://h:1/?password=X\" # y", "url = \"mqtts://h:1/?…\" # y"),
            ("url = \"mqtts://u:p@h#secret\"", "url = \"mqtts://u:…@h#…\""),
            ("topic = \"a/#\" # b?", "topic = \"a/#\" # b?"),
            ("http://user@proxy:1", "http://user@proxy:1"),
            ("no address: a@b", "no address: a@b"),
        ] {
            assert_eq!(without_password(text), shown);
        }
    }
}
