//! Topic rules: `topic PATTERN [out|in|both] QOS LOCAL REMOTE` with exactly the meaning that they have in Mosquitto.
//!
//! A subscription is prefix and pattern together: an `out` rule subscribes to `LOCAL + PATTERN` on the local side, an `in` rule to `REMOTE +
//! PATTERN` at the hub. A bridged message loses the prefix of the side that it comes from, if its topic begins with it, and gets the prefix of
//! the other side. So `topic hub/site/cmd/# in 1 "" cmd/` subscribes to `cmd/hub/site/cmd/#`, which is rarely what was meant.
//!
//! ```
//! use edge_bridge::bridge::topic_rules::{Rule, Rules};
//!
//! let out = Rule::parse("line/# out 1 \"\" site7/")?;
//! let commands = Rule::parse("# in 1 cmd/ site7/cmd/")?;
//! assert_eq!(commands.remote_filter().map(|filter| filter.as_str()), Some("site7/cmd/#"));
//!
//! let rules = Rules::new(vec![out, commands]);
//! assert_eq!(rules.map_out("line/1").map(|there| there.topic.to_string()), Some("site7/line/1".to_owned()));
//! assert_eq!(rules.map_in("site7/cmd/valve").map(|here| here.topic.to_string()), Some("cmd/valve".to_owned()));
//! assert_eq!(rules.map_out("office/1"), None);
//! # Ok::<(), edge_bridge::bridge::topic_rules::RuleError>(())
//! ```

use std::fmt;

use crate::wire::{self, QoS, TopicError, Utf8, Version};

/// Direction in which a rule works. Complete; no other will be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Direction {
    /// Messages go from the local side to the hub. Mosquitto's default.
    #[default]
    Out,
    /// Messages go from the hub to the local side.
    In,
    /// Messages go both ways.
    Both,
}

/// One rule, parsed and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    direction: Direction,
    qos: QoS,
    local_prefix: Utf8,
    remote_prefix: Utf8,
    local_filter: Utf8,
    remote_filter: Utf8,
}

/// Reason why a text is not a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    /// The rule has neither a pattern nor both prefixes.
    #[error("an empty pattern needs a local and a remote prefix")]
    Empty,
    /// A resulting filter cannot be subscribed to.
    #[error("\"{filter}\" is not a topic filter: {error}")]
    Filter {
        /// Filter made of prefix and pattern.
        filter: String,
        /// Reason why the text is not a topic filter.
        error: TopicError,
    },
    /// A prefix is put before topics, so it is not a filter.
    #[error("the prefix \"{0}\" has a wildcard")]
    WildcardInPrefix(String),
    /// The QoS is not 0, 1 or 2.
    #[error("\"{0}\" is not a QoS: 0, 1 or 2")]
    QoS(String),
    /// The direction is not out, in or both.
    #[error("\"{0}\" is not a direction: out, in or both")]
    Direction(String),
    /// The line has more words than a rule.
    #[error("\"{0}\" is one word too many")]
    Trailing(String),
}

impl Rule {
    /// Creates a rule from its parts. An empty prefix means that there is none.
    pub fn new(
        pattern: &str,
        direction: Direction,
        qos: QoS,
        local_prefix: &str,
        remote_prefix: &str,
    ) -> Result<Self, RuleError> {
        if pattern.is_empty() && (local_prefix.is_empty() || remote_prefix.is_empty()) {
            return Err(RuleError::Empty);
        }
        for prefix in [local_prefix, remote_prefix] {
            if prefix.contains(['+', '#']) {
                return Err(RuleError::WildcardInPrefix(prefix.to_owned()));
            }
        }
        Ok(Self {
            direction,
            qos,
            local_prefix: text(local_prefix)?,
            remote_prefix: text(remote_prefix)?,
            local_filter: filter(local_prefix, pattern)?,
            remote_filter: filter(remote_prefix, pattern)?,
        })
    }

