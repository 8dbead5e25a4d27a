//! Access list in Mosquitto's format: `topic` lines for clients without a user name, or for the user of the `user` line above them, and
//! `pattern` lines for everybody, in which `%u` is the user name and `%c` the client identifier.
//!
//! Topics that no line allows are denied. A line that denies wins over lines that allow, and a user's own lines win over patterns.

use std::borrow::Cow;
use std::collections::HashMap;

use super::line_error::{LineError, LineProblem};
use super::memory;
use crate::listener::{Authorize, ClientRef};
use crate::wire::{matches, validate_filter};

/// Topics on which Mosquitto's bridges report their state, the only ones below `$SYS` to which clients may publish.
const BRIDGE_STATES: &str = "$SYS/broker/connection/+/state";

/// Rules of an access list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AclFile {
    anonymous: Vec<Rule>,
    users: HashMap<Box<str>, Vec<Rule>>,
    patterns: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    access: Permission,
    filter: Box<str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Permission {
    Read,
    Write,
    ReadWrite,
    Deny,
}

impl Permission {
    /// Returns the rule's decision about an access: `Some(true)` if it allows it, `Some(false)` if it denies it, `None` if its topic filter does
    /// not match.
    fn of(self, wanted: Self) -> Option<bool> {
        match self {
            Self::Deny => Some(false),
            allowed => (allowed == Self::ReadWrite || allowed == wanted).then_some(true),
        }
    }
}

impl AclFile {
    /// Reads the text of a file. Blank lines and lines that begin with `#` are skipped; words are separated by blanks.
    ///
    /// # Errors
    ///
    /// All lines that Mosquitto would not accept.
    pub fn parse(text: &str) -> Result<Self, Vec<LineError>> {
        let mut file = Self::default();
        let mut user = None;
        let mut errors = Vec::new();
        for (n, line) in text.lines().enumerate() {
            if let Err(problem) = file.read(line.trim_end(), &mut user) {
                errors.push(LineError { line: n + 1, problem });
            }
        }
        if errors.is_empty() { Ok(file) } else { Err(errors) }
    }

    /// Reads one line. `user` is the name in the last `user` line above it.
    fn read(&mut self, line: &str, user: &mut Option<Box<str>>) -> Result<(), LineProblem> {
        if line.starts_with('#') || line.is_empty() {
            return Ok(());
        }
        let line = line.trim_start_matches(' ');
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "user" => match rest.trim_matches(' ') {
                "" => Err(LineProblem::NoName),
                name => {
                    *user = Some(name.into());
                    Ok(())
                }
            },
            "topic" => {
                let rule = rule(rest)?;
                let rules = match user {
                    Some(user) => self.users.entry(user.clone()).or_default(),
                    None => &mut self.anonymous,
                };
                rules.push(rule);
                Ok(())
            }
            "pattern" => {
                self.patterns.push(rule(rest)?);
                Ok(())
            }
            _ => Err(LineProblem::Word),
        }
    }

    fn allows(&self, client: ClientRef<'_>, wanted: Permission, topic: &str) -> bool {
        let is_the_brokers = topic.starts_with("$share")
            || wanted == Permission::Write && topic.starts_with("$SYS") && !matches(BRIDGE_STATES, topic);
        if is_the_brokers {
            return false;
        }
        let own = match client.user {
            Some(user) => self.users.get(user).map_or(&[][..], Vec::as_slice),
            None => &self.anonymous,
        };
        if let Some(allowed) = verdict(own.iter().map(|rule| (rule.access, &*rule.filter)), wanted, topic) {
            return allowed;
        }
        // A name with a wildcard would open other clients' topics in a pattern.
        let has_wildcard = |name: &str| name.contains(['+', '#']);
        if client.user.is_some_and(has_wildcard) || has_wildcard(client.client_id) {
            return false;
        }
        let patterns =
            self.patterns.iter().filter_map(|rule| Some((rule.access, filled(&rule.filter, client)?)));
        verdict(patterns, wanted, topic).unwrap_or(false)
    }

    /// Returns the users that have lines of their own.
    pub fn users(&self) -> impl Iterator<Item = &str> {
        self.users.keys().map(|user| &**user)
    }

    /// Number of rules.
    pub fn len(&self) -> usize {
        self.anonymous.len() + self.patterns.len() + self.users.values().map(Vec::len).sum::<usize>()
    }

    /// Bytes that the content takes in memory, from above.
    pub fn memory_bytes(&self) -> usize {
        let of_rules = |rules: &Vec<Rule>| {
            let filters = rules.iter().map(|rule| memory::allocation(rule.filter.len()));
            memory::list::<Rule>(rules.len()) + filters.sum::<usize>()
        };
        let users = self.users.iter();
        memory::table::<(Box<str>, Vec<Rule>)>(self.users.len())
            + users.map(|(user, rules)| memory::allocation(user.len()) + of_rules(rules)).sum::<usize>()
            + of_rules(&self.anonymous)
            + of_rules(&self.patterns)
    }

    /// Returns whether there is no rule, and so nothing is allowed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Authorize for AclFile {
    fn may_publish(&mut self, client: ClientRef<'_>, topic: &str) -> bool {
        self.allows(client, Permission::Write, topic)
    }

    fn may_receive(&mut self, client: ClientRef<'_>, topic: &str) -> bool {
        self.allows(client, Permission::Read, topic)
    }
}

