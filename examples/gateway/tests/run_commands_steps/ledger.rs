//! Ledger of one plant: each command that the hub was given, each time that a valve got it, each answer at the hub; and the judgement over them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::support::arrivals::margin;

/// MQTT counts in whole seconds: a client may get a command in the second in which it expires.
pub const WHOLE_SECOND: Duration = Duration::from_secs(1);

/// Identity of a command for the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// A `cmd-id`, beside Correlation Data.
    CmdId,
    /// Its Correlation Data.
    Correlation,
    /// Its content, where the hub says with DUP that it comes again. Such a copy has an answer of its own, `copy`, which is no end.
    Content,
}

/// A command. Its payload is its name in the ledger, and its Response Topic is its own.
#[derive(Clone, Debug)]
pub struct Order {
    pub id: String,
    pub topic: String,
    pub expiry: Duration,
    pub identity: Identity,
    /// The hub has it since then, or longer.
    pub sent: Instant,
}

impl Order {
    pub fn new(id: &str, topic: &str, expiry_s: u64, identity: Identity) -> Self {
        let expiry = Duration::from_secs(expiry_s);
        Self { id: id.to_owned(), topic: topic.to_owned(), expiry, identity, sent: Instant::now() }
    }

    pub fn response_topic(&self) -> String {
        response_topic(&self.id)
    }

    /// Correlation Data, if it has some.
    pub fn correlation(&self) -> Option<&str> {
        (self.identity != Identity::Content).then_some(&self.id)
    }
}

pub fn response_topic(id: &str) -> String {
    format!("hmi/answers/{id}")
}

/// A valve got a command, and with it moved.
#[derive(Clone, Debug)]
pub struct Movement {
    pub id: String,
    /// The command came later than this, however late the valve read it.
    pub not_before: Instant,
}

/// An answer as it came to the hub. Copies of one have the same payload, with the same `at`, and the same Correlation Data.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Answer {
    pub topic: String,
    pub correlation: String,
    pub payload: String,
}

impl Answer {
    /// `delivered`, or the reason of a refusal.
    pub fn end(&self) -> String {
        let answer: serde_json::Value = serde_json::from_str(&self.payload).unwrap();
        let word = |key: &str| answer[key].as_str().map(str::to_owned);
        word("reason").or_else(|| word("result")).unwrap()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// A valve got it twice.
    Twice,
    /// A valve got it after its expiry.
    Late,
    /// It has no answer, and the hub did not drop it.
    Vanished,
    /// Two answers that are no copies of each other.
    TwoEnds,
    /// An answer says otherwise than the valves.
    Untrue,
    /// An answer belongs to no command, or has not its Correlation Data.
    Astray,
}

#[derive(Debug, Default)]
pub struct Ledger {
    pub orders: Vec<Order>,
    pub movements: Vec<Movement>,
    pub answers: Vec<Answer>,
    /// Identities of commands that expired at the hub, which tells nobody.
    pub dropped: BTreeSet<String>,
}

impl Ledger {
    pub fn moved(&self, id: &str) -> usize {
        self.movements.iter().filter(|movement| movement.id == id).count()
    }

    /// Answers to a command, each once; of one that is known by its content without those to copies.
    pub fn ends(&self, id: &str) -> Vec<String> {
        let own = self.answers.iter().filter(|answer| answer.topic == response_topic(id));
        let ends: BTreeMap<&str, String> =
            own.map(|answer| (answer.payload.as_str(), answer.end())).collect();
        let is_unknown = self.orders.iter().any(|order| order.id == id && order.correlation().is_none());
        ends.into_values().filter(|end| !(is_unknown && end == "copy")).collect()
    }

    /// Violations of the rules for `at-most-once`.
    pub fn judge(&self) -> BTreeSet<(Rule, &str)> {
        let mut wrong = self.judge_at_least_once();
        for Order { id, .. } in &self.orders {
            let (moved, ends) = (self.moved(id), self.ends(id));
            let mut convict = |rule, is_broken: bool| wrong.extend(is_broken.then_some((rule, id.as_str())));
            convict(Rule::Twice, moved > 1);
            convict(Rule::TwoEnds, ends.len() > 1);
            let is_untrue = |end: &String| match end.as_str() {
                "delivered" => moved == 0,
                // Nobody knows.
                "interrupted" | "not-acknowledged" => false,
                _ => moved > 0,
            };
            convict(Rule::Untrue, ends.iter().any(is_untrue));
        }
        wrong
    }