    /// Parses the text behind `topic` in a mosquitto.conf: `PATTERN [out|in|both] [QOS] [LOCAL] [REMOTE]`, where `""` is
    /// empty and a word behind the direction that begins with `#` is a comment to the end. Defaults: out, QoS 0, no prefixes.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        let bare = |word: &'_ str| if word == "\"\"" { String::new() } else { word.to_owned() };
        let mut words = text.split_whitespace();
        let pattern = bare(words.next().unwrap_or_default());
        let direction = match words.next() {
            None => Direction::Out,
            Some(word) if word.eq_ignore_ascii_case("out") => Direction::Out,
            Some(word) if word.eq_ignore_ascii_case("in") => Direction::In,
            Some(word) if word.eq_ignore_ascii_case("both") => Direction::Both,
            Some(other) => return Err(RuleError::Direction(other.to_owned())),
        };
        let mut words = words.take_while(|word| !word.starts_with('#'));
        let qos = match words.next() {
            None => QoS::AtMostOnce,
            // As a number, which Mosquitto takes with zeros before it.
            Some(word) => match word.parse::<u8>() {
                Ok(0) => QoS::AtMostOnce,
                Ok(1) => QoS::AtLeastOnce,
                Ok(2) => QoS::ExactlyOnce,
                _ => return Err(RuleError::QoS(word.to_owned())),
            },
        };
        let mut prefix = || words.next().map(bare).unwrap_or_default();
        let (local, remote) = (prefix(), prefix());
        match words.next() {
            Some(word) => Err(RuleError::Trailing(word.to_owned())),
            None => Self::new(&pattern, direction, qos, &local, &remote),
        }
    }

    /// Topic pattern of the rule, without a prefix.
    pub fn pattern(&self) -> &str {
        self.local_filter.strip_prefix(self.local_prefix.as_str()).unwrap_or_default()
    }

    /// Direction in which the rule works.
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// Prefix of local topics; may be empty.
    pub fn local_prefix(&self) -> &Utf8 {
        &self.local_prefix
    }

    /// Prefix of the topics at the hub; may be empty.
    pub fn remote_prefix(&self) -> &Utf8 {
        &self.remote_prefix
    }

    /// Filter of the local subscription; `None` for rules of direction `in`.
    pub fn local_filter(&self) -> Option<&Utf8> {
        matches!(self.direction, Direction::Out | Direction::Both).then_some(&self.local_filter)
    }

    /// Filter of the subscription at the hub; `None` for rules of direction `out`.
    pub fn remote_filter(&self) -> Option<&Utf8> {
        matches!(self.direction, Direction::In | Direction::Both).then_some(&self.remote_filter)
    }

    /// Highest QoS of the rule's messages.
    pub fn qos(&self) -> QoS {
        self.qos
    }

    fn has_prefix(&self) -> bool {
        !self.local_prefix.is_empty() || !self.remote_prefix.is_empty()
    }
}

/// Result of a rule for a message: its topic on the other side of the bridge, and the highest QoS with which it may be sent there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapped {
    /// Name of the topic on the other side.
    pub topic: Utf8,
    /// QoS of the rule. The message is sent with the smaller of this and its own QoS.
    pub qos: QoS,
}

/// The rules of one bridge, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    rules: Vec<Rule>,
}

impl Rules {
    /// Creates rules that are matched in this order, that of the file.
    pub fn new(rules: Vec<Rule>) -> Self {
        Self { rules }
    }

    /// Iterates over the rules in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter()
    }

    /// Returns the topic at the hub of a local message; `None` if no `out` rule matches. As in Mosquitto the first rule *with a prefix* decides
    /// the new topic, wherever it stands; rules without one leave the topic as it is.
    pub fn map_out(&self, topic: &str) -> Option<Mapped> {
        let taken = |rule: &&Rule| rule.local_filter().is_some_and(|filter| takes(filter, topic));
        self.map(topic, taken, |rule| (&rule.local_prefix, &rule.remote_prefix))
    }

    /// Maps the topic of a message from the hub, as [`map_out`](Self::map_out) does for one to it.
    pub fn map_in(&self, topic: &str) -> Option<Mapped> {
        let taken = |rule: &&Rule| rule.remote_filter().is_some_and(|filter| takes(filter, topic));
        self.map(topic, taken, |rule| (&rule.remote_prefix, &rule.local_prefix))
    }

    fn map(
        &self,
        topic: &str,
        taken: impl Fn(&&Rule) -> bool,
        prefixes: impl Fn(&Rule) -> (&Utf8, &Utf8),
    ) -> Option<Mapped> {
        let mut matching = self.rules.iter().filter(&taken);
        let rule = match matching.clone().find(|rule| rule.has_prefix()) {
            Some(rule) => rule,
            None => matching.next()?,
        };
        let (from, to) = prefixes(rule);
        let (from, to) = (without_group(from), without_group(to));
        let rest = topic.strip_prefix(from).unwrap_or(topic);
        Some(Mapped { topic: Utf8::try_from(format!("{to}{rest}")).ok()?, qos: rule.qos })
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Out => "out",
            Self::In => "in",
            Self::Both => "both",
        })
    }
}

/// Returns whether the filter matches the topic. The group of a shared subscription is ignored.
fn takes(filter: &str, topic: &str) -> bool {
    wire::matches(wire::unshared(filter), topic)
}

/// Returns the prefix without the `$share/GROUP/` of a shared subscription, which is no part of a topic.
fn without_group(prefix: &str) -> &str {
    let shared = prefix.strip_prefix("$share/").and_then(|shared| shared.split_once('/'));
    shared.map_or(prefix, |(_, prefix)| prefix)
}

fn text(text: &str) -> Result<Utf8, RuleError> {
    Utf8::try_from(text).map_err(|_| RuleError::WildcardInPrefix(text.to_owned()))
}

