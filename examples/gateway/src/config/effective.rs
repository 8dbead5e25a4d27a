//! The one effective configuration: all files merged, with variables of the environment filled in, as TOML that is a gateway.toml of its own. Each
//! key has its origin behind it. Defaults are comments, so that a copy does not hold them fast.

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::path::Path;

use control_loop::OneLine;
use edge_bridge::net::signer_socket;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::expand::expand;
use super::keys::{Key, Preset, TABLES, Table, Value, keys_of};
use super::sources::{Place, Sources};

/// Configuration to be written. It has no mistakes.
pub(crate) struct Effective<'a> {
    pub(crate) sources: &'a Sources,
    /// Reads a variable of the environment.
    pub(crate) env: &'a dyn Fn(&str) -> Option<String>,
}

impl Display for Effective<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let main = self.sources.main().path.display().to_string();
        write!(f, "# Effective configuration of {}", OneLine(&main))?;
        match self.sources.included().len() {
            0 => writeln!(f)?,
            1 => writeln!(f, " and one included file")?,
            count => writeln!(f, " and {count} included files")?,
        }
        let merged = self.sources.merged();
        for table in TABLES.iter().filter(|table| !table.name.is_empty() && !table.name.contains('.')) {
            match merged.table.get(table.name).map(Spanned::get_ref) {
                Some(DeValue::Table(found)) => self.table(f, table, found)?,
                Some(DeValue::Array(items)) => {
                    for item in items {
                        if let DeValue::Table(found) = item.get_ref() {
                            self.table(f, table, found)?;
                        }
                    }
                }
                _ => absent(f, table)?,
            }
        }
        Ok(())
    }
}

impl Effective<'_> {
    fn table(&self, f: &mut fmt::Formatter<'_>, table: &Table, found: &DeTable<'_>) -> fmt::Result {
        writeln!(f, "\n{}", table.head)?;
        for key in table.keys {
            match found.get(key.name) {
                Some(value) => {
                    let place = format!("{}.{}", table.name, key.name);
                    let (text, is_filled_in) = self.value(value, key.value, &place);
                    let Place { file, line, .. } = self.sources.place(value.span().start);
                    let file = file.strip_prefix(self.sources.main_folder()).unwrap_or(file);
                    let file = file.display().to_string();
                    let filled_in = if is_filled_in { ", environment" } else { "" };
                    writeln!(f, "{} = {text}  # {}:{line}{filled_in}", key.name, OneLine(&file))?;
                }
                None => default(f, key)?,
            }
        }
        Ok(())
    }

    /// Returns the value at a place as TOML, and whether variables of the environment are filled in.
    fn value(&self, value: &Spanned<DeValue<'_>>, kind: Value, place: &str) -> (String, bool) {
        let at = value.span().start;
        match value.get_ref() {
            DeValue::String(text) => {
                let is_path = matches!(kind, Value::Text("file" | "path" | "file, or `unix:PATH`"));
                let filled_in = self.filled_in(text);
                let is_filled_in = filled_in != *text;
                let written = if is_path { self.moved(at, &filled_in) } else { filled_in };
                (literal(&written), is_filled_in)
            }
            DeValue::Array(items) => {
                let (items, filled_in): (Vec<String>, Vec<bool>) =
                    items.iter().map(|item| self.value(item, kind, place)).unzip();
                (format!("[{}]", items.join(", ")), filled_in.contains(&true))
            }
            DeValue::Table(table) => {
                let (entries, filled_in): (Vec<String>, Vec<bool>) = table
                    .iter()
                    .map(|(name, value)| {
                        let name: &str = name.get_ref();
                        let inner = keys_of(place).iter().find(|key| key.name == name);
                        let kind = inner.map_or(kind, |key| key.value);
                        let (text, filled_in) = self.value(value, kind, place);
                        (format!("{name} = {text}"), filled_in)
                    })
                    .unzip();
                (format!("{{ {} }}", entries.join(", ")), filled_in.contains(&true))
            }
            DeValue::Boolean(value) => (value.to_string(), false),
            DeValue::Integer(value) => (value.to_string(), false),
            DeValue::Float(value) => (value.to_string(), false),
            DeValue::Datetime(value) => (value.to_string(), false),
        }
    }

    /// Returns the text with variables filled in; as it stands where what comes out would be filled in once more.
    fn filled_in<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match expand(text, self.env) {
            Ok(filled_in) if !filled_in.contains("${") => Cow::Owned(filled_in),
            _ => Cow::Borrowed(text),
        }
    }

    /// Returns a path of an included file as the main file would have to write it.
    fn moved<'a>(&self, at: usize, path: &Cow<'a, str>) -> Cow<'a, str> {
        let (folder, main) = (self.sources.folder(at), self.sources.main_folder());
        if folder == main {
            return path.clone();
        }
        if let Some(socket) = signer_socket(Path::new(&**path)) {
            let socket = self.moved(at, &socket.to_string_lossy());
            return Cow::Owned(format!("unix:{socket}"));
        }
        let whole = folder.join(Path::new(&**path));
        Cow::Owned(whole.strip_prefix(main).unwrap_or(&whole).display().to_string())
    }
}

