//! Connections of this process whose hubs have sent what they retain: at their next start only a new session brings it, because a value may be newer
//! here. Pure.

use crate::plan::Plan;

/// Plans as they were when their hub sent it.
#[derive(Default)]
pub(crate) struct RetainedTaken(Vec<Plan>);

impl RetainedTaken {
    /// Records that the hub of a plan has sent what it retains.
    pub(crate) fn note(&mut self, plan: &Plan) {
        self.0.retain(|taken| taken.section.name != plan.section.name);
        self.0.push(plan.clone());
    }

    /// Returns whether this process got it from the same addresses, by the same rules.
    pub(crate) fn has(&self, plan: &Plan) -> bool {
        self.0.iter().any(|taken| {
            let (one, other) = (&taken.section, &plan.section);
            one.name == other.name && one.addresses == other.addresses && taken.rules() == plan.rules()
        })
    }

    /// Forgets connections that are none of these plans'.
    pub(crate) fn keep_those_of(&mut self, plans: &[Plan]) {
        self.0.retain(|taken| plans.iter().any(|plan| plan.section.name == taken.section.name));
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::tests::plans_of;

    use super::*;

    fn plan(address: &str, more: &str) -> Plan {
        let dir = tempfile::tempdir().unwrap();
        plans_of(dir.path(), &format!("connection up\naddress {address}\n{more}\n")).remove(0)
    }

    /// A broker would never get what its hub retains for a prefix that is new here, or for a connection that could not connect before.
    #[test]
    fn what_was_taken_counts_for_the_same_hub_and_rules() {
        let former = plan("hub", "topic # in 1 old/ r/");
        let other_prefix = plan("hub", "topic # in 1 new/ r/");
        let mut taken = RetainedTaken::default();
        assert!(!taken.has(&former), "the first start");
        taken.note(&former);
        assert!(taken.has(&former));
        assert!(taken.has(&plan("hub", "topic # in 1 old/ r/\nkeepalive_interval 30")));
        assert!(!taken.has(&other_prefix) && !taken.has(&plan("other", "topic # in 1 old/ r/")));
        taken.note(&other_prefix);
        assert!(taken.has(&other_prefix) && !taken.has(&former));
        taken.keep_those_of(&[]);
        assert!(!taken.has(&other_prefix), "a section that was removed begins anew");
    }
}
