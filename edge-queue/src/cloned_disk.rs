//! Detection of cloned disks: a copy of a queue that is opened on another machine gives its rows the same identities as the first machine gives
//! to other rows. The queue's directory has a file with the fingerprint of the machine that opened it last, so that an open on another machine is
//! noticed and reported.

use std::io;

use crate::medium::Dir;
use crate::shell::Machine;

const FILE: &str = "machine";
const FILE_NEW: &str = "machine.new";
/// Most bytes of the file that are read, more than any that was written.
const BYTES_MAX: u64 = 4096;

/// Returns whether another machine than `here` opened the queue last, and writes the fingerprint of this one, so that each change of machine is
/// reported once. The caller holds the directory's lock. If the file cannot be read or written, only this check is lost; the queue works.
pub(crate) fn comes_from_another(dir: &dyn Dir, here: &Machine) -> bool {
    if here.is_unknown() {
        return false;
    }
    let before = read(dir).unwrap_or_default();
    let is_other = here.is_other_than(&before);
    if before != *here {
        let _without_a_note = write(dir, here);
    }
    is_other
}

fn read(dir: &dyn Dir) -> io::Result<Machine> {
    let file = dir.open(FILE)?;
    let len = file.len()?.min(BYTES_MAX);
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
    file.read_at(0, &mut bytes)?;
    Ok(Machine::from_text(&String::from_utf8_lossy(&bytes)))
}

fn write(dir: &dyn Dir, here: &Machine) -> io::Result<()> {
    let mut file = dir.create(FILE_NEW)?;
    file.write_at(0, here.to_text().as_bytes())?;
    file.sync()?;
    dir.rename(FILE_NEW, FILE)?;
    dir.sync()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Call, Fault, FaultError, SimDir};

    fn machine(text: &str) -> Machine {
        Machine::from_text(text)
    }

    #[test]
    fn a_queue_that_changes_its_machine_is_told_of_once_on_each() {
        let dir = SimDir::new();
        let [first, second] = ["serial 00000000000000aa", "serial 00000000000000bb"].map(machine);
        assert!(!comes_from_another(&dir, &first), "a new queue");
        assert!(!comes_from_another(&dir, &first) && !comes_from_another(&dir, &Machine::default()));
        assert!(comes_from_another(&dir, &second) && !comes_from_another(&dir, &second));
        assert!(comes_from_another(&dir, &first), "and back");
        assert_eq!(dir.names(), [FILE]);
    }

    #[test]
    fn a_note_that_is_damaged_or_cannot_be_made_holds_nothing_up() {
        let dir = SimDir::new();
        let here = machine("port 00000000000000aa");
        assert!(!comes_from_another(&dir, &here));
        assert!(dir.damage(FILE, 0, &[0xff; 8]));
        assert!(!comes_from_another(&dir, &here));
        let failing = SimDir::new();
        failing.fail(Fault { call: Call::Sync, after: 0, error: FaultError::Io, sticky: true });
        assert!(!comes_from_another(&failing, &here));
    }
}
