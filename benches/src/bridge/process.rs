//! A child process and the processor time it used.

use std::process::{Child, Command};
use std::time::Duration;

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

    /// Time on a processor of all threads that it has, from `/proc/PID/task/TID/schedstat` (proc(5)): exact, where the
    /// ticks of `stat` are 10 ms.
    pub(super) fn cpu(&self) -> Result<Duration, String> {
        let tasks = format!("/proc/{}/task", self.0.id());
        let mut cpu = Duration::ZERO;
        for task in std::fs::read_dir(&tasks).map_err(|e| format!("{tasks}: {e}"))? {
            let path = task.map_err(|e| format!("{tasks}: {e}"))?.path().join("schedstat");
            let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
            cpu += on_cpu(&text).ok_or_else(|| format!("{} has an unknown form", path.display()))?;
        }
        Ok(cpu)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ended = self.0.kill();
        let _ended = self.0.wait();
    }
}

fn on_cpu(schedstat: &str) -> Option<Duration> {
    schedstat.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_field_is_time_on_a_processor() {
        assert_eq!(on_cpu("1500000 20 3\n"), Some(Duration::from_micros(1_500)));
        assert_eq!(on_cpu("nothing"), None);
    }
}