fn filter(prefix: &str, pattern: &str) -> Result<Utf8, RuleError> {
    let filter = format!("{prefix}{pattern}");
    if let Err(error) = wire::check_filter(&filter, Version::V5) {
        return Err(RuleError::Filter { filter, error });
    }
    text(&filter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(lines: &[&str]) -> Rules {
        Rules::new(lines.iter().map(|line| Rule::parse(line).unwrap()).collect())
    }

    fn out(rules: &Rules, topic: &str) -> Option<String> {
        rules.map_out(topic).map(|m| m.topic.as_str().to_owned())
    }

    fn inward(rules: &Rules, topic: &str) -> Option<String> {
        rules.map_in(topic).map(|m| m.topic.as_str().to_owned())
    }

    #[test]
    fn prefixes_stand_before_the_pattern_and_are_exchanged() {
        let rules = rules(&["sensors/# out 1 line/ hub/site7/"]);
        assert_eq!(*rules.iter().next().unwrap().local_filter().unwrap(), "line/sensors/#");
        assert_eq!(out(&rules, "line/sensors/a"), Some("hub/site7/sensors/a".into()));
        assert_eq!(out(&rules, "sensors/a"), None);
        assert_eq!(inward(&rules, "hub/site7/sensors/a"), None, "out only");
    }

    #[test]
    fn the_fields_own_trap() {
        let rules = rules(&[r#"hub/SITE/cmd/# in 1 "" cmd/"#]);
        assert_eq!(*rules.iter().next().unwrap().remote_filter().unwrap(), "cmd/hub/SITE/cmd/#");
        assert_eq!(inward(&rules, "cmd/hub/SITE/cmd/open"), Some("hub/SITE/cmd/open".into()));
        assert_eq!(inward(&rules, "hub/SITE/cmd/open"), None);
    }

    #[test]
    fn the_first_rule_with_a_prefix_names_the_topic() {
        let rules = rules(&["a/# out 0", r#"a/b out 1 "" x/"#, r#"a/# out 1 "" y/"#]);
        assert_eq!(out(&rules, "a/b"), Some("x/a/b".into()));
        assert_eq!(out(&rules, "a/c"), Some("y/a/c".into()));
        assert_eq!(rules.map_out("a/c").unwrap().qos, QoS::AtLeastOnce);
    }

    #[test]
    fn a_shared_subscription_takes_what_its_filter_takes() {
        let rules =
            rules(&[r#"$share/g/cmd/# both 1 "" here/"#, "$share/g/job/+ in 1", "# in 1 x/ $share/g/hub/"]);
        assert_eq!(*rules.iter().next().unwrap().local_filter().unwrap(), "$share/g/cmd/#");
        assert_eq!(out(&rules, "cmd/a"), Some("here/cmd/a".into()));
        assert_eq!(out(&rules, "job/a"), None, "in only");
        assert_eq!(inward(&rules, "hub/a"), Some("x/a".into()), "the group is no part of a topic");
        assert_eq!(inward(&rules, "$share/g/cmd/a"), None);
    }

    #[test]
    fn defaults_and_an_empty_pattern() {
        let rules = rules(&["a/#", r#""" both 2 local/topic remote/topic"#]);
        assert_eq!(
            rules.map_out("a/1"),
            Some(Mapped { topic: Utf8::try_from("a/1").unwrap(), qos: QoS::AtMostOnce })
        );
        assert_eq!(out(&rules, "local/topic"), Some("remote/topic".into()));
        assert_eq!(inward(&rules, "remote/topic"), Some("local/topic".into()));
    }

    #[test]
    fn errors_name_the_word() {
        assert_eq!(Rule::parse("a sideways"), Err(RuleError::Direction("sideways".into())));
        assert_eq!(Rule::parse("a # out"), Err(RuleError::Direction("#".into())));
        assert_eq!(Rule::parse("a out 3"), Err(RuleError::QoS("3".into())));
        assert_eq!(Rule::parse("a out 1 b c d"), Err(RuleError::Trailing("d".into())));
        assert_eq!(Rule::parse("a out 1 b/+ c"), Err(RuleError::WildcardInPrefix("b/+".into())));
        assert_eq!(Rule::parse(r#""" out 1 b"#), Err(RuleError::Empty));
        assert!(matches!(Rule::parse("a#b"), Err(RuleError::Filter { .. })));
    }

    #[test]
    fn a_rule_tells_its_qos_and_a_direction_its_word() {
        assert_eq!(Rule::parse("a/# out 1").unwrap().qos(), QoS::AtLeastOnce);
        let parts = |text: &str| {
            let rule = Rule::parse(text).unwrap();
            let [local, remote] = [rule.local_prefix(), rule.remote_prefix()].map(ToString::to_string);
            (rule.pattern().to_owned(), rule.direction(), rule.qos() as u8, local, remote)
        };
        let text = String::from;
        assert_eq!(parts("a/# IN 2 l/ # b c d"), (text("a/#"), Direction::In, 2, text("l/"), text("")));
        assert_eq!(
            parts(r#""" Both 1 l/t "r/t""#),
            (text(""), Direction::Both, 1, text("l/t"), text("\"r/t\""))
        );
        assert_eq!(parts("# out # b c d e"), (text("#"), Direction::Out, 0, text(""), text("")));
        let words = [Direction::Out, Direction::In, Direction::Both].map(|direction| direction.to_string());
        assert_eq!(words, ["out", "in", "both"]);
    }
}
