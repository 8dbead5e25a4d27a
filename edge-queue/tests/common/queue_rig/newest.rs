//! Drop-oldest, judged by what was seen alone, without the reference: the leased ones and the newest of the rest.

use edge_queue::OnFull;
use edge_queue::testing::JudgeRule;

use super::{Rig, Rule, Violation};

impl Rig {
    /// Whether `found`, what a consumer got after a power cut at boundary `at`, is the newest of what it should have got:
    /// rows that nobody ever leased are all newer than every receipted row that is missing.
    pub(super) fn newest_are_kept(
        &self,
        name: &str,
        lane: usize,
        found: &[u64],
        at: usize,
        now_ms: u64,
    ) -> Result<(), Violation> {
        let order = found.windows(2).find(|pair| pair[0] >= pair[1]);
        Rule::Order.require(order.is_none(), || format!("{name}: one after the other: {order:?}"))?;
        let before = |when: Option<usize>| when.is_some_and(|when| when <= at);
        let free = |id: &&u64| self.rows.get(*id).is_some_and(|known| !before(known.leased_at));
        let oldest = found.iter().find(free).copied().unwrap_or(u64::MAX);
        let gone = |id: u64| {
            let known = &self.rows[&id];
            known.lane == lane
                && before(known.stored_at)
                && (name == super::NAMES[0] || known.consumers == super::NAMES.len())
                && !before(known.ended_at.get(name).copied())
                && known.expires_ms.is_none_or(|expires| now_ms < expires)
                && !found.contains(&id)
        };
        let own_limit = name == super::NAMES[1] && self.setup.log_messages.is_some();
        let evicts = own_limit || self.setup.lanes[lane].on_full == OnFull::DropOldest;
        let newest = self.rows.keys().rev().copied().find(|id| gone(*id));
        match newest {
            Some(id) if !evicts => {
                Rule::ReceiptedRow.broken(|| format!("{name}: receipted row {id} is lost"))
            }
            Some(id) if id > oldest => {
                Rule::NewestKept.broken(|| format!("{name}: row {id} was dropped and row {oldest} kept"))
            }
            _ => Ok(()),
        }
    }
}
