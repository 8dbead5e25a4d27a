//! Rights at the hub that a configuration needs: topics to publish to, and filters to subscribe to.

use edge_bridge::bridge::DEAD_LETTER_PREFIX;

use crate::config::hub_topics::gap_topics;
use crate::config::{Config, Format};
use crate::run::hub::compact::table_topics;

/// Level that stands for a wildcard of a route in the topic of a test message.
const LEVEL: &str = "edge-check";

/// Rights that the gateway needs at the hub.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Needed {
    /// Filters that the gateway subscribes to, each once.
    pub(super) filters: Vec<String>,
    /// Topics for test messages, one for each topic or prefix that the gateway publishes to, except for retained ones (status, session tables),
    /// whose readers would take a test message for the gateway's word. Empty if none are to be sent.
    pub(super) topics: Vec<String>,
}

impl Needed {
    /// Returns the rights that this configuration needs; the topics only if test messages are to be `published`.
    pub(super) fn of(config: &Config, published: bool) -> Self {
        let tables =
            table_topics(&config.routes, &config.id).into_iter().map(|(_, tables)| format!("{tables}/#"));
        let commands = config.commands.iter().map(|rule| rule.filter.clone());
        let filters = once_each(tables.chain(commands));
        if !published {
            return Self { filters, topics: Vec::new() };
        }
        let routes = config.routes.iter().map(|route| match route.format {
            Format::Raw => format!("{}{}", route.to, topic_of(&route.filter_topic)),
            _ => route.to.clone(),
        });
        let dead = config.routes.iter().filter(|route| route.format != Format::Raw);
        let dead = dead.map(|route| format!("{DEAD_LETTER_PREFIX}{}", topic_of(&route.filter_topic)));
        let gaps = if config.queue.gap_reports { gap_topics(config) } else { Vec::new() };
        let answers = config.commands.iter().map(|rule| rule.answers.clone());
        Self { filters, topics: once_each(routes.chain(dead).chain(gaps).chain(answers)) }
    }
}

/// Returns a topic that the filter matches.
fn topic_of(filter: &str) -> String {
    let levels = filter.split('/').map(|level| if matches!(level, "+" | "#") { LEVEL } else { level });
    levels.collect::<Vec<_>>().join("/")
}

fn once_each(all: impl Iterator<Item = String>) -> Vec<String> {
    let mut each = Vec::new();
    for one in all {
        if !each.contains(&one) {
            each.push(one);
        }
    }
    each
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn each_right_is_tried_once_at_a_topic_that_the_gateway_uses() {
        let text = "[gateway]\nid=\"g\"\n[local]\nlisten=\"127.0.0.1:1\"\n[hub]\nurl=\"mqtt://h\"\n\
                    [[route]]\nmatch=\"raw/+/#\"\nto=\"site/\"\n\
                    [[route]]\nmatch=\"a/+\"\nto=\"out\"\nformat=\"compact\"\nfields={value=\"v\"}\n\
                    [[route]]\nmatch=\"b/t\"\nto=\"out\"\nformat=\"compact\"\nfields={value=\"v\"}\n\
                    [[command]]\nmatch=\"cmd/g/+\"\nto=\"cmd/+\"\nexpiry=\"1m\"\nanswers=\"said/g\"\n\
                    [queue]\ngap_reports=false\n";
        let config = Config::parse(Path::new("g.toml"), text, &|_| None);
        let (config, _) = config.unwrap_or_else(|findings| panic!("{findings}"));
        let needed = Needed::of(&config, true);
        assert_eq!(needed.filters, ["out/table/g/#", "cmd/g/+"]);
        let topics = [
            "site/raw/edge-check/edge-check",
            "out",
            "dead-letter/a/edge-check",
            "dead-letter/b/t",
            "said/g",
        ];
        assert_eq!(needed.topics, topics);
        assert_eq!(Needed::of(&config, false), Needed { topics: Vec::new(), ..needed });
        // The leading level of `#` may be nothing, and the topic of a test is one all the same.
        assert_eq!(topic_of("#"), "edge-check");
    }
}
