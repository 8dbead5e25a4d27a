//! Paths that a configuration names, with their keys. A text for others has the name of the setting in the place of such a path, and none of a secret's
//! file: the secret itself may stand there by mistake. Pure.

use std::path::Path;

/// Stands for what is left out.
pub(super) const LEFT_OUT: &str = "…";
/// Keys with the path of a secret, in whose place the secret itself may stand by mistake.
const SECRET_FILES: [&str; 8] = [
    "broker_key",
    "broker_password_file",
    "claim_key",
    "key",
    "key_file",
    "password_file",
    "proxy_password_file",
    "token_file",
];

/// Returns whether the secret itself may stand in the place of the path at this full key.
pub(super) fn names_secret(key: &str) -> bool {
    SECRET_FILES.contains(&key.rsplit('.').next().unwrap_or(key))
}

/// Paths, the longest first: one may be the beginning of another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NamedPaths(Vec<NamedPath>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct NamedPath {
    path: String,
    /// Full key, for example `local.acl_file`; `gateway.toml` of that file itself.
    key: String,
}

impl NamedPaths {
    pub(crate) fn add(&mut self, key: &str, path: &Path) {
        let path = path.display().to_string();
        if path.is_empty() {
            return;
        }
        let at = self.0.partition_point(|known| known.path.len() >= path.len());
        self.0.insert(at, NamedPath { path, key: key.to_owned() });
    }

    /// Returns the text without the paths of secrets' files.
    pub(super) fn without_secrets(&self, text: &str) -> String {
        let secrets = self.0.iter().filter(|named| names_secret(&named.key));
        // What stands there may be the secret itself, which is left out wherever it is.
        secrets.fold(text.to_owned(), |text, named| replaced(&text, &named.path, LEFT_OUT, |_, _| true))
    }

    /// Returns the text without paths of this machine: for each the name of its setting, or else what stands for what is left out.
    pub(crate) fn without_paths(&self, text: &str) -> String {
        let text = self.0.iter().fold(text.to_owned(), |text, NamedPath { path, key }| {
            let name = setting(key);
            // Some texts name the setting behind the path.
            let is_path = |before: &str, behind: &str| path.contains('/') || stands_as_path(before, behind);
            replaced(&text, path, &name, is_path).replace(&format!("{name} ({name})"), &name)
        });
        without_other_paths(&text)
    }
}

/// Returns the setting of a full key as texts name it: `[local] acl_file`.
fn setting(key: &str) -> String {
    match key.rsplit_once('.') {
        Some((table, key)) if key != "toml" && !table.ends_with(']') => format!("[{table}] {key}"),
        _ => key.to_owned(),
    }
}

/// Replaces a path where it stands whole and `is_path` holds for the texts before and behind it.
fn replaced(text: &str, path: &str, by: &str, is_path: impl Fn(&str, &str) -> bool) -> String {
    let (mut out, mut from) = (String::with_capacity(text.len()), 0);
    for (at, _) in text.match_indices(path) {
        let end = at + path.len();
        let (before, behind) = (text.get(..at).unwrap_or_default(), text.get(end..).unwrap_or_default());
        if stands_whole(before, behind) && is_path(before, behind) {
            out.push_str(text.get(from..at).unwrap_or_default());
            out.push_str(by);
            from = end;
        }
    }
    out + text.get(from..).unwrap_or_default()
}

/// Returns whether what stands between these texts is no part of a longer path or word.
fn stands_whole(before: &str, behind: &str) -> bool {
    let is_word = |char: char| char.is_alphanumeric() || matches!(char, '_' | '-' | '/');
    let mut next = behind.chars();
    let ends = match next.next() {
        Some('.') => !next.next().is_some_and(is_word),
        next => !next.is_some_and(is_word),
    };
    ends && !before.ends_with(|char| is_word(char) || char == '.')
}

/// Returns whether a path without a folder stands between these texts: it may be any word (`state = "state"`), also that of a setting.
fn stands_as_path(before: &str, behind: &str) -> bool {
    (behind.starts_with(':') || behind.starts_with(" (")) && !before.ends_with("] ")
}

/// Replaces what looks like a path. What stands in quotes is a topic or a name, which a client or the hub chose.
fn without_other_paths(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut is_quoted, mut goes_on) = (false, false);
    for word in text.split_inclusive(' ') {
        let (opening, core) = split_opening(word);
        // Behind a space within the path.
        goes_on &= opening.is_empty();
        let is_path = !is_quoted && (begins_path(core) || goes_on && core.contains('/'));
        is_quoted ^= word.matches('"').count() % 2 == 1;
        if !is_path {
            out.push_str(word);
            goes_on = false;
            continue;
        }
        let path = core.split([':', ',', ';', ')', ']', '>', '`', '\'', '"', ' ']).next().unwrap_or(core);
        let path = path.strip_suffix('.').unwrap_or(path);
        let behind = core.strip_prefix(path).unwrap_or_default();
        if !goes_on {
            out.push_str(opening);
            out.push_str(LEFT_OUT);
        } else if out.ends_with(' ') {
            out.pop();
        }
        out.push_str(behind);
        goes_on = behind == " ";
    }
    out
}

