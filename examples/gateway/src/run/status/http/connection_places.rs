//! Limit of HTTP connections, so low that they cost little memory. At the limit a new connection replaces the oldest one of the address with the
//! most, so that a probe is answered beside any number of slow clients.

use std::net::IpAddr;

use tokio::task::AbortHandle;

/// Most connections at a time; a scraper and two probes need three.
pub(super) const PLACES: usize = 32;

/// Connections that may still be open, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Places {
    taken: Vec<(IpAddr, AbortHandle)>,
}

impl Places {
    /// Adds a connection, for which another one may be closed.
    pub(super) fn take(&mut self, address: IpAddr, connection: AbortHandle) {
        self.taken.retain(|(_, connection)| !connection.is_finished());
        if self.taken.len() >= PLACES {
            let of = |address: &IpAddr| self.taken.iter().filter(|(other, _)| other == address).count();
            let most = self.taken.iter().map(|(address, _)| of(address)).max();
            if let Some(at) = self.taken.iter().position(|(address, _)| Some(of(address)) == most) {
                let (_, connection) = self.taken.remove(at);
                connection.abort();
            }
        }
        self.taken.push((address, connection));
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "test code")]
mod tests {
    use std::future::pending;

    use super::*;

    fn address(n: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, n])
    }

    #[tokio::test]
    async fn who_comes_last_gets_the_oldest_place_of_who_has_most() {
        let mut places = Places::default();
        let mut take = |n| {
            let connection = tokio::spawn(pending::<()>());
            places.take(address(n), connection.abort_handle());
            connection
        };
        let (probe, scraper, few) = (take(1), take(2), [take(3), take(3)]);
        let many: Vec<_> = (0..200).map(|_| take(9)).collect();
        let last = take(1);
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
        assert!([&probe, &scraper, &few[0], &few[1], &last].iter().all(|kept| !kept.is_finished()));
        let open = many.iter().filter(|connection| !connection.is_finished()).count();
        assert_eq!(open, PLACES - 5);
        assert!(
            many.iter().rev().take(open).all(|connection| !connection.is_finished()),
            "the newest of them"
        );
    }

    #[tokio::test]
    async fn a_connection_that_ended_leaves_its_place() {
        let mut places = Places::default();
        let first = tokio::spawn(pending::<()>());
        places.take(address(1), first.abort_handle());
        for _ in 0..100 {
            let short = tokio::spawn(async {});
            places.take(address(1), short.abort_handle());
            short.await.unwrap();
        }
        assert!(!first.is_finished());
    }
}