/// Writes the defaults of a table that the files do not have.
fn absent(f: &mut fmt::Formatter<'_>, table: &Table) -> fmt::Result {
    let has_defaults = table.keys.iter().any(|key| matches!(key.preset, Preset::Is(_)));
    if !has_defaults || table.head.starts_with("[[") {
        return Ok(());
    }
    writeln!(f, "\n# {}", table.head)?;
    table.keys.iter().try_for_each(|key| default(f, key))
}

fn default(f: &mut fmt::Formatter<'_>, key: &Key) -> fmt::Result {
    let Preset::Is(text) = key.preset else { return Ok(()) };
    let is_text =
        matches!(key.value, Value::Text(_) | Value::Duration(..) | Value::Size(..) | Value::OneOf(_));
    let text = if is_text { literal(text) } else { text.to_owned() };
    writeln!(f, "# {} = {text}  # default", key.name)
}

/// Returns a string as TOML.
fn literal(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::super::{Config, Severity};
    use super::*;

    fn env(name: &str) -> Option<String> {
        let value = match name {
            "SITE" => "site7",
            "QUOTE" => "a\"b\\c",
            "TRAP" => "${SITE}",
            _ => return None,
        };
        Some(value.to_owned())
    }

    fn parse(path: &Path, text: &str) -> Config {
        Config::parse(path, text, &env).unwrap_or_else(|findings| panic!("{findings}")).0
    }

    /// All that a configuration says, whatever its files are.
    fn meaning(config: Config) -> String {
        let empty = Sources::new(Path::new(""), "");
        format!("{:?}", Config { digest: String::new(), sources: empty, ..config })
    }

    /// The effective configuration, which as a file of its own means the same.
    fn effective(path: &Path, text: &str) -> String {
        let config = parse(path, text);
        let written = Effective { sources: &config.sources, env: &env }.to_string();
        assert!(toml::from_str::<toml::Table>(&written).is_ok(), "{written}");
        let again = parse(path, &written);
        assert_eq!(meaning(again), meaning(config), "{written}");
        written
    }

    #[test]
    fn the_configuration_that_is_shipped_means_the_same_when_it_is_written() {
        let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/gateway.toml"));
        let written = effective(&path, &fs::read_to_string(&path).unwrap());
        for line in
            ["# reload = \"signal\"  # default", "lane = \"alarm\"  # gateway.toml:", "# qos = 1  # default"]
        {
            assert!(written.contains(&format!("\n{line}")), "{line}\n{written}");
        }
    }

    #[test]
    fn the_socket_of_a_signer_is_that_of_the_file_that_names_it() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("d")).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap();
        fs::write(dir.path().join("d/crt"), certificate.pem()).unwrap();
        let hub = "[hub]\nurl = \"mqtts://hub\"\nca = \"crt\"\ncert = \"crt\"\nkey = \"unix:s\"\n";
        fs::write(dir.path().join("d/hub.toml"), hub).unwrap();
        let text = "include = [\"d/hub.toml\"]\n[gateway]\nid = \"g\"\n[local]\nlisten = \"127.0.0.1:1\"\n[[route]]\nmatch = \"#\"\n";
        let written = effective(&dir.path().join("gateway.toml"), text);
        assert!(written.contains("\nkey = \"unix:d/s\""), "{written}");
    }

    #[test]
    fn files_are_one_and_each_key_has_its_origin() {
        let dir = tempfile::tempdir().unwrap();
        let main = dir.path().join("gateway.toml");
        fs::create_dir(dir.path().join("d")).unwrap();
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        write(
            "site.toml",
            "[gateway]\nid = \"${SITE}\"\n[hub]\nurl = \"mqtt://hub.example\"\nuser = '${QUOTE}'\npassword_file = \"d/word\"\nwindow = 0x10\n",
        );
        write("d/word", "secret-of-the-hub\n");
        write("d/f", "[[rule]]\nmatch = \"#\"\nstages = [ { deadband = { absolute = 0.5 } } ]\n");
        write(
            "d/1.toml",
            "[[route]]\nmatch = \"b\"\nto = \"b\"\nformat = \"json\"\nfilter = \"f\"\n[route.fields]\nvalue = \"/v\"\neach = \"\"\n",
        );
        let text = "include = [\"site.toml\", \"d/*.toml\"]\n[local]\nlisten = \"127.0.0.1:1883\"\n[[route]]\nmatch = \"${TRAP}/#\"\n";
        let written = effective(&main, text);
        for line in [
            "id = \"site7\"  # site.toml:2, environment",
            "listen = \"127.0.0.1:1883\"  # gateway.toml:3",
            "password_file = \"d/word\"  # site.toml:6",
            "window = 0x10  # site.toml:7",
            "match = \"${TRAP}/#\"  # gateway.toml:5",
            "filter = \"d/f\"  # d/1.toml:5",
            "# [queue]\n# max_bytes = \"64MiB\"  # default",
        ] {
            assert!(written.contains(&format!("\n{line}\n")), "{line}\n{written}");
        }
        assert!(written.contains("fields = { each = \"\", value = \"/v\" }  # d/1.toml:6\n"), "{written}");
        assert!(!written.contains("\ninclude") && !written.contains("secret-of-the-hub"), "{written}");
        assert!(
            written.starts_with(&format!(
                "# Effective configuration of {} and 2 included files\n",
                main.display()
            ))
        );
    }

    /// So that none is printed: what has mistakes is not written.
    #[test]
    fn a_password_in_an_address_is_a_mistake() {
        for (table, line) in [
            ("hub", "url = \"mqtt://u:secret@hub\""),
            ("hub", "further_urls = [\"mqtt://u:secret@hub\"]"),
            ("hub", "proxy = \"http://u:secret@proxy:1\""),
            ("local", "broker = \"u:secret@hub:1\""),
        ] {
            let mut text = "[gateway]\nid = \"g\"\n[[route]]\nmatch = \"#\"\n".to_owned();
            for (name, usual) in [("hub", "url = \"mqtt://h\""), ("local", "listen = \"127.0.0.1:1\"")] {
                let is_replaced = name == table && !line.starts_with("further") && !line.starts_with("proxy");
                let usual = if is_replaced { "" } else { usual };
                let line = if name == table { line } else { "" };
                text.push_str(&format!("[{name}]\n{usual}\n{line}\n"));
            }
            let findings = Config::parse(Path::new("g.toml"), &text, &env).expect_err(line);
            assert!(findings.summaries(Severity::Error).any(|line| line.contains(table)), "{line}");
        }
    }
}
