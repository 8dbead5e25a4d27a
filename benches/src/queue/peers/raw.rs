//! The baseline.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::queue::incoming::{Incoming, MESSAGE_BYTES};
use crate::queue::peer::Peer;
use crate::queue::text;

/// Big enough that no run reaches the end, small enough to be written once in a second.
const RAW_BYTES: u64 = 96 << 20;

/// Append to a file whose blocks were all written before, fdatasync. Reading it is plain too.
pub(in crate::queue) struct Raw {
    file: File,
    cursor: File,
    written: u64,
    read: u64,
    incoming: Incoming,
    buffer: Vec<u8>,
}

impl Raw {
    pub(in crate::queue) fn create(dir: &Path) -> Result<Raw, String> {
        let open = |name: &str| {
            OpenOptions::new().create(true).truncate(true).read(true).write(true).open(dir.join(name))
        };
        let (file, cursor) = (open("raw").map_err(text)?, open("raw.cursor").map_err(text)?);
        let zeros = vec![0u8; 1 << 20];
        for at in (0..RAW_BYTES).step_by(1 << 20) {
            file.write_all_at(&zeros, at).map_err(text)?;
        }
        cursor.write_all_at(&[0; 4096], 0).and_then(|()| cursor.sync_all()).map_err(text)?;
        file.sync_all().map_err(text)?;
        Ok(Raw { file, cursor, written: 0, read: 0, incoming: Incoming::new(), buffer: Vec::new() })
    }
}

impl Peer for Raw {
    fn commit(&mut self, batch: usize) -> Result<(), String> {
        self.buffer.clear();
        for _ in 0..batch {
            self.buffer.extend_from_slice(&self.incoming.next());
        }
        if self.written + self.buffer.len() as u64 > RAW_BYTES {
            (self.written, self.read) = (0, 0);
        }
        self.file.write_all_at(&self.buffer, self.written).map_err(text)?;
        self.file.sync_data().map_err(text)?;
        self.written += self.buffer.len() as u64;
        Ok(())
    }

    fn drain(&mut self, chunk: usize, lag: usize) -> Result<usize, String> {
        let (mut count, mut marked) = (0, 0);
        while self.read < self.written {
            let bytes = ((chunk * MESSAGE_BYTES) as u64).min(self.written - self.read);
            self.buffer.resize(bytes as usize, 0);
            self.file.read_exact_at(&mut self.buffer, self.read).map_err(text)?;
            self.read += bytes;
            count += bytes as usize / MESSAGE_BYTES;
            if count >= marked + lag || self.read == self.written {
                marked = count;
                self.cursor.write_all_at(&self.read.to_le_bytes(), 0).map_err(text)?;
                self.cursor.sync_data().map_err(text)?;
            }
        }
        Ok(count)
    }
}
