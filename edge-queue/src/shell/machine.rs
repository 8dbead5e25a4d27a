//! Identity of the machine, by which a disk cloned onto another machine is recognised.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Kinds of fingerprints, the surest first: the first kind that two machines both have decides whether they are one.
const KINDS: [&str; 3] = ["serial", "board", "port"];
/// Most network ports that are read; a machine has few.
const PORTS_MAX: usize = 16;

/// Fingerprints of a machine's hardware, one line each: `KIND HASH`. Empty if nothing distinguishes machines, as in most containers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Machine(BTreeSet<String>);

impl Machine {
    /// Returns the machine that this process runs on.
    pub(crate) fn here() -> Machine {
        Machine::below(Path::new("/"))
    }

    /// Reads the hardware identity that the kernel shows, below the root of a file system.
    fn below(root: &Path) -> Machine {
        let mut machine = Machine::default();
        let text = |path: &Path| fs::read_to_string(path).unwrap_or_default();
        machine.add("serial", &text(&root.join("sys/firmware/devicetree/base/serial-number")));
        // Readable by root alone.
        machine.add("board", &text(&root.join("sys/class/dmi/id/product_uuid")));
        let ports = fs::read_dir(root.join("sys/class/net")).into_iter().flatten().flatten();
        for port in ports.take(PORTS_MAX).map(|port| port.path()) {
            // Of hardware, with the address that it was made with: bridges and the ends of tunnels come and go.
            if port.join("device").exists() && text(&port.join("addr_assign_type")).trim() == "0" {
                machine.add("port", &text(&port.join("address")));
            }
        }
        machine
    }

    fn add(&mut self, kind: &str, text: &str) {
        let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
        // What a vendor did not fill in is no identity.
        if text.chars().any(|c| c.is_ascii_alphanumeric() && c != '0') {
            self.0.insert(format!("{kind} {:016x}", hash(text)));
        }
    }

    /// Returns whether nothing distinguishes this machine from others.
    pub(crate) fn is_unknown(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether the two are certainly not the same machine.
    pub(crate) fn is_other_than(&self, machine: &Machine) -> bool {
        let of = |machine: &Machine, kind: &str| -> BTreeSet<String> {
            machine.0.iter().filter(|line| line.split(' ').next() == Some(kind)).cloned().collect()
        };
        let both = KINDS.iter().map(|kind| (of(self, kind), of(machine, kind)));
        let mut surest = both.filter(|(a, b)| !a.is_empty() && !b.is_empty());
        surest.next().is_some_and(|(a, b)| a.is_disjoint(&b))
    }

    /// Returns the machine as the text of a file.
    pub(crate) fn to_text(&self) -> String {
        self.0.iter().fold(String::new(), |text, line| text + line + "\n")
    }

    /// Reads a machine from the text of a file; lines that are no fingerprint are skipped.
    pub(crate) fn from_text(text: &str) -> Machine {
        let is_ours = |line: &&str| {
            let mut words = line.split(' ');
            words.next().is_some_and(|kind| KINDS.contains(&kind))
                && words.next().is_some_and(|hash| hash.len() == 16)
        };
        Machine(text.lines().filter(is_ours).take(PORTS_MAX + KINDS.len()).map(str::to_owned).collect())
    }
}

/// Hash FNV-1a of a text: the same over all versions of this crate, so that no serial number is stored in plain text.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(lines: &[(&str, &str)]) -> Machine {
        let mut machine = Machine::default();
        lines.iter().for_each(|(kind, text)| machine.add(kind, text));
        machine
    }

    #[test]
    fn the_surest_kind_that_both_have_decides() {
        let pi = machine(&[("serial", "10000000a\0"), ("port", "b8:27:eb:00:00:01")]);
        let dongle = machine(&[("serial", "10000000a"), ("port", "00:e0:4c:11:22:33")]);
        let clone = machine(&[("serial", "10000000b"), ("port", "b8:27:eb:00:00:01")]);
        assert!(!pi.is_other_than(&pi) && !pi.is_other_than(&dongle), "another port of the same machine");
        assert!(pi.is_other_than(&clone), "a port that was moved over");
        let ports = machine(&[("port", "b8:27:eb:00:00:01"), ("port", "b8:27:eb:00:00:02")]);
        assert!(!ports.is_other_than(&pi) && ports.is_other_than(&dongle));
        let board = machine(&[("board", "4c4c4544-0042")]);
        assert!(!board.is_other_than(&pi) && !Machine::default().is_other_than(&pi), "nothing to compare");
        assert!(machine(&[("serial", "0000000000000000"), ("board", " \n")]).is_unknown());
    }

    #[test]
    fn what_a_file_keeps_is_read_again_and_foreign_lines_are_not() {
        let pi = machine(&[("serial", "10000000a"), ("port", "b8:27:eb:00:00:01")]);
        assert_eq!(Machine::from_text(&pi.to_text()), pi);
        assert!(Machine::from_text("\u{0}\u{1}\nserial\nport 12\nother 0123456789abcdef\n").is_unknown());
        assert_eq!(hash("a"), 0xaf63_dc4c_8601_ec8c, "the hash is part of the format");
    }

    #[test]
    fn only_hardware_with_its_own_address_is_a_port() {
        let root = tempfile::tempdir().unwrap();
        let port = |name: &str, assigned: &str, has_device: bool, address: &str| {
            let dir = root.path().join("sys/class/net").join(name);
            fs::create_dir_all(&dir).unwrap();
            fs::write(dir.join("addr_assign_type"), assigned).unwrap();
            fs::write(dir.join("address"), address).unwrap();
            if has_device {
                fs::create_dir(dir.join("device")).unwrap();
            }
        };
        port("eth0", "0\n", true, "b8:27:eb:00:00:01\n");
        port("veth1", "0\n", false, "02:42:ac:11:00:02\n");
        port("eth1", "3\n", true, "02:42:ac:11:00:03\n");
        port("eth2", "0\n", true, "00:00:00:00:00:00\n");
        assert_eq!(Machine::below(root.path()), machine(&[("port", "b8:27:eb:00:00:01")]));
        assert!(Machine::below(&root.path().join("nowhere")).is_unknown());
    }
}
