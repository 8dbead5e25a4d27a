//! Warning of `edge-gateway check` for a wall clock that is trusted by the configuration and cannot be right.

#![allow(clippy::disallowed_methods, reason = "a command: it looks at this machine's clock")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::config::Config;
use crate::run::certificate_floor::RELEASED_S;

/// Returns the warning if `[clock] trusted` is set and this machine's clock is before the day of this program's release.
pub(super) fn warning(config: &Config) -> Option<String> {
    warning_at(config, SystemTime::now())
}

fn warning_at(config: &Config, now: SystemTime) -> Option<String> {
    let released = UNIX_EPOCH + Duration::from_secs(RELEASED_S);
    let days = released.duration_since(now).ok()?.as_secs() / 86_400;
    (config.trusts_clock && days > 0).then(|| {
        format!(
            "[clock] trusted: this machine's clock is {days} days before the release of this program, so it is not right: times of messages and readings, and max_age, go by it all the same"
        )
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_trusted_clock_of_1970_is_warned_of_and_no_other() {
        let config = |clock: &str| {
            let text = format!(
                "[gateway]\nid=\"a\"\n[local]\nlisten=\"127.0.0.1:1\"\n[hub]\nurl=\"mqtt://h\"\n[[route]]\nmatch=\"#\"\n{clock}"
            );
            Config::parse(Path::new("g.toml"), &text, &|_| None).unwrap().0
        };
        let trusted = config("[clock]\ntrusted = true\n");
        let said = warning_at(&trusted, UNIX_EPOCH + Duration::from_secs(86_400)).unwrap();
        assert!(said.starts_with("[clock] trusted: ") && said.contains(" days before"), "{said}");
        assert_eq!(warning_at(&trusted, UNIX_EPOCH + Duration::from_secs(RELEASED_S)), None);
        assert_eq!(warning_at(&config(""), UNIX_EPOCH), None);
    }
}
