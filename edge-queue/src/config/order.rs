//! Order in which a consumer gets a lane's rows.

/// The order of rows within a lane, per consumer. Default [`Order::Fifo`]; configuration, so it may change at any open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Order {
    /// The order of pushes.
    #[default]
    Fifo,
    /// Rows pushed while a backlog is drained go before it, in the order of their pushes; the backlog, in its own
    /// order, keeps a guaranteed share. For data whose newest value counts and whose history is wanted too.
    ///
    /// A row is *backlog* of a consumer when it was there as the consumer asked for its first row in this run, or as it
    /// asked while more than `behind_rows` live rows waited (or rows no longer in RAM, of which a lane keeps 256 KiB
    /// besides the unwritten ones); every other row is *live*. Where more than sixteen times `behind_rows` wait then, the
    /// newest half of `behind_rows` stays live, as far as it is in RAM: what was pushed just before an outage ended. A
    /// restart makes everything backlog. Only sequence numbers decide, never a clock.
    ///
    /// Bounds, in rows handed out by `lease` from this lane: a live row waits for the live rows before it, at most
    /// `behind_rows`, and for one row of backlog per `backlog_one_in - 1` of them and one more; while there is backlog
    /// every `backlog_one_in`-th row is its oldest. Rows already leased are out of the queue's hands: lease few at a time.
    ///
    /// Cost: no RAM; each time the consumer falls behind in the middle of a backlog, one range of acknowledgements.
    /// Beyond 512 of those order is fifo until the backlog has closed some.
    LiveFirst {
        /// Rows leased for each one of the backlog, that one counted: 2 to 1000. 4 in [`Order::live_first`].
        backlog_one_in: u32,
        /// Live rows that may wait before all of them become backlog, 1 to 10 000. 64 in [`Order::live_first`].
        behind_rows: u32,
    },
}

impl Order {
    /// Live-first with a quarter of the rows for the backlog and 64 rows that may wait: some 16 KiB of small messages,
    /// half a second on a link of 32 kB/s.
    #[must_use]
    pub const fn live_first() -> Order {
        Order::LiveFirst { backlog_one_in: 4, behind_rows: 64 }
    }
}
