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
        secrets.fold(text.to_owned(), |text, named| replaced(&text, &named.path, LEFT_OUT))
    }

    /// Returns the text without paths of this machine: for each the name of its setting, or else what stands for what is left out.
    pub(crate) fn without_paths(&self, text: &str) -> String {
        let text = self.0.iter().fold(text.to_owned(), |text, NamedPath { path, key }| {
            let name = setting(key);
            // Some texts name the setting behind the path.
            replaced(&text, path, &name).replace(&format!("{name} ({name})"), &name)
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

/// Replaces a path where it stands whole: one without a folder may be a part of any word.
fn replaced(text: &str, path: &str, by: &str) -> String {
    let is_word = |char: char| char.is_alphanumeric() || matches!(char, '_' | '-' | '/');
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((before, behind)) = rest.split_once(path) {
        let mut next = behind.chars();
        let ends = match next.next() {
            Some('.') => !next.next().is_some_and(is_word),
            next => !next.is_some_and(is_word),
        };
        let is_whole = ends && !before.ends_with(|char| is_word(char) || char == '.');
        out.push_str(before);
        out.push_str(if is_whole { by } else { path });
        rest = behind;
    }
    out + rest
}

/// Replaces what looks like a path. What stands in quotes is a topic or a name, which a client or the hub chose.
fn without_other_paths(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut is_quoted, mut goes_on) = (false, false);
    for word in text.split_inclusive(' ') {
        let (opening, core) = split_opening(word);
        let begins = ["/", "./", "../"].iter().any(|start| core.starts_with(start));
        // Behind a space within the path.
        let is_path = !is_quoted && (begins || goes_on && core.contains('/'));
        is_quoted ^= word.matches('"').count() % 2 == 1;
        if !is_path {
            out.push_str(word);
            goes_on = false;
            continue;
        }
        let path = core.split([':', ',', ';', ')', '`', '\'', '"', ' ']).next().unwrap_or(core);
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

/// Splits a word behind what may stand in front of a path.
fn split_opening(word: &str) -> (&str, &str) {
    let core = word.trim_start_matches(['(', '`', '\'']);
    let core = core.strip_prefix("unix:").unwrap_or(core);
    word.split_at_checked(word.len() - core.len()).unwrap_or(("", word))
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

    #[test]
    fn other_paths_are_left_out_and_topics_and_addresses_stay() {
        for (text, expected) in [
            ("/a/b:3: wrong, (/c/d) and `./e`.", "…:3: wrong, (…) and `…`."),
            ("on /a/my disk/b: full", "on …: full"),
            ("the disk of /a.", "the disk of …."),
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
