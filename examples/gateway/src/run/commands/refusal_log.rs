//! Rate limit of the log lines about refused commands: one a minute for all, because each refusal has its answer.

#![allow(clippy::disallowed_methods, reason = "a shell: time")]

use edge_bridge::escape::Escaped;
use tokio::time::Instant;

use super::super::log::once_a_minute::OnceAMinute;
use super::answer::Reason;

/// Refused commands since the last line.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    line: OnceAMinute,
    untold: u64,
}

impl Refusals {
    pub(super) fn tell(&mut self, command: &str, reason: Reason) {
        self.untold += 1;
        if self.line.may_say(Instant::now()) {
            let refused = std::mem::take(&mut self.untold);
            tracing::warn!(command = %format_args!("\"{}\"", Escaped(command)), reason = reason.as_str(), refused, "command of the hub refused");
        }
    }
}
