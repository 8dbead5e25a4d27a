//! Writer of the imported gateway.toml, and its warnings. Each line of the source files becomes the origin of a key, or a comment with the reason
//! why it becomes none.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use control_loop::OneLine;
use edge_page::is_hidden;
use mosquitto_conf::conf::Line;
use mosquitto_conf::words;

use crate::config::TABLES_MAX;

use super::origin::Origin;

/// Part of the file. The order is that in which they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Gateway,
    Local,
    Hub,
    Queue,
    Routes,
    Commands,
    /// Comments about lines that belong to no table.
    Rest,
}

const PARTS: [(Part, &str, &str); 7] = [
    (Part::Gateway, "[gateway]", ""),
    (Part::Local, "[local]", ""),
    (Part::Hub, "[hub]", ""),
    (Part::Queue, "[queue]", ""),
    (Part::Routes, "", ""),
    (Part::Commands, "", ""),
    (Part::Rest, "", "# Lines that belong to no table.\n"),
];

/// Lines written to one part so far.
#[derive(Debug, Default)]
struct Written {
    /// Origins that are named in the comment after the table's head.
    head_origins: Vec<Origin>,
    keys: String,
    /// Number of `[[route]]`s or `[[command]]`s.
    entries: usize,
    comments: Vec<(Origin, String)>,
}

/// Configuration file that is being written.
#[derive(Debug, Default)]
pub(super) struct Output {
    parts: [Written; PARTS.len()],
    /// Warnings in the order in which they came up, each with the line that it concerns.
    warnings: Vec<(Option<Origin>, String)>,
    carried: BTreeSet<Origin>,
    left: BTreeSet<Origin>,
    /// Source files, in the order in which they were read.
    files: Vec<Arc<Path>>,
}

/// Numbers of source lines that became keys and comments, and of warnings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) carried: usize,
    pub(crate) left: usize,
    pub(crate) warnings: usize,
}

impl Output {
    /// Creates an empty file. Comments and warnings are sorted by the order of `files`; files of an `include_dir` come behind these.
    pub(super) fn of(files: &[&Path]) -> Self {
        Self { files: files.iter().map(|file| Arc::from(*file)).collect(), ..Self::default() }
    }

