//! Passwords in addresses, which belong into files: what is shown of such a line of a configuration has none.

use std::borrow::Cow;

/// Returns the text with an ellipsis in place of every password: `scheme://user:…@host`.
pub(super) fn without_password(text: &str) -> Cow<'_, str> {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once("://") {
        out.push_str(before);
        out.push_str("://");
        rest = after;
        // A password may hold any character but the quotes around the address.
        let end = after.find(['"', '\'']).unwrap_or(after.len());
        let address = after.get(..end).unwrap_or(after);
        if let Some((login, _)) = address.rsplit_once('@')
            && let Some((user, _)) = login.split_once(':')
        {
            out.push_str(user);
            out.push_str(":…");
            rest = after.get(login.len()..).unwrap_or("");
        }
    }
    if out.is_empty() {
        return Cow::Borrowed(text);
    }
    out.push_str(rest);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_in_addresses_are_left_out_and_all_else_stays() {
        for (text, shown) in [
            ("proxy = \"http://u:secret@proxy:1\" # x@y", "proxy = \"http://u:…@proxy:1\" # x@y"),
            ("proxy = 'http://u:se@cr/et@proxy:1'", "proxy = 'http://u:…@proxy:1'"),
            ("http://:secret@proxy", "http://:…@proxy"),
            ("\"mqtt://u:p@h\" or \"http://v:p@h\"", "\"mqtt://u:…@h\" or \"http://v:…@h\""),
            ("http://u:a://b@proxy:1", "http://u:…@proxy:1"),
            ("url = \"mqtts://hub:8883\"", "url = \"mqtts://hub:8883\""),
            ("http://user@proxy:1", "http://user@proxy:1"),
            ("no address: a@b", "no address: a@b"),
        ] {
            assert_eq!(without_password(text), shown);
        }
    }
}
