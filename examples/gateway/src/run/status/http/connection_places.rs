//! Limit of HTTP connections, so low that they cost little memory. At the limit a new connection replaces the oldest one of the address with the
//! most, so that a probe is answered beside any number of slow clients. No connection is replaced before it has had time for a request: clients that
//! connect again as soon as they are closed would otherwise close the probe that shares their address. So a flood of more than 640 connections a
//! second can delay others: they wait in the kernel until it is their turn.

use std::net::IpAddr;
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::Instant;

/// Most connections at a time; a scraper and two probes need three.
pub(super) const PLACES: usize = 32;
/// Time for which a connection keeps its place in any case, enough for a probe's request and its answer. The rate at which a flood is accepted is the
/// number of places by this.
const KEEPS: Duration = Duration::from_millis(50);

/// Connections that may still be open, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Places {
    taken: Vec<Place>,
}

#[derive(Debug)]
struct Place {
    address: IpAddr,
    connection: AbortHandle,
    since: Instant,
}

impl Places {
    /// Adds a connection, for which another one may be closed: then this waits until that one has had its time.
    pub(super) async fn take(&mut self, address: IpAddr, connection: AbortHandle) {
        if let Some(oldest) = self.find_replaced().and_then(|at| self.taken.get(at)) {
            tokio::time::sleep_until(oldest.since + KEEPS).await;
            // Others may have ended meanwhile.
            if let Some(at) = self.find_replaced() {
                self.taken.remove(at).connection.abort();
            }
        }
        self.taken.push(Place { address, connection, since: Instant::now() });
    }

    /// Returns the position of the connection that a new one replaces; `None`: there is room, perhaps because others have ended.
    fn find_replaced(&mut self) -> Option<usize> {
        self.taken.retain(|place| !place.connection.is_finished());
        if self.taken.len() < PLACES { None } else { self.oldest_of_most() }
    }

    /// Returns the position of the oldest connection of the address with the most.
    fn oldest_of_most(&self) -> Option<usize> {
        let of = |address: IpAddr| self.taken.iter().filter(|place| place.address == address).count();
        let most = self.taken.iter().map(|place| of(place.address)).max();
        self.taken.iter().position(|place| Some(of(place.address)) == most)
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

    async fn take(places: &mut Places, n: u8) -> tokio::task::JoinHandle<()> {
        let connection = tokio::spawn(pending::<()>());
        places.take(address(n), connection.abort_handle()).await;
        connection
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_last_gets_the_oldest_place_of_who_has_most() {
        let mut places = Places::default();
        let mut kept = Vec::new();
        for n in [1, 2, 3, 3] {
            kept.push(take(&mut places, n).await);
        }
        let mut many = Vec::new();
        for _ in 0..200 {
            many.push(take(&mut places, 9).await);
        }
        kept.push(take(&mut places, 1).await);
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
        assert!(kept.iter().all(|kept| !kept.is_finished()));
        let open = many.iter().filter(|connection| !connection.is_finished()).count();
        assert_eq!(open, PLACES - 5);
        assert!(
            many.iter().rev().take(open).all(|connection| !connection.is_finished()),
            "the newest of them"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_keeps_its_place_for_its_time() {
        let (mut places, begin) = (Places::default(), Instant::now());
        for _ in 0..PLACES {
            take(&mut places, 1).await;
        }
        assert_eq!(begin.elapsed(), Duration::ZERO, "there was room");
        for _ in 0..PLACES {
            take(&mut places, 1).await;
        }
        assert_eq!(begin.elapsed(), KEEPS, "the next as many wait once");
        take(&mut places, 2).await;
        assert_eq!(begin.elapsed(), KEEPS * 2);
    }

    #[tokio::test(start_paused = true)]
    async fn no_connection_is_closed_for_one_that_finds_room_after_its_wait() {
        let mut places = Places::default();
        let oldest = take(&mut places, 1).await;
        for _ in 2..PLACES {
            take(&mut places, 1).await;
        }
        let short = tokio::spawn(tokio::time::sleep(KEEPS / 2));
        places.take(address(2), short.abort_handle()).await;
        let begin = Instant::now();
        take(&mut places, 3).await;
        assert_eq!(begin.elapsed(), KEEPS);
        assert!(short.is_finished());
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert!(!oldest.is_finished());
        let last = take(&mut places, 3).await;
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert!(oldest.is_finished() && !last.is_finished(), "now there is none");
    }

    #[tokio::test]
    async fn a_connection_that_ended_leaves_its_place() {
        let mut places = Places::default();
        let first = tokio::spawn(pending::<()>());
        places.take(address(1), first.abort_handle()).await;
        for _ in 0..100 {
            let short = tokio::spawn(async {});
            places.take(address(1), short.abort_handle()).await;
            short.await.unwrap();
        }
        assert!(!first.is_finished());
    }
}
