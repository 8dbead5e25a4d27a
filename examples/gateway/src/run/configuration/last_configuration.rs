//! Configuration that was in force last, with the files that it includes and its files of rules, in the file `configuration` of the state directory: a start whose files have
//! mistakes goes on with it, since a site that takes nothing in loses more than one with yesterday's limits.
//!
//! Paths are kept relative to the folder of gateway.toml, so that it is the same configuration however the path of that file is written.
//! Only the texts are kept: variables of the environment are expanded anew, and passwords, keys and certificates are read from their files.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config::{Config, Findings, Severity};
use edge_state::checksummed as checksummed_file;

const FILE: &str = "configuration";
const VERSION: &str = "edge-gateway configuration 1 ";
const BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Longest first line, which has the checksum, in bytes.
const HEAD_BYTES: u64 = 128;

#[derive(Debug, Serialize, Deserialize)]
struct Texts {
    /// Text of gateway.toml.
    file: String,
    /// Files of rules by their paths, and their texts.
    rules: Vec<(PathBuf, String)>,
    /// Included files by their paths, in their order, and their texts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    included: Vec<(PathBuf, String)>,
}

impl Texts {
    fn of(config: &Config) -> Self {
        let folder = folder_of(&config.sources.main().path);
        let relative = |(path, text): (PathBuf, String)| match path.strip_prefix(folder) {
            Ok(relative) => (relative.to_owned(), text),
            Err(_) => (path, text),
        };
        let of_routes =
            config.routes.iter().filter_map(|route| route.rules_file.clone().zip(route.rules.clone()));
        let of_loops = config.control.iter().map(|control| (control.rules.clone(), control.text.clone()));
        let included =
            config.sources.included().iter().map(|source| (source.path.clone(), source.text.clone()));
        Self {
            file: config.sources.main().text.clone(),
            rules: of_routes.chain(of_loops).map(relative).collect(),
            included: included.map(relative).collect(),
        }
    }

    /// Returns the text of a file of rules of the configuration in this folder. Earlier versions kept full paths.
    fn rules(&self, folder: &Path, file: &Path) -> io::Result<String> {
        let found = self.rules.iter().find(|(path, _)| folder.join(path) == file);
        found.map(|(_, text)| text.clone()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn folder_of(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new(""))
}

/// Writes a configuration that is in force, unless it is the kept one.
///
/// # Errors
/// The disk refused.
pub(crate) fn keep(state: &Path, config: &Config) -> io::Result<()> {
    let body = serde_json::to_vec(&Texts::of(config)).map_err(io::Error::other)?;
    let kept = checksummed_file::read(state, FILE, VERSION, BYTES_MAX);
    if kept.is_ok_and(|kept| kept == body) {
        return Ok(());
    }
    if body.len() as u64 > BYTES_MAX - HEAD_BYTES {
        // An older one is not what was in force last.
        checksummed_file::replace(state, FILE, VERSION, b"{}")?;
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it has more than {} MiB", BYTES_MAX >> 20),
        ));
    }
    checksummed_file::replace(state, FILE, VERSION, &body)
}

