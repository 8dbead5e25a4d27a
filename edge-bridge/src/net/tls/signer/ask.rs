//! Asks a signer over its Unix socket. Blocks, within one time limit for all of it, however slowly the answer comes in.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::path::Path;
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};

use super::error::SignerError;
use super::exchange::{ANSWER_HEAD_BYTES, AnswerHead};

/// Time until which an exchange has to be over.
#[derive(Clone, Copy)]
struct Deadline {
    within: Duration,
    until: Instant,
}

impl Deadline {
    fn new(within: Duration) -> Self {
        Self { within, until: Instant::now() + within }
    }

    fn left(self) -> Result<Duration, SignerError> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(SignerError::Late(self.within)) } else { Ok(left) }
    }

    /// Returns the error of a system call, which may be that it waited too long.
    fn error(self, error: io::Error, other: fn(io::Error) -> SignerError) -> SignerError {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => SignerError::Late(self.within),
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => SignerError::Closed,
            _ => other(error),
        }
    }
}

/// Sends a request and returns what the answer carries.
///
/// # Errors
///
/// The signer cannot be reached, is late, refuses, or does not answer by the protocol.
pub(super) fn ask(socket: &Path, request: &[u8], within: Duration) -> Result<Vec<u8>, SignerError> {
    let deadline = Deadline::new(within);
    let mut stream = connect(socket, deadline)?;
    match send(&mut stream, request, deadline) {
        // It may have refused before it read all.
        Ok(()) | Err(SignerError::Closed) => {}
        Err(error) => return Err(error),
    }
    let mut head = [0; ANSWER_HEAD_BYTES];
    receive(&mut stream, &mut head, deadline)?;
    let head = AnswerHead::decode(head)?;
    let mut body = vec![0; head.length];
    receive(&mut stream, &mut body, deadline)?;
    head.result(body)
}

fn connect(socket: &Path, deadline: Deadline) -> Result<Socket, SignerError> {
    let address = SockAddr::unix(socket).map_err(SignerError::Unreachable)?;
    let stream = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(SignerError::Connection)?;
    // A signer that accepts nobody lets callers wait once a few do.
    stream.set_write_timeout(Some(deadline.left()?)).map_err(SignerError::Connection)?;
    match stream.connect(&address) {
        Ok(()) => Ok(stream),
        Err(error) => Err(deadline.error(error, SignerError::Unreachable)),
    }
}

fn send(stream: &mut Socket, mut request: &[u8], deadline: Deadline) -> Result<(), SignerError> {
    while !request.is_empty() {
        stream.set_write_timeout(Some(deadline.left()?)).map_err(SignerError::Connection)?;
        match stream.write(request) {
            Ok(0) => return Err(SignerError::Closed),
            Ok(sent) => request = request.get(sent..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(deadline.error(error, SignerError::Connection)),
        }
    }
    // For a signer that reads to the end. One that has closed already is noticed by its answer.
    let _ = stream.shutdown(Shutdown::Write);
    Ok(())
}

fn receive(stream: &mut Socket, mut buffer: &mut [u8], deadline: Deadline) -> Result<(), SignerError> {
    while !buffer.is_empty() {
        stream.set_read_timeout(Some(deadline.left()?)).map_err(SignerError::Connection)?;
        match stream.read(buffer) {
            Ok(0) => return Err(SignerError::Closed),
            Ok(received) => buffer = buffer.get_mut(received..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(deadline.error(error, SignerError::Connection)),
        }
    }
    Ok(())
}