/// Returns the rules' decision: `Some(false)` if one denies, wherever it stands, `Some(true)` if one allows, `None` if none matches.
fn verdict<T: AsRef<str>>(
    rules: impl Iterator<Item = (Permission, T)>,
    wanted: Permission,
    topic: &str,
) -> Option<bool> {
    let found = rules.filter(|(_, filter)| matches(filter.as_ref(), topic));
    // `false` is less than `true`.
    found.filter_map(|(access, _)| access.of(wanted)).min()
}

/// Replaces `%u` and `%c` in a pattern by the client's user name and client identifier. `None` if the pattern needs a user name, and the client
/// has none.
fn filled<'a>(pattern: &'a str, client: ClientRef<'_>) -> Option<Cow<'a, str>> {
    if !pattern.contains('%') {
        return Some(Cow::Borrowed(pattern));
    }
    let mut filter = String::with_capacity(pattern.len() + client.client_id.len());
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once('%') {
        filter.push_str(before);
        rest = if let Some(after) = after.strip_prefix('c') {
            filter.push_str(client.client_id);
            after
        } else if let Some(after) = after.strip_prefix('u') {
            filter.push_str(client.user?);
            after
        } else {
            filter.push('%');
            after
        };
    }
    filter.push_str(rest);
    Some(Cow::Owned(filter))
}

