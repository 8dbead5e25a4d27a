//! Connections of this process whose hubs have sent what they retain: at their next start only a new session brings it, because a value may be newer
//! here. Pure.

use super::Plan;

/// Plans as they were when their hub sent it.
#[derive(Default)]
pub(crate) struct RetainedTaken(Vec<Plan>);

impl RetainedTaken {
    /// Records that the hub of a plan has sent what it retains.
    pub(crate) fn note(&mut self, plan: &Plan) {
        self.0.retain(|taken| taken.section.name != plan.section.name);
        self.0.push(plan.clone());
    }

    /// Returns by how many of a plan's first `in` rules this process got it, for the same connection from the same addresses. A rule behind one that
    /// changed may have other topics than before: the first that matches has a topic.
    pub(crate) fn rules(&self, plan: &Plan) -> usize {
        let taken = self.0.iter().find(|taken| {
            let (one, other) = (&taken.section, &plan.section);
            one.name == other.name && one.addresses == other.addresses
        });
        taken.map_or(0, |taken| {
            taken.in_rules().zip(plan.in_rules()).take_while(|(one, other)| one == other).count()
        })
    }

    /// Forgets connections that are none of these plans'.
    pub(crate) fn keep_those_of(&mut self, plans: &[Plan]) {
        self.0.retain(|taken| plans.iter().any(|plan| plan.section.name == taken.section.name));
    }
}

#[cfg(test)]
mod tests {
    use edge_bridge::wire::RetainHandling;

    use super::*;
    use crate::plan::tests::plans_of;

    fn plan(address: &str, more: &str) -> Plan {
        let dir = tempfile::tempdir().unwrap();
        plans_of(dir.path(), &format!("connection up\naddress {address}\n{more}\n")).remove(0)
    }

    /// Number of subscriptions that bring what the hub retains.
    fn asked(plan: &Plan, taken: &RetainedTaken) -> usize {
        let mut as_broker = plan.clone();
        as_broker.local = None;
        let filters = as_broker.in_filters_beyond(taken);
        filters.iter().filter(|wanted| wanted.retain_handling == RetainHandling::Send).count()
    }

    /// A broker would never get what its hub retains for a prefix that is new here, or for a connection that could not connect before; what it has may
    /// be newer than at the hub.
    #[test]
    fn what_was_taken_counts_for_the_same_hub_and_rules() {
        let former = plan("hub", "topic # in 1 old/ r/\ntopic x in");
        let other_prefix = plan("hub", "topic # in 1 new/ r/\ntopic x in\ntopic y out");
        let more = plan("hub", "topic y out\ntopic # in 1 old/ r/\ntopic x in\ntopic z in");
        let mut taken = RetainedTaken::default();
        assert_eq!(asked(&former, &taken), 2, "the first start");
        taken.note(&former);
        assert_eq!(asked(&former, &taken), 0);
        assert_eq!(asked(&more, &taken), 1, "the new one");
        assert_eq!(asked(&other_prefix, &taken), 2, "what stands behind a changed one too");
        assert_eq!(asked(&plan("hub", "topic x in"), &taken), 1, "the first had its topic");
        assert_eq!(asked(&plan("other", "topic # in 1 old/ r/\ntopic x in"), &taken), 2);
        taken.note(&other_prefix);
        assert_eq!((asked(&other_prefix, &taken), asked(&former, &taken)), (0, 2));
        taken.keep_those_of(&[]);
        assert_eq!(asked(&other_prefix, &taken), 2, "a section that was removed begins anew");
    }
}
