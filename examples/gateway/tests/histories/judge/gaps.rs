//! Gap reports of a history: the losses that the gateway counted are told at the hub.

use std::collections::{BTreeMap, BTreeSet};

use super::super::record::{Gap, Records};
use super::Rule;

pub(super) fn judge(records: &Records, say: &mut impl FnMut(Rule, String)) {
    let gaps: BTreeSet<&Gap> = records.gaps.iter().collect();
    for gap in &gaps {
        // Numbers of a range are those of one lane without others between them.
        if gap.count == 0 || gap.last_seq.checked_sub(gap.first_seq).is_none_or(|more| more < gap.count - 1) {
            say(Rule::Gap, format!("no range has so many: {gap:?}"));
        }
    }
    let told: u64 = gaps.iter().map(|gap| gap.count).sum();
    if told < records.dropped_before_last {
        say(Rule::Gap, format!("{} were given up, {told} told: {gaps:?}", records.dropped_before_last));
    }
    // What a kill brought back is told and not lost.
    let least = least(&gaps);
    if least > records.dropped && !records.runs.iter().any(|run| run.killed) {
        say(Rule::Gap, format!("{} were given up, at least {least} told: {gaps:?}", records.dropped));
    }
}

/// Messages that are lost if of records with common numbers all but the largest are earlier states of that one.
fn least(gaps: &BTreeSet<&Gap>) -> u64 {
    let mut by_reason: BTreeMap<(u8, &str), Vec<&Gap>> = BTreeMap::new();
    for gap in gaps {
        by_reason.entry((gap.lane, &gap.reason)).or_default().push(gap);
    }
    let mut sum = 0;
    for mut gaps in by_reason.into_values() {
        gaps.sort_by_key(|gap| gap.first_seq);
        let mut end = None;
        let mut largest = 0;
        for gap in gaps {
            if end.is_some_and(|end| gap.first_seq > end) {
                sum += std::mem::take(&mut largest);
            }
            largest = largest.max(gap.count);
            end = end.max(Some(gap.last_seq));
        }
        sum += largest;
    }
    sum
}
