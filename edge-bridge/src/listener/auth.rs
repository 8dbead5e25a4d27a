//! Authentication of clients by the application.

use crate::wire::{Connect, ReasonCode};

/// Decides about each CONNECT. Pure and quick: it is called on the shell's thread.
pub trait Authenticate: Send {
    /// `Err` refuses the client with a reason of CONNACK; [`BAD_USER_NAME_OR_PASSWORD`](ReasonCode::BAD_USER_NAME_OR_PASSWORD) and
    /// [`NOT_AUTHORIZED`](ReasonCode::NOT_AUTHORIZED) are those that 3.1.1 knows too.
    fn authenticate(&mut self, connect: &Connect) -> Result<(), ReasonCode>;
}

/// Lets everybody in: for loopback, and networks where the address is the authority.
#[derive(Debug, Clone, Copy, Default)]
pub struct AllowAnonymous;

impl Authenticate for AllowAnonymous {
    fn authenticate(&mut self, _: &Connect) -> Result<(), ReasonCode> {
        Ok(())
    }
}

impl<F: FnMut(&Connect) -> Result<(), ReasonCode> + Send> Authenticate for F {
    fn authenticate(&mut self, connect: &Connect) -> Result<(), ReasonCode> {
        self(connect)
    }
}
