//! The rules of the queue's crash rig.

use edge_queue::judge_rules;
use edge_queue::testing::JudgeRule;

pub(crate) type Violation = edge_queue::testing::Violation<Rule>;

judge_rules! {
    /// Something that every queue must do, in the order in which it is judged.
    pub(crate) enum Rule {
        /// A queue whose medium works opens and refuses no call.
        Refusal,
        /// No call panics.
        Panic,
        /// A push is taken or refused as the reference says.
        Push,
        /// A lease gives the rows that the reference gives, in its order.
        Lease,
        /// A commit that is due stores every row that waits, or acknowledgements alone.
        Commit,
        /// While the queue lives, its ledger is the reference's.
        LiveLedger,
        /// A receipt says what the reference says, when it does.
        Receipt,
        /// While the queue lives, each loss is in a gap record.
        LiveGaps,
        /// A row that comes out was pushed.
        Ghost,
        /// A row comes out as it was pushed.
        OtherBytes,
        /// A stored row keeps its identity.
        Identity,
        /// Rows come out in the order in which they were pushed.
        Order,
        /// A row with a receipt comes out, unless a limit may evict it.
        ReceiptedRow,
        /// Rows that a limit evicted are older than those that it left.
        NewestKept,
        /// A power cut is no damage.
        Damage,
        /// A power cut tears one commit.
        TornOnce,
        /// No count is lower than the committed ledger said before the power cut.
        Committed,
        /// The ledger adds up, and nothing is leased or quarantined.
        Balance,
        /// The rows that come out are those of one of the states.
        Rows,
        /// The figures of the ledger are those of one of the states.
        Figures,
        /// Rows given up are counted by their reason.
        Reasons,
        /// After a power cut each loss is in a gap record.
        Gaps,
        /// Consumers that were registered are known.
        Consumers,
    }
}

/// Gives what a call gave, or says that it was refused.
pub(super) fn accepted<T, E: std::fmt::Display>(call: &str, result: Result<T, E>) -> Result<T, Violation> {
    result.map_err(|e| Rule::Refusal.fatal(format!("{call} failed: {e}")))
}