    /// Returns the position of an origin among all source lines, for sorting.
    fn place<'a>(&self, origin: &'a Origin) -> (usize, &'a Origin) {
        (self.files.iter().position(|file| *file == origin.file).unwrap_or(self.files.len()), origin)
    }

    fn part(&mut self, part: Part) -> &mut Written {
        let [gateway, local, hub, queue, routes, commands, rest] = &mut self.parts;
        match part {
            Part::Gateway => gateway,
            Part::Local => local,
            Part::Hub => hub,
            Part::Queue => queue,
            Part::Routes => routes,
            Part::Commands => commands,
            Part::Rest => rest,
        }
    }

    /// Adds a line to the origins of a table's head.
    pub(super) fn head(&mut self, part: Part, origin: Origin) {
        self.carried.insert(origin.clone());
        self.part(part).head_origins.push(origin);
    }

    /// Writes `name = value`, with the lines from which it is made and a remark; either may be empty. `value` is TOML.
    pub(super) fn key(&mut self, part: Part, name: &str, value: &str, origins: &[Origin], remark: &str) {
        let line = format!("{name} = {value}{}\n", self.behind(origins, remark));
        self.part(part).keys.push_str(&line);
    }

    /// Writes a route, with the lines from which it is made in the comment after its head.
    pub(super) fn route(&mut self, keys: &[(&str, String)], origins: &[Origin], remarks: &[String]) {
        self.entry(Part::Routes, "[[route]]", keys, origins, remarks);
    }

    /// Writes a rule for commands, as [`route`](Self::route) does.
    pub(super) fn command(&mut self, keys: &[(&str, String)], origins: &[Origin]) {
        self.entry(Part::Commands, "[[command]]", keys, origins, &[]);
    }

    fn entry(
        &mut self,
        part: Part,
        head: &str,
        keys: &[(&str, String)],
        origins: &[Origin],
        remarks: &[String],
    ) {
        let mut text = format!("\n{head}{}\n", self.behind(origins, ""));
        for remark in remarks {
            let _ = writeln!(text, "# {}", OneLine(remark));
        }
        for (name, value) in keys {
            let _ = writeln!(text, "{name} = {value}");
        }
        let written = self.part(part);
        written.keys.push_str(&text);
        written.entries += 1;
        if written.entries == TABLES_MAX + 1 {
            let text = format!(
                "more than {TABLES_MAX} {head}: `check` and the gateway refuse the file. Join lines by a wildcard, as \"plant/+/temp\", or share them among several gateways"
            );
            self.warn(origins.first().cloned(), &text);
        }
    }

    /// Returns the comment after a key, and counts its lines as carried over.
    fn behind(&mut self, origins: &[Origin], remark: &str) -> String {
        self.carried.extend(origins.iter().cloned());
        let mut text = list(origins);
        if !remark.is_empty() {
            let separator = if text.is_empty() { "" } else { ": " };
            let _ = write!(text, "{separator}{remark}");
        }
        if text.is_empty() { text } else { format!("  # {}", OneLine(&text)) }
    }

    /// Writes a comment for a line that becomes no key. `what` is the part of the line that may be shown.
    pub(super) fn comment(&mut self, part: Part, origin: Origin, what: &str, why: &str) {
        let text = format!("# {origin} not carried over: {what}: {why}");
        self.left.insert(origin.clone());
        self.part(part).comments.push((origin, OneLine(&text).to_string()));
    }

    /// Writes a comment for a line of a mosquitto.conf that becomes no key.
    pub(super) fn leave(&mut self, part: Part, line: &Line, why: &str) {
        self.comment(part, line.into(), &shown(line), why);
    }

    /// Writes such a comment, and a warning, because a person has to judge it.
    pub(super) fn leave_with_warning(&mut self, part: Part, line: &Line, why: &str) {
        self.leave(part, line, why);
        self.warn(Some(line.into()), &format!("{}: {why}", shown_word(&line.word)));
    }

    pub(super) fn warn(&mut self, origin: Option<Origin>, text: &str) {
        self.warnings.push((origin, text.to_owned()));
    }

    pub(super) fn counts(&self) -> Counts {
        Counts { carried: self.carried.len(), left: self.left.len(), warnings: self.warnings.len() }
    }

    /// Returns the warnings as lines of text, sorted by their source lines.
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut sorted: Vec<_> = self.warnings.iter().collect();
        sorted.sort_by_key(|(origin, _)| origin.as_ref().map(|origin| self.place(origin)));
        let text = |(origin, text): &(Option<Origin>, String)| match origin {
            Some(origin) => OneLine(&format!("{origin}: warning: {text}")).to_string(),
            None => OneLine(&format!("warning: {text}")).to_string(),
        };
        sorted.into_iter().map(text).collect()
    }

    /// Returns the whole file, which begins with `head`.
    pub(super) fn text(&self, head: &str) -> String {
        let mut text = head.to_owned();
        for ((_, table, title), written) in PARTS.iter().zip(&self.parts) {
            let mut comments: Vec<_> = written.comments.iter().collect();
            comments.sort_by_key(|(origin, _)| self.place(origin));
            if written.keys.is_empty() && comments.is_empty() && written.head_origins.is_empty() {
                continue;
            }
            if !table.is_empty() {
                let origins = list(&written.head_origins);
                let behind = if origins.is_empty() { origins } else { format!("  # {}", OneLine(&origins)) };
                let _ = write!(text, "\n{table}{behind}\n");
            } else if !comments.is_empty() {
                text.push('\n');
            }
            text.push_str(title);
            // Comments on routes stand before the first one: behind the last they would look like a part of it.
            let (before, behind) =
                if table.is_empty() { (&comments[..], &[][..]) } else { (&[][..], &comments[..]) };
            for (_, comment) in before {
                let _ = writeln!(text, "{comment}");
            }
            text.push_str(&written.keys);
            for (_, comment) in behind {
                let _ = writeln!(text, "{comment}");
            }
        }
        text
    }
}