/// Reads the text after `topic` or `pattern`. A single word is the filter, for which both reading and writing are allowed.
fn rule(text: &str) -> Result<Rule, LineProblem> {
    let text = text.trim_start_matches(' ');
    let (access, filter) = match text.split_once(' ') {
        None => (Permission::ReadWrite, text),
        Some((access, filter)) => {
            let access = match access {
                "read" => Permission::Read,
                "write" => Permission::Write,
                "readwrite" => Permission::ReadWrite,
                "deny" => Permission::Deny,
                _ => return Err(LineProblem::Access),
            };
            (access, filter.trim_matches(' '))
        }
    };
    if filter.is_empty() {
        return Err(LineProblem::NoTopic);
    }
    match validate_filter(filter) {
        Ok(()) => Ok(Rule { access, filter: filter.into() }),
        Err(error) => Err(LineProblem::Filter { filter: filter.to_owned(), error }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::TopicError;

    /// May this client (USER/CLIENT, `-` for no user) read and write the topic: `rw`, `r`, `w` or nothing.
    fn may(file: &AclFile, client: &str, topic: &str) -> String {
        let (user, client_id) = client.split_once(' ').unwrap();
        let client = ClientRef { client_id, user: (user != "-").then_some(user), is_certified: false };
        let read = file.allows(client, Permission::Read, topic);
        let write = file.allows(client, Permission::Write, topic);
        [(read, "r"), (write, "w")].iter().filter(|(may, _)| *may).map(|(_, name)| *name).collect()
    }

    #[test]
    fn what_no_line_allows_is_denied() {
        let file = AclFile::parse(
            "topic read news/#\n\nuser ann\ntopic plant/#\ntopic deny plant/secret\ntopic write in/+\n# more\nuser bob\ntopic read plant/a b\n\
             pattern write sites/%u/%c\npattern deny sites/+/off\nuser ann\ntopic read sites/x/off\n",
        )
        .unwrap();
        for (client, topic, expected) in [
            ("- c", "news/x", "r"),
            ("- c", "plant/x", ""),
            ("ann c", "news/x", ""),
            ("ann c", "plant", "rw"),
            ("ann c", "plant/x/y", "rw"),
            ("ann c", "plant/secret", ""),
            ("ann c", "in/x", "w"),
            ("bob c", "plant/a b", "r"),
            ("bob c", "sites/bob/c", "w"),
            ("bob c", "sites/ann/c", ""),
            ("- c", "sites/-/c", ""),
            ("bob off", "sites/bob/off", ""),
            ("ann c", "sites/x/off", "r"),
            ("eve c", "plant/x", ""),
            ("ann c", "$SYS/plant", ""),
        ] {
            assert_eq!(may(&file, client, topic), expected, "{client} {topic}");
        }
        assert_eq!(file.len(), 8);
    }

    #[test]
    fn a_name_with_a_wildcard_has_no_patterns() {
        let file =
            AclFile::parse("user a+\ntopic own\npattern sites/%u/#\npattern c/%c\npattern all").unwrap();
        assert_eq!(may(&file, "a+ c", "sites/a+/x"), "");
        assert_eq!((may(&file, "a+ c", "all"), may(&file, "a+ c", "own")), (String::new(), "rw".to_owned()));
        assert_eq!((may(&file, "- #", "c/x"), may(&file, "- x", "c/x")), (String::new(), "rw".to_owned()));
        assert_eq!(may(&file, "- x", "all"), "rw");
    }

    #[test]
    fn the_topics_of_the_broker_are_its_own() {
        let file = AclFile::parse("topic #\ntopic $SYS/#\ntopic $share/#\ntopic $x/#").unwrap();
        let topics =
            ["$SYS/broker/uptime", "$SYS/broker/connection/b/state", "$share/g/a", "$x/y", "$z", "a"];
        assert_eq!(topics.map(|topic| may(&file, "- c", topic)), ["r", "rw", "", "rw", "", "rw"]);
    }

    #[test]
    fn every_wrong_line_is_named() {
        let text = "topic\ntopic read\ntopic all a/b\ntopic read a/#/b\nuser\nuser  \ntopics a\n # x\n\ttopic a\ntopic read  a \ntopic  deny";
        let errors = AclFile::parse(text).unwrap_err();
        let wildcard = LineProblem::Filter { filter: "a/#/b".to_owned(), error: TopicError::Wildcard(2) };
        let expected = [
            (1, LineProblem::NoTopic),
            (3, LineProblem::Access),
            (4, wildcard),
            (5, LineProblem::NoName),
            (6, LineProblem::NoName),
            (7, LineProblem::Word),
            (8, LineProblem::Word),
            (9, LineProblem::Word),
        ];
        let found: Vec<_> = errors.into_iter().map(|error| (error.line, error.problem)).collect();
        assert_eq!(found, expected);
        let words = AclFile::parse("topic read\ntopic read  a \ntopic  deny").unwrap();
        assert_eq!(["read", "deny", "a"].map(|topic| may(&words, "- c", topic)), ["rw", "rw", "r"]);
        assert!(AclFile::parse("# nothing\n").unwrap().is_empty());
    }
}