/// Splits a word in front of a path, which may stand behind a bracket, a sign or the name of a figure.
fn split_opening(word: &str) -> (&str, &str) {
    if begins_path(word) {
        return ("", word);
    }
    let is_opening = |before: &str| {
        before.ends_with(['(', '[', '<', '=', '`', '\'']) && !before.contains('"')
            || before.ends_with("unix:")
    };
    let mut splits = word.char_indices().filter_map(|(at, _)| word.split_at_checked(at));
    splits.find(|(before, core)| begins_path(core) && is_opening(before)).unwrap_or(("", word))
}

fn begins_path(core: &str) -> bool {
    ["/", "./", "../"].iter().any(|start| core.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths() -> NamedPaths {
        let mut paths = NamedPaths::default();
        for (key, path) in [
            ("gateway.toml", "/etc/edge/gateway.toml"),
            ("local.cert", "/etc/edge/own"),
            ("local.key", "/etc/edge/own.key"),
            ("local.acl_file", "acl"),
            ("gateway.state", "/var/lib/edge"),
            ("hub.ca", "/mnt/a disk/ca"),
        ] {
            paths.add(key, Path::new(path));
        }
        paths
    }

    #[test]
    fn a_path_that_is_named_gives_way_to_its_setting() {
        let paths = paths();
        for (text, expected) in [
            ("acl ([local] acl_file): line 3", "[local] acl_file: line 3"),
            (
                "/etc/edge/own.key: it is not that of /etc/edge/own.",
                "[local] key: it is not that of [local] cert.",
            ),
            (
                "/etc/edge/gateway.toml:7: local.acl_file: acl: none",
                "gateway.toml:7: local.acl_file: [local] acl_file: none",
            ),
            ("/var/lib/edge/lock: in use; /var/lib/edge: full", "…: in use; [gateway] state: full"),
            ("unix:/mnt/a disk/ca: none", "unix:[hub] ca: none"),
        ] {
            assert_eq!(paths.without_paths(text), expected);
        }
    }

    /// A relative path of a gateway that runs in the folder of its file.
    #[test]
    fn an_ordinary_word_that_is_also_a_path_stays() {
        let mut paths = NamedPaths::default();
        for (key, path) in
            [("gateway.state", "state"), ("local.key", "key"), ("hub.key", "key"), ("local.acl_file", "acl")]
        {
            paths.add(key, Path::new(path));
        }
        for text in ["keep the state directory", "the key is not of the acl.", "[local] key: wrong"] {
            assert_eq!(paths.without_paths(text), text);
        }
        for (text, expected) in [
            ("no queue: state: disk full", "no queue: [gateway] state: disk full"),
            ("acl ([local] acl_file): line 3", "[local] acl_file: line 3"),
        ] {
            assert_eq!(paths.without_paths(text), expected);
        }
        let key = paths.without_paths("key: none");
        assert!(["[local] key: none", "[hub] key: none"].contains(&key.as_str()), "{key}");
        assert_eq!(paths.without_secrets("no key in it"), "no … in it", "it may be the secret");
    }

    /// The second would stand whole if the first were not there.
    #[test]
    fn a_path_behind_itself_is_another_path() {
        let mut paths = NamedPaths::default();
        paths.add("local.key", Path::new("/a"));
        assert_eq!(paths.without_secrets("/a/a: none, /a: none"), "/a/a: none, …: none");
    }

    #[test]
    fn other_paths_are_left_out_and_topics_and_addresses_stay() {
        for (text, expected) in [
            ("/a/b:3: wrong, (/c/d) and `./e`.", "…:3: wrong, (…) and `…`."),
            ("on /a/my disk/b: full", "on …: full"),
            ("the disk of /a.", "the disk of …."),
            ("[/a/b] of=/c, <../d>, unix:/e and /f (/g)", "[…] of=…, <…>, unix:… and … (…)"),
            ("\"a=/b\" and \"=/c d\"", "\"a=/b\" and \"=/c d\""),
            (
                "client \"/a b\" of \"/c\" on \"/d/e\": denied",
                "client \"/a b\" of \"/c\" on \"/d/e\": denied",
            ),
            ("mqtts://hub:1/ws: 1/2 of PUBACK/PUBREC", "mqtts://hub:1/ws: 1/2 of PUBACK/PUBREC"),
        ] {
            assert_eq!(NamedPaths::default().without_paths(text), expected);
        }
    }

    /// A new key that names a file with a secret has to be thought of here.
    #[test]
    fn every_key_of_a_secret_s_file_is_known() {
        let names = super::super::keys::TABLES.iter().flat_map(|table| table.keys).map(|key| key.name);
        let of_secrets = |name: &&str| ["password", "token", "key"].iter().any(|word| name.contains(word));
        let found: std::collections::BTreeSet<_> = names.filter(of_secrets).collect();
        assert_eq!(found.into_iter().collect::<Vec<_>>(), SECRET_FILES);
    }

    #[test]
    fn the_path_of_a_secret_is_left_out_and_the_reason_stays() {
        let text = "/etc/edge/own.key: the key is not that of /etc/edge/own";
        assert_eq!(paths().without_secrets(text), "…: the key is not that of /etc/edge/own");
    }
}
