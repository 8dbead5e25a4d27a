//! The lines of a mosquitto.conf, as Mosquitto 2.0 reads them: a word, blanks, the rest; a `#` in the first column is a comment.
//!
//! Beyond Mosquitto, `${NAME}` in a value is the environment's.

#![allow(clippy::disallowed_methods, reason = "a shell: it reads its configuration")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use edge_state::operator_file;

use crate::findings::{Findings, Place};

/// A line that says something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// File and line.
    pub place: Place,
    /// Name of the option.
    pub word: String,
    /// Value without blanks at its ends; may be empty.
    pub value: String,
}

/// Reads the file, and those of its `include_dir`s where they stand.
pub fn read(file: &Path, env: &impl Fn(&str) -> Option<String>, findings: &mut Findings) -> Vec<Line> {
    let mut lines = read_all(file, env, findings);
    lines.retain(|line| line.word != "include_dir");
    lines
}

/// Reads as [`read`] does, and keeps the lines of `include_dir` before those of its files.
pub fn read_all(file: &Path, env: &impl Fn(&str) -> Option<String>, findings: &mut Findings) -> Vec<Line> {
    let mut lines = Vec::new();
    read_into(file, None, env, findings, &mut lines);
    lines
}

/// Reads one file. `from` is the `include_dir` that it is of, if it is not the first one.
fn read_into(
    file: &Path,
    from: Option<&Place>,
    env: &impl Fn(&str) -> Option<String>,
    findings: &mut Findings,
    lines: &mut Vec<Line>,
) {
    let file: Arc<Path> = Arc::from(file);
    let bytes = match operator_file::read(&file) {
        Ok(bytes) => bytes,
        Err(error) => return findings.error(from.cloned(), format!("{}: {error}", file.display())),
    };
    let texts = match texts_of(&bytes) {
        Ok(texts) => texts,
        Err((line, error)) => return findings.error(Place { file, line }, error),
    };
    for line in parse(&file, &texts, env, findings) {
        lines.push(line.clone());
        if line.word != "include_dir" {
            continue;
        }
        if from.is_some() {
            let text = "include_dir: Mosquitto follows those of the first file alone";
            findings.ignored(line.place, text);
            continue;
        }
        match files_of(Path::new(&line.value)) {
            Ok(files) => {
                for file in files {
                    read_into(&file, Some(&line.place), env, findings, lines);
                }
            }
            Err(error) => findings.error(line.place, format!("include_dir {}: {error}", line.value)),
        }
    }
}

/// The lines of a file that are no comments, with their numbers, or the line that is no text and why. A comment may be in any encoding.
fn texts_of(bytes: &[u8]) -> Result<Vec<(usize, &str)>, (usize, String)> {
    if bytes.starts_with("\u{feff}".as_bytes()) {
        return Err((1, "the file begins with a byte order mark: save it as UTF-8 without one".to_owned()));
    }
    let lines = bytes.split(|byte| *byte == b'\n').zip(1..).filter(|(line, _)| !line.starts_with(b"#"));
    let texts = lines.map(|(line, number)| match std::str::from_utf8(line) {
        Ok(text) => Ok((number, text)),
        Err(error) => {
            let foreign = line.get(error.valid_up_to()).copied().unwrap_or_default();
            Err((number, format!("the byte 0x{foreign:02X} is not UTF-8: save the file as UTF-8")))
        }
    });
    texts.collect()
}

/// Files of a directory that end in `.conf`, in Mosquitto's order: letter for letter, of each its capital first.
fn files_of(dir: &Path) -> Result<Vec<PathBuf>, std::io::Error> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "conf") {
            files.push(path);
        }
    }
    let order = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        name.iter().map(|byte| (byte.to_ascii_uppercase(), *byte)).collect::<Vec<_>>()
    };
    files.sort_by_cached_key(order);
    Ok(files)
}

fn parse(
    file: &Arc<Path>,
    texts: &[(usize, &str)],
    env: &impl Fn(&str) -> Option<String>,
    findings: &mut Findings,
) -> Vec<Line> {
    let mut lines = Vec::new();
    for (number, line) in texts {
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        let place = Place { file: file.clone(), line: *number };
        let (word, value) = line.split_once([' ', '\t']).unwrap_or((line, ""));
        let value = expand(value.trim(), env, &place, findings);
        lines.push(Line { place, word: word.to_owned(), value });
    }
    lines
}

