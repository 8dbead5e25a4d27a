//! Answers to commands that the hub refuses.

use edge_bridge::wire::ReasonCode;

use crate::run::hub::hub_refusals::RefusedAnswers;
use crate::run::status::snapshot::test_snapshots::{figures, snapshot};
use crate::run::status::snapshot::{Level, Need};

/// Need while answers are refused on these topics, for these reasons and seconds.
fn told(refused: &[(&str, ReasonCode, u64)]) -> Option<Need> {
    let mut figures = figures();
    let answers = refused.iter().map(|(topic, reason, since_s)| RefusedAnswers {
        topic: (*topic).to_owned(),
        reason: *reason,
        since_s: *since_s,
    });
    figures.sample.refused.refused_answers = answers.collect();
    let mut needs = snapshot(&figures).needs;
    assert!(needs.len() <= 1, "{needs:?}");
    needs.pop()
}

#[test]
fn a_topic_of_answers_that_the_hub_denies_is_named_with_the_remedy() {
    let denied = ReasonCode::NOT_AUTHORIZED;
    assert_eq!(told(&[]), None);
    let need = told(&[("edge/answers/site7", denied, 7_200)]).unwrap();
    assert_eq!((need.id.as_str(), need.level), ("answers", Level::Act));
    assert_eq!(
        need.text,
        "The hub refuses answers to commands on \"edge/answers/site7\": 0x87 Not authorized, for 2 h. They are dropped."
    );
    for part in ["Let client site7 publish to \"edge/answers/site7\" at the hub", "`answers` of [[command]]"]
    {
        assert!(need.action.contains(part), "{}", need.action);
    }
    for (since_s, since) in
        [(59, "authorized. They"), (119, ", for 1 min. They"), (9_059, ", for 2 h 30 min.")]
    {
        let need = told(&[("edge/answers/site7", denied, since_s)]).unwrap();
        assert!(need.text.contains(since), "{}", need.text);
    }
    let quota = told(&[("edge/answers/site7", ReasonCode::QUOTA_EXCEEDED, 60)]).unwrap();
    assert!(quota.text.contains("0x97") && !quota.action.contains("publish to"), "{quota:?}");
}

/// Whoever commands chooses it.
#[test]
fn a_response_topic_that_the_hub_denies_is_worth_a_look_and_stands_behind_that_of_a_rule() {
    let (denied, other) = (ReasonCode::NOT_AUTHORIZED, ("hmi/answers", ReasonCode::NOT_AUTHORIZED, 9_000));
    let need = told(&[("ask/1", denied, 10), other, ("ask/2", denied, 20)]).unwrap();
    assert_eq!(need.level, Level::Look);
    assert!(need.text.contains("on \"hmi/answers\", and on 2 more: 0x87"), "{}", need.text);
    assert!(need.action.contains("another Response Topic"), "{}", need.action);
    let need = told(&[("edge/answers/site7", denied, 10), other]).unwrap();
    assert_eq!(need.level, Level::Act);
    assert!(need.text.contains("on \"edge/answers/site7\", and on 1 more: 0x87"), "{}", need.text);
}
