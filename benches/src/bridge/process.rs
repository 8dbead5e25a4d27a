//! A child process and the processor time it used.

use std::process::{Child, Command};
use std::time::Duration;

/// USER_HZ, which Linux shows to programs as 100 on every architecture we build for.
const TICK: Duration = Duration::from_millis(10);

/// Killed when dropped.
pub(super) struct Process(Child);

impl Process {
    pub(super) fn spawn(command: &mut Command) -> Result<Process, String> {
        let name = command.get_program().to_string_lossy().into_owned();
        command.spawn().map(Process).map_err(|e| format!("{name}: {e}"))
    }

    pub(super) fn child(&mut self) -> &mut Child {
        &mut self.0
    }

    /// User and system time of all its threads, from `/proc/PID/stat` (proc(5), fields 14 and 15).
    pub(super) fn cpu(&self) -> Result<Duration, String> {
        let path = format!("/proc/{}/stat", self.0.id());
        let stat = std::fs::read_to_string(&path).map_err(|e| format!("{path}: {e}"))?;
        let ticks = ticks(&stat).ok_or_else(|| format!("{path} has an unknown form"))?;
        Ok(TICK * ticks)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ended = self.0.kill();
        let _ended = self.0.wait();
    }
}

fn ticks(stat: &str) -> Option<u32> {
    // The name in field 2 may hold spaces and brackets.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ').skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_may_hold_anything() {
        let stat = "12 (a ) b) S 1 12 12 0 -1 4194560 100 0 0 0 30 12 0 0 20 0 1 0 99 1 1";
        assert_eq!(ticks(stat), Some(42));
        assert_eq!(ticks("nothing"), None);
    }
}
