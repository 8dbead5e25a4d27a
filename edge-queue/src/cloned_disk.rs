//! Detection of cloned disks: a copy of a queue that is opened on another machine delivers what waits in it a second time. The queue's directory
//! has a file with the fingerprint of the machine that opened it last, so that an open on another machine is noticed and reported. Identities do
//! not rest on it: each open takes an epoch of its own.

use std::io;

use crate::event::Event;
use crate::medium::Dir;
use crate::shell::Machine;

const FILE: &str = "machine";
const FILE_NEW: &str = "machine.new";
/// Most bytes of the file that are read, more than any that was written.
const BYTES_MAX: u64 = 4096;

/// Returns what an operator is told of the machine that opened the queue last: that it was another than `here`, or that the note of it is damaged.
/// Writes the fingerprint of this machine, so that each change of machine is reported once. The caller holds the directory's lock. If the file
/// cannot be read or written, only this check is lost; the queue works.
pub(crate) fn last_machine(dir: &dyn Dir, here: &Machine) -> Option<Event> {
    if here.is_unknown() {
        return None;
    }
    let before = read(dir);
    let told = match &before {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Ok(before) if !before.is_unknown() => here.is_other_than(before).then_some(Event::OtherMachine),
        _ => Some(Event::MachineUnknown),
    };
    if !before.is_ok_and(|before| before == *here) {
        let _without_a_note = write(dir, here);
    }
    told
}

/// Reads the fingerprint, which has at least one line where it is whole.
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
        let other = Some(Event::OtherMachine);
        assert_eq!(last_machine(&dir, &first), None, "a new queue");
        assert_eq!((last_machine(&dir, &first), last_machine(&dir, &Machine::default())), (None, None));
        assert_eq!((last_machine(&dir, &second), last_machine(&dir, &second)), (other.clone(), None));
        assert_eq!(last_machine(&dir, &first), other, "and back");
        assert_eq!(dir.names(), [FILE]);
    }

    #[test]
    fn a_note_that_is_damaged_or_cannot_be_made_holds_nothing_up() {
        let dir = SimDir::new();
        let here = machine("port 00000000000000aa");
        assert_eq!(last_machine(&dir, &here), None);
        assert!(dir.damage(FILE, 0, &[0xff; 8]));
        assert_eq!(last_machine(&dir, &here), Some(Event::MachineUnknown));
        assert_eq!(last_machine(&dir, &here), None, "it is whole again");
        let failing = SimDir::new();
        failing.fail(Fault { call: Call::Sync, after: 0, error: FaultError::Io, sticky: true });
        assert_eq!(last_machine(&failing, &here), None);
    }
}
