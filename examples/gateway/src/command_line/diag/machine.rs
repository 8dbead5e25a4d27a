//! Facts about the machine: system, memory, disk of the state directory, clock, limits.

#![allow(clippy::disallowed_methods, reason = "a command: it reads what the kernel tells")]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use edge_queue::ClockSync;

use crate::open_files::OpenFiles;

/// Returns a line for each fact that can be had. `clock`: not known without a configuration.
pub(super) fn facts(state: Option<&Path>, clock: Option<ClockSync>, unix_s: u64) -> String {
    let mut text = String::new();
    let mut say = |name: &str, value: &str| {
        // Writing to a text does not fail.
        let _ = writeln!(text, "{name:<14}{}", value.trim_end());
    };
    say("kernel", &read("/proc/version"));
    let release = read("/etc/os-release");
    say("system", release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).unwrap_or("not known"));
    say("processor", std::env::consts::ARCH);
    say("uptime", &read("/proc/uptime"));
    say("load", &read("/proc/loadavg"));
    for line in
        read("/proc/meminfo").lines().filter(|line| line.starts_with("Mem") || line.starts_with("Swap"))
    {
        say("memory", line);
    }
    say("time", &format!("{unix_s} s since 1970"));
    say("clock source", &read("/sys/devices/system/clocksource/clocksource0/current_clocksource"));
    say(
        "clock",
        &clock.map_or_else(|| "not known: no configuration".to_owned(), |clock| format!("{clock:?}")),
    );
    let OpenFiles { soft, hard } = OpenFiles::of_this_process();
    say("open files", &format!("{soft}, {hard} at most"));
    if let Some(state) = state {
        say("disk", &disk(state));
    }
    text
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| format!("not known: {error}"))
}

/// Returns the room of the file system on which the directory is, and its kind.
fn disk(dir: &Path) -> String {
    let room = match rustix::fs::statvfs(dir) {
        Ok(about) => format!(
            "{} of {} bytes are free, {} of {} inodes",
            about.f_bavail.saturating_mul(about.f_frsize),
            about.f_blocks.saturating_mul(about.f_frsize),
            about.f_favail,
            about.f_files
        ),
        Err(error) => return format!("not known: {error}"),
    };
    let whole = fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
    let mounts = read("/proc/self/mounts");
    format!("{room}, {}", kind(&mounts, &whole).unwrap_or("kind not known"))
}

/// Returns the kind of the file system on which the path is. `mounts`: lines of device, place, kind, options; the last of the longest place is
/// what is seen there.
fn kind<'a>(mounts: &'a str, path: &Path) -> Option<&'a str> {
    let kinds = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (place, kind) = (unescaped(fields.next()?), fields.next()?);
        path.starts_with(&place).then_some((place.len(), kind))
    });
    kinds.max_by_key(|(length, _)| *length).map(|(_, kind)| kind)
}

/// Returns a place as it is: the kernel writes what would end a field or a line in octal digits.
fn unescaped(place: &str) -> String {
    let place = place.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n");
    place.replace("\\134", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_of_a_file_system_is_that_of_the_longest_place() {
        let mounts =
            "/dev/a / ext4 rw 0 0\n/dev/b /media/My\\040Stick\\134x vfat rw 0 0\n/dev/c /var xfs rw 0 0\n";
        let kind = |dir: &str| kind(mounts, Path::new(dir)).unwrap();
        assert_eq!(kind("/media/My Stick\\x/state"), "vfat");
        assert_eq!((kind("/media/My"), kind("/var/lib"), kind("/variable")), ("ext4", "xfs", "ext4"));
    }
}
