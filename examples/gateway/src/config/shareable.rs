//! Text of a configuration that may be given to others: known keys and their values as they stand in the file, without comments and secrets.
//!
//! Variables of the environment are not filled in. What stands at an unknown key is left out: it may be a password that was put there by mistake.

use std::path::{Path, PathBuf};

use edge_bridge::escape::Escaped;
use toml::{Table, Value};

use super::keys::{keys_of, table_names};
use super::mask::without_password;
use super::named_paths::{LEFT_OUT, names_secret};
use super::{include, operator_file};

/// Most included files, as many as a configuration may have.
const FILES_MAX: usize = 100;

/// Reads a file, and the files that it includes. Returns their texts for others, one after the other.
///
/// # Errors
/// In words: the file cannot be read, or is no TOML.
pub(crate) fn shareable(file: &Path) -> Result<String, String> {
    let (mut text, patterns) = shareable_file(file)?;
    let included = patterns.iter().flat_map(|pattern| include::files_of(pattern).unwrap_or_default());
    for included in included.take(FILES_MAX) {
        let (found, what) = match shareable_file(&included) {
            Ok((found, _)) => (found, String::new()),
            Err(why) => (String::new(), format!(": {why}")),
        };
        text.push_str(&format!("\n# {}{what}\n{found}", Escaped(&included.display().to_string())));
    }
    Ok(text)
}

/// Reads one file. Returns its text for others, and the paths of its `include`.
fn shareable_file(file: &Path) -> Result<(String, Vec<PathBuf>), String> {
    let text = operator_file::read_text(file).map_err(|error| format!("cannot be read: {error}"))?;
    // The error's own text would quote the line.
    let whole: Table = toml::from_str(&text).map_err(|_| "no TOML, and left out for that".to_owned())?;
    let base = file.parent().unwrap_or(Path::new("."));
    let named = whole.get("include").and_then(Value::as_array).into_iter().flatten();
    let patterns = named.filter_map(Value::as_str).map(|path| base.join(path)).collect();
    let mut shared = Table::new();
    for (name, value) in whole {
        let value = match name.as_str() {
            "include" => value,
            "test" => Value::from(LEFT_OUT),
            known if table_names().any(|table| table == known) => inside(known, value, base),
            _ => Value::from(LEFT_OUT),
        };
        shared.insert(name, value);
    }
    let text = toml::to_string(&shared).map_err(|error| error.to_string())?;
    Ok((text.lines().map(|line| format!("{}\n", without_password(line))).collect(), patterns))
}

/// Returns the value of a table of this name, or of an array of such tables.
fn inside(section: &str, value: Value, base: &Path) -> Value {
    match value {
        Value::Table(table) => {
            let keys = keys_of(section);
            let of_key = |(name, value): (String, Value)| {
                let is_known = keys.iter().any(|key| key.name == name);
                let value = if is_known { plain(section, &name, value, base) } else { Value::from(LEFT_OUT) };
                (name, value)
            };
            Value::Table(table.into_iter().map(of_key).collect())
        }
        Value::Array(values) => {
            Value::Array(values.into_iter().map(|value| inside(section, value, base)).collect())
        }
        _ => Value::from(LEFT_OUT),
    }
}

/// Returns the value of a known key.
fn plain(section: &str, name: &str, value: Value, base: &Path) -> Value {
    match value {
        Value::Table(_) => inside(&format!("{section}.{name}"), value, base),
        Value::Array(values) => {
            Value::Array(values.into_iter().map(|value| plain(section, name, value, base)).collect())
        }
        Value::String(text) => {
            let is_path = || text.contains("${") || base.join(&text).exists();
            // A key or a certificate in place of its path has several lines.
            let is_shown = !text.contains('\n') && (!names_secret(name) || is_path());
            Value::String(if is_shown { text } else { LEFT_OUT.to_owned() })
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_keys_stay_and_whatever_may_be_a_secret_goes() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("hub.password"), "s3cret-0").unwrap();
        let file = dir.path().join("gateway.toml");
        let text = "# s3cret-1\n[gateway]\nid = \"site7\"\n[hub]\nurl = \"mqtts://u:s3cret-2@hub\"\npassword = \"s3cret-3\"\nkey = \"s3cret-4\"\npassword_file = \"hub.password\"\n\
            proxy = \"http://u:s3cret-5@proxy:1\"\nproxy_password_file = \"${PROXY}\"\nca = \"\"\"s3cret-6\n-\"\"\"\n[[route]]\nmatch = \"plant/#\"\nfields = { value = \"v\", s3 = \"s3cret-7\" }\nbatch_max = 10\n\
            [[test]]\ntopic = \"s3cret-8\"\n[mqtt]\nx = \"s3cret-9\"\n[metrics]\nlisten = \"127.0.0.1:1\"\ntokens = [\"s3cret-10\"]\n";
        std::fs::write(&file, text).unwrap();
        let shared = shareable(&file).unwrap();
        assert!(!shared.contains("s3cret"), "{shared}");
        for line in [
            "id = \"site7\"",
            "url = \"mqtts://u:…@hub\"",
            "password = \"…\"",
            "key = \"…\"",
            "password_file = \"hub.password\"",
            "proxy = \"http://u:…@proxy:1\"",
            "proxy_password_file = \"${PROXY}\"",
            "match = \"plant/#\"",
            "value = \"v\"",
            "batch_max = 10",
            "test = \"…\"",
            "mqtt = \"…\"",
            "tokens = \"…\"",
        ] {
            assert!(shared.contains(line), "{line}: {shared}");
        }
        std::fs::write(&file, "[hub]\npassword = s3cret\n").unwrap();
        assert_eq!(shareable(&file).unwrap_err(), "no TOML, and left out for that");
    }
}
