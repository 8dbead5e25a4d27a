//! Address of the hub: `mqtt://HOST:PORT` or `mqtts://HOST:PORT`.

use std::fmt;
use std::str::FromStr;

use super::host_port::{host_port, shown};

/// Address of the hub. New fields come only with a breaking release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Host name or IP address, without brackets.
    pub host: String,
    /// TCP port. Default 1883, with TLS 8883.
    pub port: u16,
    /// Set for `mqtts`, not set for `mqtt`.
    pub tls: bool,
}

/// Address of a hub as the application wrote it, unchecked. `Debug` shows it without the part before an `@`, which may be a password.
#[derive(Clone)]
pub(super) struct HubUrl(pub(super) String);

impl fmt::Debug for HubUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(without_login(&self.0).as_ref().unwrap_or(&self.0), f)
    }
}

/// Returns an address with an ellipsis in place of user and password; `None` if it has neither.
fn without_login(url: &str) -> Option<String> {
    let (before, place) = url.rsplit_once('@')?;
    let scheme = before.split_once("://").map(|(scheme, _)| format!("{scheme}://")).unwrap_or_default();
    Some(format!("{scheme}…@{place}"))
}

/// Error for a text that is not an address of a hub. Shows the text without the part before an `@`, which may be a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{shown}\": {problem}; expected mqtt://HOST:PORT or mqtts://HOST:PORT")]
pub struct TargetError {
    shown: String,
    problem: &'static str,
}

impl TargetError {
    fn new(url: &str, problem: &'static str) -> Self {
        match without_login(url) {
            Some(shown) => Self { shown, problem: "a user or a password does not belong into the address" },
            None => Self { shown: url.to_owned(), problem },
        }
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(url: &str) -> Result<Self, TargetError> {
        let error = |problem| TargetError::new(url, problem);
        let (scheme, rest) = url.split_once("://").ok_or_else(|| error("no scheme"))?;
        let tls = match scheme {
            "mqtt" => false,
            "mqtts" => true,
            _ => return Err(error("unknown scheme")),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = host_port(rest).map_err(error)?;
        let port = port.unwrap_or(if tls { 8883 } else { 1883 });
        Ok(Self { host: host.to_owned(), port, tls })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "mqtts" } else { "mqtt" };
        write!(f, "{scheme}://{}", shown(&self.host, self.port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for (url, shown) in [
            ("mqtt://hub", "mqtt://hub:1883"),
            ("mqtts://hub/", "mqtts://hub:8883"),
            ("mqtt://10.0.0.1:1", "mqtt://10.0.0.1:1"),
            ("mqtts://[::1]:8884", "mqtts://[::1]:8884"),
            ("mqtts://[fe80::1]", "mqtts://[fe80::1]:8883"),
        ] {
            let target: Target = url.parse().unwrap();
            assert_eq!(target.to_string(), shown);
            assert_eq!(shown.parse::<Target>().unwrap(), target);
        }
    }

    #[test]
    fn names_what_is_wrong() {
        for url in [
            "hub:1883",
            "http://hub",
            "mqtt://",
            "mqtt://hub:0",
            "mqtt://hub:65536",
            "mqtt://[::1",
            "mqtt://[::1]x",
            "mqtt://hub\u{7f}",
            "mqtt://hu\tb",
        ] {
            let error = url.parse::<Target>().unwrap_err().to_string();
            assert!(error.contains(url), "{error}");
        }
    }

    /// It was: the whole text, in an error that ends in logs, with "not a port" for what is a password.
    #[test]
    fn no_password_is_shown() {
        for url in [
            "mqtt://u:secret@hub:1883",
            "u:secret@hub:1883",
            "mqtts://a@secret:p@hub:1883",
            "http://u:secret@hub:1883",
        ] {
            let error = url.parse::<Target>().unwrap_err();
            for said in [error.to_string(), format!("{error:?}")] {
                assert!(
                    !said.contains("secret") && said.contains("…@hub:1883") && said.contains("a password"),
                    "{said}"
                );
            }
        }
    }
}