fn list(origins: &[Origin]) -> String {
    origins.iter().map(Origin::to_string).collect::<Vec<_>>().join(", ")
}

/// Returns the part of a line that may be shown: no password, and no value that may be one.
fn shown(line: &Line) -> String {
    let word = shown_word(&line.word);
    let is_known = words::is_of_a_connection(&line.word) || words::is_of_the_broker(&line.word);
    let is_shown = is_known && !is_secret(&line.word) && !line.value.contains('@') && !line.value.is_empty();
    if is_shown { format!("{word} {}", line.value) } else { word }
}

/// Returns the word up to the first character that no option's name has, because `password=…` is one word to Mosquitto.
fn shown_word(word: &str) -> String {
    word.chars().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.')).collect()
}

fn is_secret(word: &str) -> bool {
    let is_file = word.ends_with("_file") || word == "psk_hint";
    let holds = ["password", "psk", "kpass", "auth_opt_", "plugin_opt_"];
    !is_file && holds.iter().any(|part| word.contains(part)) || word.contains("_opt_")
}

/// Returns the text as a TOML string. What a terminal would obey, or show nothing for, is escaped: the file is read by a person before it runs.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if is_hidden(c) => {
                let _ = match u32::from(c) {
                    code @ ..=0xffff => write!(quoted, "\\u{code:04X}"),
                    code => write!(quoted, "\\U{code:08X}"),
                };
            }
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

/// Returns the texts as a TOML array.
pub(super) fn array(texts: &[String]) -> String {
    format!("[{}]", texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", "))
}

/// Returns a size as a TOML string, in the largest unit that needs no fraction.
pub(super) fn size(bytes: u64) -> String {
    let units = [("GiB", 1_u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match units.iter().find(|(_, unit)| bytes > 0 && bytes.is_multiple_of(*unit)) {
        Some((name, unit)) => quoted(&format!("{}{name}", bytes / unit)),
        None => quoted(&format!("{bytes}B")),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use mosquitto_conf::findings::Place;

    use super::*;

    fn line(word: &str, value: &str) -> Line {
        let place = Place { file: Arc::from(Path::new("a")), line: 1 };
        Line { place, word: word.to_owned(), value: value.to_owned() }
    }

    #[test]
    fn nothing_that_may_be_a_password_is_shown() {
        for (word, value) in [
            ("remote_password", "hush"),
            ("password", "hush"),
            ("local_password", "hush"),
            ("bridge_psk", "hush"),
            ("auth_opt_pg_password", "hush"),
            ("plugin_opt_file", "hush"),
            ("tls_engine_kpass_sha1", "hush"),
            ("remote_pasword", "hush"),
            ("remote_password=hush", ""),
            ("address", "me:hush@hub:1883"),
        ] {
            assert!(!shown(&line(word, value)).contains("hush"), "{word}");
        }
        assert_eq!(shown(&line("password_file", "/etc/p")), "password_file /etc/p");
        assert_eq!(shown(&line("psk_hint", "x")), "psk_hint x");
    }

    #[test]
    fn texts_and_sizes_are_toml() {
        assert_eq!(quoted("a\"b\\c\u{1b}ä"), "\"a\\\"b\\\\c\\u001Bä\"");
        let hidden = "a\u{202e}b\u{200b}\u{feff}\u{e0041}c";
        assert_eq!(quoted(hidden), r#""a\u202Eb\u200B\uFEFF\U000E0041c""#);
        let read: toml::Table = format!("a = {}", quoted(hidden)).parse().unwrap();
        assert_eq!(read["a"].as_str(), Some(hidden));
        assert_eq!(array(&["a".to_owned(), "b".to_owned()]), "[\"a\", \"b\"]");
        assert_eq!([size(1 << 20), size(1_000), size(3 << 30)], ["\"1MiB\"", "\"1000B\"", "\"3GiB\""]);
    }
}
