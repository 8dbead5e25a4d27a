//! Figures of this process for the status at the hub: the days until its first certificate ends, and its resident memory.

#![allow(clippy::disallowed_methods, reason = "a shell: one small file of the kernel")]

use crate::run::hub::hub_status::Process;

use super::certificates::End;

/// Returns the figures of now.
pub(super) fn process(certificates: &[End]) -> Process {
    let memory_bytes =
        std::fs::read_to_string("/proc/self/status").ok().and_then(|status| resident_bytes(&status));
    Process { certificate_days: certificate_days(certificates), memory_bytes }
}

/// Returns the whole days until the first certificate ends. Lists of revoked ones do not count: a new one comes every few days.
fn certificate_days(certificates: &[End]) -> Option<u64> {
    certificates.iter().filter(|end| !end.role.is_list()).map(|end| end.days_left).min()
}

/// Reads the resident memory in bytes from the text of `/proc/self/status`, which has it in KiB; `None` if the text does not have it.
fn resident_bytes(status: &str) -> Option<u64> {
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(kib.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::super::certificates::Role;
    use super::*;

    fn end(role: Role, days_left: u64) -> End {
        let (is_near, has_ended, is_unreadable, is_foreign, unfit) = (false, false, false, false, None);
        End { role, at_s: Some(0), days_left, is_near, has_ended, is_unreadable, is_foreign, unfit }
    }

    /// Whoever watches many gateways renews by this number.
    #[test]
    fn the_hub_is_told_the_days_of_the_certificate_that_ends_first_and_of_no_list() {
        let ends = [
            end(Role::HubRevoked, 2),
            end(Role::Hub, 71),
            end(Role::Listener, 30),
            end(Role::HubAuthority, 900),
        ];
        assert_eq!(certificate_days(&ends), Some(30));
        assert_eq!(process(&ends).certificate_days, Some(30));
        assert_eq!(certificate_days(&ends[..1]), None);
        assert_eq!(certificate_days(&[]), None);
    }

    #[test]
    fn resident_memory_is_told_in_bytes_where_the_kernel_has_kibibytes() {
        let status = "Name:\tedge-gateway\nVmHWM:\t   99999 kB\nVmRSS:\t   13400 kB\nRssAnon:\t     1 kB\n";
        assert_eq!(resident_bytes(status), Some(13_400 * 1_024));
        assert_eq!(resident_bytes("Name:\tedge-gateway\n"), None);
        assert_eq!(resident_bytes("VmRSS:\tmuch kB\n"), None);
        assert!(process(&[]).memory_bytes.is_some_and(|bytes| bytes > 1 << 20), "{:?}", process(&[]));
    }
}
