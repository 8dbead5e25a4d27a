//! Rate limit of the log lines about connections to the local broker: a cause is logged when it differs from the last one, and each cause at most
//! once an hour. Pure.

use crate::run::log::once_an_hour::OnceAnHour;

/// Content of the last log lines about the connection.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// Cause of the disconnection in the last line. `None`: the last line reported a connection, or there was none.
    told: Option<String>,
    /// Set once a line has reported a connection.
    was_there: bool,
    causes: OnceAnHour,
    losses: OnceAnHour,
}

impl Lines {
    /// Returns whether a line is due about a connection that ended, or could not be made.
    pub(super) fn away(&mut self, up_ms: u64, why: &str) -> bool {
        let is_due = self.told.as_deref() != Some(why) && self.causes.may_say(up_ms, why);
        if is_due {
            self.told = Some(why.to_owned());
        }
        is_due
    }

    /// Returns whether a line is due about a new connection: for the first one, and after a line about a disconnection.
    pub(super) fn there(&mut self) -> bool {
        !std::mem::replace(&mut self.was_there, true) | self.told.take().is_some()
    }

    /// Counts a session that the broker had lost: a broker without persistence loses it at each of its restarts. Returns the number of losses without a
    /// line since the last one, if a line is due.
    pub(super) fn session_lost(&mut self, up_ms: u64) -> Option<u64> {
        self.losses.line(up_ms, "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Attempts come every five seconds.
    #[test]
    fn a_broker_that_is_away_or_comes_and_goes_has_two_lines_an_hour_at_most() {
        let outages: [(bool, &[&str]); 3] =
            [(false, &["refused"]), (false, &["refused", "timed out"]), (true, &["closed"])];
        for (comes, causes) in outages {
            let mut lines = Lines::default();
            let (mut by_hour, mut causes) = ([0; 24], causes.iter().cycle());
            for second in (0..86_400).step_by(5) {
                let there = comes && lines.there();
                let away = lines.away(second * 1_000, causes.next().unwrap());
                by_hour[second as usize / 3_600] += u8::from(there) + u8::from(away);
            }
            assert!(
                by_hour.iter().all(|lines| *lines <= 3) && by_hour[1..].iter().all(|lines| *lines <= 2),
                "{by_hour:?}"
            );
        }
        let mut lines = Lines::default();
        assert!(lines.there() && !lines.there() && lines.away(0, "closed") && lines.there());
    }

    #[test]
    fn a_broker_that_loses_the_session_at_each_connection_has_one_line_an_hour_with_the_count() {
        let mut lines = Lines::default();
        let told: Vec<_> = (0..3 * 3_600).step_by(5).filter_map(|s| lines.session_lost(s * 1_000)).collect();
        assert_eq!(told, [0, 719, 719]);
    }
}