/// Returns the kept configuration, for a gateway whose file is `file`; `None` without one.
///
/// # Errors
/// The text cannot be read, or has mistakes now; in words.
pub(crate) fn kept(state: &Path, file: &Path) -> Result<Option<(Config, Findings)>, String> {
    let body = match checksummed_file::read(state, FILE, VERSION, BYTES_MAX) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read.map_err(|error| format!("{}: {error}", state.join(FILE).display()))?,
    };
    let texts: Texts = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
    let folder = folder_of(file);
    let included: Vec<_> =
        texts.included.iter().map(|(path, text)| (folder.join(path), text.clone())).collect();
    let loaded = Config::of_texts(file, &texts.file, &included, &|rules| texts.rules(folder, rules));
    loaded.map(Some).map_err(|findings| findings.summaries(Severity::Error).next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GATEWAY: &str =
        "[gateway]\nid = \"g\"\n[local]\nlisten = \"127.0.0.1:1883\"\n[hub]\nurl = \"mqtt://hub.example\"\n";

    #[test]
    fn it_comes_back_with_its_rules_whatever_has_become_of_the_files() {
        let dir = tempfile::tempdir().unwrap();
        let (file, state) = (dir.path().join("gateway.toml"), dir.path().join("state"));
        std::fs::create_dir(&state).unwrap();
        assert!(kept(&state, &file).unwrap().is_none());
        let rules = "[[rule]]\nmatch = \"#\"\nstages = [ { deadband = { absolute = 0.5 } } ]\n";
        std::fs::write(dir.path().join("filter.toml"), rules).unwrap();
        let text = format!(
            "{GATEWAY}[[route]]\nmatch = \"plant/#\"\nto = \"up\"\nformat = \"compact\"\nfilter = \"filter.toml\"\n"
        );
        std::fs::write(&file, text).unwrap();
        let (config, _) = Config::load(&file).unwrap_or_else(|findings| panic!("{findings}"));
        keep(&state, &config).unwrap();
        let written = std::fs::metadata(state.join(FILE)).unwrap().modified().unwrap();
        keep(&state, &config).unwrap();
        assert_eq!(std::fs::metadata(state.join(FILE)).unwrap().modified().unwrap(), written, "not twice");
        std::fs::remove_file(dir.path().join("filter.toml")).unwrap();
        std::fs::write(&file, "[gateway").unwrap();
        let (again, _) = kept(&state, &file).unwrap().unwrap();
        assert_eq!(again.digest, config.digest);
        assert_eq!(again.routes, config.routes);
        assert!(
            !std::fs::read_to_string(state.join(FILE)).unwrap().contains("included"),
            "as before there were any"
        );
        let mut damaged = std::fs::read(state.join(FILE)).unwrap();
        *damaged.last_mut().unwrap() ^= 1;
        std::fs::write(state.join(FILE), damaged).unwrap();
        let damaged = format!("{}: it is damaged", state.join(FILE).display());
        assert_eq!(kept(&state, &file).unwrap_err(), damaged);
    }

    #[test]
    fn it_comes_back_with_its_included_files_each_with_its_folder() {
        let dir = tempfile::tempdir().unwrap();
        let (file, folder) = (dir.path().join("gateway.toml"), dir.path().join("routes.d"));
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(&file, format!("include = [\"routes.d/*.toml\"]\n{GATEWAY}")).unwrap();
        let rules = "[[rule]]\nmatch = \"#\"\nstages = [ { deadband = { absolute = 0.5 } } ]\n";
        std::fs::write(folder.join("rules"), rules).unwrap();
        for name in ["2.toml", "1.toml"] {
            let text = format!(
                "[[route]]\nmatch = \"{name}/#\"\nto = \"up\"\nformat = \"json\"\nfilter = \"rules\"\n"
            );
            std::fs::write(folder.join(name), text).unwrap();
        }
        let (config, _) = Config::load(&file).unwrap_or_else(|findings| panic!("{findings}"));
        keep(dir.path(), &config).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        let (again, findings) = kept(dir.path(), &file).unwrap().unwrap();
        assert_eq!((again.digest, again.routes.len()), (config.digest, 2));
        assert_eq!(again.routes, config.routes);
        assert_eq!(findings.to_string(), "");
    }

    /// As a person types it one day, and a unit file has it the other.
    #[test]
    fn it_comes_back_however_the_path_of_the_file_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("etc");
        std::fs::create_dir(&folder).unwrap();
        let file = folder.join("gateway.toml");
        std::fs::write(&file, format!("include = [\"*.d.toml\"]\n{GATEWAY}")).unwrap();
        let rules = "[[rule]]\nmatch = \"#\"\nstages = [ { deadband = { absolute = 0.5 } } ]\n";
        std::fs::write(folder.join("rules"), rules).unwrap();
        let route = "[[route]]\nmatch = \"#\"\nto = \"up\"\nformat = \"json\"\nfilter = \"rules\"\n";
        std::fs::write(folder.join("routes.d.toml"), route).unwrap();
        std::os::unix::fs::symlink(&folder, dir.path().join("link")).unwrap();
        let dotted = dir.path().join("etc/../etc/./gateway.toml");
        let linked = dir.path().join("link/gateway.toml");
        // As they are typed in that folder.
        let (bare, here) = (PathBuf::from("gateway.toml"), PathBuf::from("./gateway.toml"));
        let (config, _) = Config::load(&file).unwrap_or_else(|findings| panic!("{findings}"));
        keep(dir.path(), &config).unwrap();
        let body = std::fs::read(dir.path().join(FILE)).unwrap();
        for other in [&file, &dotted, &linked, &bare, &here] {
            let (again, _) =
                kept(dir.path(), other).unwrap_or_else(|why| panic!("{other:?}: {why}")).unwrap();
            assert_eq!((again.digest.as_str(), again.routes.len()), (config.digest.as_str(), 1), "{other:?}");
            keep(dir.path(), &again).unwrap();
            assert_eq!(std::fs::read(dir.path().join(FILE)).unwrap(), body, "{other:?}: the same is kept");
        }
    }

    #[test]
    fn one_of_an_earlier_version_with_full_paths_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let (file, rules) = (dir.path().join("gateway.toml"), dir.path().join("rules"));
        let route = "[[route]]\nmatch = \"#\"\nto = \"up\"\nformat = \"json\"\nfilter = \"rules\"\n";
        let text = "[[rule]]\nmatch = \"#\"\nstages = [ { deadband = { absolute = 0.5 } } ]\n".to_owned();
        let texts =
            Texts { file: format!("{GATEWAY}{route}"), rules: vec![(rules, text)], included: Vec::new() };
        let body = serde_json::to_vec(&texts).unwrap();
        checksummed_file::replace(dir.path(), FILE, VERSION, &body).unwrap();
        assert_eq!(kept(dir.path(), &file).unwrap().unwrap().0.routes.len(), 1);
    }
}
