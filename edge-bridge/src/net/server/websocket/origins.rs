//! Origins (RFC 6454) from which browsers may connect. Any web page can open a WebSocket to every host that its reader's browser reaches. The
//! browser sends the page's origin, and the server has to check it.

/// Origins that may connect beside the server's own.
#[derive(Debug, Default)]
pub(super) struct Origins {
    listed: Vec<String>,
}

impl Origins {
    pub(super) fn new(listed: Vec<String>) -> Self {
        Self { listed }
    }

    /// Returns whether a client may connect that sent this `Origin` and this `Host`. A client without an origin is not a browser, and may. The
    /// server's own origin is recognised by host and port alone, because programs send it with any scheme, and a browser cannot choose it.
    pub(super) fn allow(&self, origin: Option<&str>, host: &str) -> bool {
        let Some(origin) = origin else { return true };
        let is_own = origin
            .split_once("://")
            .is_some_and(|(_, authority)| without_port(authority).eq_ignore_ascii_case(without_port(host)));
        is_own || self.listed.iter().any(|listed| listed.eq_ignore_ascii_case(origin))
    }
}

/// Removes the default ports, which browsers leave out.
fn without_port(authority: &str) -> &str {
    authority.strip_suffix(":443").or_else(|| authority.strip_suffix(":80")).unwrap_or(authority)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_programs_the_own_origin_and_listed_ones_are_let_in() {
        let none = Origins::default();
        let some = Origins::new(vec!["https://panel.example".to_owned(), "null".to_owned()]);
        let host = "10.0.0.7:9001";
        for (origin, by_default, if_listed) in [
            (None, true, true),
            (Some("http://10.0.0.7:9001"), true, true),
            (Some("https://10.0.0.7:9001"), true, true),
            (Some("http://10.0.0.7"), false, false),
            (Some("http://10.0.0.7:90"), false, false),
            (Some("https://panel.example"), false, true),
            (Some("HTTPS://Panel.Example"), false, true),
            (Some("http://panel.example"), false, false),
            (Some("https://panel.example.evil.example"), false, false),
            (Some("https://evil.example"), false, false),
            (Some("null"), false, true),
            (Some(""), false, false),
            (Some("10.0.0.7:9001"), false, false),
        ] {
            assert_eq!(none.allow(origin, host), by_default, "{origin:?}");
            assert_eq!(some.allow(origin, host), if_listed, "{origin:?}");
        }
        assert!(none.allow(Some("https://gateway"), "gateway:443"));
    }
}