    /// Violations of the rules that `at-least-once` has, too: a copy may be given again and answered otherwise.
    pub fn judge_at_least_once(&self) -> BTreeSet<(Rule, &str)> {
        let mut wrong = BTreeSet::new();
        for order in &self.orders {
            let id = order.id.as_str();
            let deadline = order.sent + order.expiry + WHOLE_SECOND + margin();
            let is_late = |movement: &Movement| movement.id == id && movement.not_before > deadline;
            wrong.extend(self.movements.iter().any(is_late).then_some((Rule::Late, id)));
            let ends = self.ends(id);
            wrong.extend((ends.is_empty() && !self.dropped.contains(id)).then_some((Rule::Vanished, id)));
            let is_untrue = self.moved(id) == 0 && ends.iter().any(|end| end == "delivered");
            wrong.extend(is_untrue.then_some((Rule::Untrue, id)));
        }
        for answer in &self.answers {
            let order = self.orders.iter().find(|order| order.response_topic() == answer.topic);
            let is_astray =
                order.is_none_or(|order| order.correlation().unwrap_or_default() != answer.correlation);
            wrong.extend(is_astray.then_some((Rule::Astray, answer.topic.as_str())));
        }
        wrong
    }
}

/// A ledger of one command, with movements so many seconds after it was sent, and answers.
fn of_one(moved_after_s: &[u64], ends: &[(&str, u64)]) -> Ledger {
    let order = Order::new("x", "site7/cmd/valve/1", 2, Identity::Correlation);
    let moved = |seconds: &u64| Movement {
        id: "x".to_owned(),
        not_before: order.sent + Duration::from_secs(*seconds),
    };
    let answer = |&(end, at): &(&str, u64)| {
        let result = if end == "delivered" { end } else { "refused" };
        let reason = if end == "delivered" { String::new() } else { format!("\"reason\":\"{end}\",") };
        Answer {
            topic: order.response_topic(),
            correlation: "x".to_owned(),
            payload: format!("{{\"result\":\"{result}\",{reason}\"at\":{at}}}"),
        }
    };
    let (movements, answers) = (moved_after_s.iter().map(moved).collect(), ends.iter().map(answer).collect());
    Ledger { orders: vec![order], movements, answers, dropped: BTreeSet::new() }
}

#[test]
fn the_judgement_takes_what_may_be_and_convicts_each_broken_rule() {
    let delivered = [("delivered", 1), ("delivered", 1)];
    for (moved, ends) in [
        (&[1][..], &delivered[..]),
        (&[1], &[("interrupted", 1)]),
        (&[], &[("interrupted", 1)]),
        (&[], &[("expired", 1)]),
    ] {
        assert_eq!(of_one(moved, ends).judge(), BTreeSet::new(), "{moved:?} {ends:?}");
    }
    for (moved, ends, rule) in [
        (&[0, 1][..], &[("delivered", 1)][..], Rule::Twice),
        (&[40], &[("delivered", 1)], Rule::Late),
        (&[1], &[], Rule::Vanished),
        (&[1], &[("delivered", 1), ("delivered", 2)], Rule::TwoEnds),
        (&[1], &[("delivered", 1), ("interrupted", 1)], Rule::TwoEnds),
        (&[], &[("delivered", 1)], Rule::Untrue),
        (&[1], &[("expired", 1)], Rule::Untrue),
        (&[1], &[("copy", 1)], Rule::Untrue),
    ] {
        assert_eq!(of_one(moved, ends).judge(), BTreeSet::from([(rule, "x")]), "{moved:?} {ends:?}");
    }
    let mut ledger = of_one(&[], &[]);
    ledger.dropped.insert("x".to_owned());
    assert_eq!(ledger.judge(), BTreeSet::new(), "the hub dropped it");
    let mut ledger = of_one(&[1], &[("delivered", 1)]);
    ledger.answers[0].correlation.clear();
    assert_eq!(ledger.judge(), BTreeSet::from([(Rule::Astray, "hmi/answers/x")]));
    let mut ledger = of_one(&[1], &[("delivered", 1), ("copy", 2)]);
    ledger.orders[0].identity = Identity::Content;
    ledger.answers.iter_mut().for_each(|answer| answer.correlation.clear());
    assert_eq!(ledger.judge(), BTreeSet::new(), "a copy ends nothing");
    // At least once: given again, and answered again.
    let ledger = of_one(&[0, 1], &[("delivered", 1), ("delivered", 2)]);
    assert_eq!(ledger.judge_at_least_once(), BTreeSet::new());
}
