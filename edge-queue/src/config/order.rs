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
    /// A row is *backlog* of a consumer if it was in the queue when the consumer asked for its first row in this run, or when it
    /// asked while it was behind: more than `behind_rows` live rows waited, or some of them were no longer in RAM (a lane keeps
    /// 256 KiB there besides the unwritten rows). Every other row is *live*. If more than sixteen times `behind_rows` rows wait
    /// at that moment, the newest half of `behind_rows` stays live as far as it is in RAM, because it was pushed just before an
    /// outage ended. A restart makes everything backlog. Only sequence numbers decide, never a clock.
    ///
    /// Bounds, counted in rows that `lease` hands out from this lane: a live row waits for the live rows before it, of which
    /// there are at most `behind_rows`, and for one row of backlog per `backlog_one_in - 1` of them and one more. While there is
    /// backlog every `backlog_one_in`-th row is its oldest. Rows already leased are out of the queue's hands, so lease few at a
    /// time.
    ///
    /// Costs no RAM, but a range of acknowledgements (see [`Consumer::lease`](crate::Consumer::lease)) each time the consumer
    /// falls behind in the middle of a backlog. Beyond 512 ranges the order is fifo until the backlog has closed some.
    LiveFirst {
        /// Number of rows of which one comes from the backlog while there is a backlog: 2 to 1000. 4 in [`Order::live_first`].
        backlog_one_in: u32,
        /// Number of live rows that may wait before all of them become backlog, 1 to 10 000. 64 in [`Order::live_first`].
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