/// Puts the environment in. A name that is not set stays as it is written, which is an error.
fn expand(
    value: &str,
    env: &impl Fn(&str) -> Option<String>,
    place: &Place,
    findings: &mut Findings,
) -> String {
    let (mut expanded, mut rest) = (String::new(), value);
    while let Some((before, behind)) = rest.split_once("${") {
        let Some((name, after)) = behind.split_once('}') else {
            findings.trap(place.clone(), "\"${\" without its \"}\" is taken as it is written");
            break;
        };
        expanded.push_str(before);
        match env(name) {
            Some(text) => {
                findings.trap(
                    place.clone(),
                    // Not what it holds: it may be a password.
                    format!("${{{name}}} is taken from the environment; Mosquitto takes it as it is written, unless somebody replaces it before"),
                );
                expanded.push_str(&text);
            }
            None => {
                findings.error(place.clone(), format!("${{{name}}} is not set in the environment"));
                expanded.push_str(&format!("${{{name}}}"));
            }
        }
        rest = after;
    }
    expanded + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::Severity;

    fn lines(text: &str) -> (Vec<(String, String)>, Findings) {
        let mut findings = Findings::default();
        let env = |name: &str| (name == "SITE").then(|| "site7".to_owned());
        let texts = texts_of(text.as_bytes()).unwrap();
        let lines = parse(&Arc::from(Path::new("a.conf")), &texts, &env, &mut findings);
        (lines.into_iter().map(|line| (line.word, line.value)).collect(), findings)
    }

    #[test]
    fn words_values_comments_and_blank_lines() {
        let (lines, findings) = lines("# a b\n\n  connection  up \r\nnotifications\tfalse\ntopic # out\n");
        let expected = [("connection", "up"), ("notifications", "false"), ("topic", "# out")];
        assert_eq!(lines, expected.map(|(word, value)| (word.to_owned(), value.to_owned())));
        assert_eq!(findings, Findings::default());
    }

    #[test]
    fn the_environment_is_put_in_and_what_is_not_set_is_named() {
        let (read, findings) = lines("topic # in 1 \"\" hub/${SITE}/\nclientid ${NOBODY}.${SITE}${");
        assert_eq!(read[0].1, "# in 1 \"\" hub/site7/");
        assert_eq!(read[1].1, "${NOBODY}.site7${");
        assert_eq!((findings.count(Severity::Error), findings.count(Severity::Trap)), (1, 3));
        assert!(
            findings.iter().all(|finding| !finding.to_string().contains("site7")),
            "it may be a password"
        );
        let error = findings.iter().find(|finding| finding.severity == Severity::Error);
        assert_eq!(
            error.map(ToString::to_string).as_deref(),
            Some("a.conf:2: error: ${NOBODY} is not set in the environment")
        );
    }

    #[test]
    fn files_of_a_directory_stand_where_its_line_stands() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::create_dir(path("d")).unwrap();
        let files = ["b.conf", "B.conf", "aZ.conf", "Ab.conf", "_.conf", "c.txt", ".conf"];
        for name in files {
            std::fs::write(path("d").join(name), format!("{name} 1\n")).unwrap();
        }
        std::fs::write(path("m.conf"), format!("x 1\ninclude_dir {}\ny 1\n", path("d").display())).unwrap();
        let mut findings = Findings::default();
        let mut words = || {
            let lines = read(&path("m.conf"), &|_| None, &mut findings).into_iter();
            lines.map(|line| line.word).collect::<Vec<_>>()
        };
        assert_eq!(words(), ["x", "Ab.conf", "aZ.conf", "B.conf", "b.conf", "_.conf", "y"]);
        std::fs::write(path("d/b.conf"), format!("include_dir {}\n", path("d").display())).unwrap();
        assert_eq!(words(), ["x", "Ab.conf", "aZ.conf", "B.conf", "_.conf", "y"]);
        assert_eq!((findings.count(Severity::Ignored), findings.count(Severity::Error)), (1, 0));
        let all = read_all(&path("m.conf"), &|_| None, &mut Findings::default());
        assert_eq!(all.iter().filter(|line| line.word == "include_dir").count(), 2, "none vanishes");
        let mut none = Findings::default();
        assert!(read(Path::new("/dev/zero"), &|_| None, &mut none).is_empty());
        assert_eq!(none.count(Severity::Error), 1);
    }

    #[test]
    fn what_is_not_plain_text_is_an_error_at_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.conf");
        for (bytes, line, part) in [
            (&b"\xef\xbb\xbfconnection up\n"[..], 1, "begins with a byte order mark"),
            (b"# caf\xe9\nconnection up\nremote_username caf\xe9\n", 3, "the byte 0xE9 is not UTF-8"),
            (b"\xff\xfec\0o\0", 1, "the byte 0xFF is not UTF-8"),
        ] {
            std::fs::write(&file, bytes).unwrap();
            let mut findings = Findings::default();
            assert!(read(&file, &|_| None, &mut findings).is_empty());
            let errors: Vec<_> = findings.iter().map(ToString::to_string).collect();
            let expected = format!("{}:{line}: error: ", file.display());
            assert!(
                matches!(errors.as_slice(), [error] if error.starts_with(&expected) && error.contains(part)),
                "{errors:?}"
            );
        }
    }
}
