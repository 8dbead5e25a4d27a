use std::os::unix::fs::symlink;

use super::super::Config;
use super::*;

const MAIN: &str =
    "[gateway]\nid = \"site7\"\n[local]\nlisten = \"127.0.0.1:1883\"\n[[route]]\nmatch = \"a/#\"\n";
const HUB: &str = "# the hub of this site\n[hub]\nurl = \"mqtt://hub.example\"\nwindow = 7\n";

/// A folder with files.
struct Site(tempfile::TempDir);

impl Site {
    /// A gateway.toml with this `include`, and these files.
    fn new(include: &str, files: &[(&str, &str)]) -> Self {
        let site = Self(tempfile::tempdir().unwrap());
        site.write("gateway.toml", &format!("include = [{include}]\n{MAIN}"));
        files.iter().for_each(|(name, text)| site.write(name, text));
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
    }

    fn load(&self) -> Result<(Config, Findings), Findings> {
        Config::load(&self.path("gateway.toml"))
    }

    /// Findings, whether they are errors or not, with names of files relative to the folder.
    fn said(&self) -> String {
        let findings = match self.load() {
            Ok((_, findings)) | Err(findings) => findings,
        };
        findings.to_string().replace(&format!("{}/", self.0.path().display()), "")
    }

    fn topics(&self) -> Vec<String> {
        let (config, _) = self.load().unwrap_or_else(|findings| panic!("{findings}"));
        config.routes.into_iter().map(|route| route.filter_topic).collect()
    }
}

fn route(topic: &str) -> String {
    format!("[[route]]\nmatch = \"{topic}\"\n")
}

#[test]
fn files_are_one_configuration_and_their_routes_come_in_their_order() {
    let site = Site::new("\"site.toml\", \"routes.d/*.toml\"", &[("site.toml", HUB)]);
    for name in ["20-c.toml", "10-b.toml", "9.toml", "30.toml.bak", ".hidden.toml"] {
        site.write(&format!("routes.d/{name}"), &route(name));
    }
    let (config, findings) = site.load().unwrap();
    assert_eq!((findings.to_string().as_str(), config.hub.window), ("", 7));
    assert_eq!(site.topics(), ["a/#", "10-b.toml", "20-c.toml", "9.toml"]);
}

#[test]
fn tables_of_several_files_have_the_keys_of_all() {
    let site = Site::new("\"site.toml\", \"more.toml\"", &[("site.toml", HUB)]);
    site.write(
        "more.toml",
        "[hub]\nkeep_alive = \"30s\"\n[queue]\nmax_age = \"1h\"\n[gateway]\nreload = \"on_change\"\n",
    );
    let (config, _) = site.load().unwrap();
    assert_eq!((config.hub.window, config.hub.keep_alive.as_secs(), config.follows_files), (7, 30, true));
}

#[test]
fn a_key_in_two_files_is_an_error_that_names_both_places() {
    let site = Site::new("\"site.toml\", \"more.toml\"", &[("site.toml", HUB)]);
    site.write("more.toml", "[hub]\nwindow = 7\n");
    let said = site.said();
    assert!(
        said.contains("error: hub.window: set twice: it stands in site.toml:4 too\n  --> more.toml:2:10\n"),
        "{said}"
    );
    site.write("more.toml", "[queue]\nlanes = [\"x\"]\n[route]\nmatch = \"b\"\n");
    site.write("site.toml", &format!("{HUB}[queue]\nlanes = [\"x\"]\n"));
    let said = site.said();
    for expected in [
        "error: queue.lanes: set twice: it stands in site.toml:6 too\n  --> more.toml:2:9\n",
        "error: route: set twice: it stands in gateway.toml:6 too\n  --> more.toml:3:1\n",
    ] {
        assert!(said.contains(expected), "{expected}{said}");
    }
}

/// Places are those of the file, also where the finding is one of the merged configuration.
#[test]
fn findings_name_file_and_line_of_what_is_to_be_mended() {
    let site =
        Site::new("\"site.toml\", \"routes.d/*.toml\"", &[("site.toml", &format!("{HUB}windw = 1\n"))]);
    site.write("routes.d/1.toml", &format!("# ä\n\n{}", route("b/#/c")));
    site.write("routes.d/2.toml", &format!("{}qos = 3\n{}", route("d"), route("a/b")));
    site.write("routes.d/3.toml", "include = [\"x\"]\n[gateway]\nstate = \"/x\"\n");
    let said = site.said();
    for expected in [
        "error: hub.windw: unknown key\n  --> site.toml:5:1\n    5 | windw = 1\n",
        "error: route[2].match: \"b/#/c\":",
        "  --> routes.d/1.toml:4:9\n    4 | match = \"b/#/c\"\n",
        "error: route[3].qos: 3 is outside 0 to 2\n  --> routes.d/2.toml:3:7\n",
        "error: include: an included file includes no further ones: name them in the main file\n  --> routes.d/3.toml:1:11\n",
        "error: gateway.state: belongs into the main file",
        "  --> routes.d/3.toml:3:9\n",
    ] {
        assert!(said.contains(expected), "{expected}\n{said}");
    }
    site.write("site.toml", HUB);
    site.write("routes.d/1.toml", &route("b/c"));
    site.write("routes.d/2.toml", &format!("{}\n{}", route("d"), route("a/b")));
    fs::remove_file(site.path("routes.d/3.toml")).unwrap();
    let said = site.said();
    assert!(
        said.contains("warning: route[4].match: never reached: route[1] matches all of \"a/b\" first; put it behind\n  --> routes.d/2.toml:5:9\n"),
        "{said}"
    );
    let (_, findings) = site.load().unwrap();
    let lines: Vec<String> = findings.summaries(Severity::Warning).collect();
    assert!(lines.len() == 1 && lines[0].contains("/routes.d/2.toml:5: route[4].match: never"), "{lines:?}");
}

/// The gateway takes no state directory of theirs, and so does no command that asks it.
#[test]
fn commands_find_the_state_directory_where_the_gateway_finds_it() {
    let site = Site::new("\"site.toml\"", &[("site.toml", &format!("[gateway]\nstate = \"inside\"\n{HUB}"))]);
    let state_in = || Config::state_in(&site.path("gateway.toml"));
    let said = state_in().unwrap_err().to_string();
    assert!(
        said.contains("error: gateway.state: belongs into the main file") && said.contains("site.toml:2:9\n"),
        "{said}"
    );
    assert!(site.load().unwrap_err().to_string().contains(said.trim_end()), "{said}");
    site.write("site.toml", HUB);
    assert_eq!(state_in().unwrap(), None);
    site.write("gateway.toml", &MAIN.replace("[local]", "state = \"there\"\n[local]"));
    assert_eq!(state_in().unwrap(), Some(site.path("there")));
    // Whatever else is wrong: a gateway that was started with an earlier content can be asked.
    site.write("gateway.toml", "include = [\"gone.toml\"]\n[gateway]\nstate = \"there\"\nidd = 7\n");
    assert_eq!(state_in().unwrap(), Some(site.path("there")));
}

#[test]
fn a_file_that_is_no_toml_or_cannot_be_read_hides_nothing_and_invents_nothing() {
    let site = Site::new("\"site.toml\", \"gone.toml\", \"nowhere/*.toml\"", &[("site.toml", "[hub\n")]);
    let said = site.said();
    assert!(
        said.contains("error: syntax: ") && said.contains("  --> site.toml:1:5\n    1 | [hub\n"),
        "{said}"
    );
    assert!(said.contains("error: include: gone.toml: No such file"), "{said}");
    assert!(said.contains("error: include: nowhere: No such file"), "{said}");
    assert!(!said.contains("missing: "), "{said}");
    assert_eq!(said.matches("error: ").count(), 3, "{said}");
}

#[test]
fn relative_paths_start_from_the_file_in_which_they_stand() {
    let rules = "[[rule]]\nmatch = \"#\"\nstages = [ { deadband = { absolute = 0.5 } } ]\n";
    let filtered = "[[route]]\nmatch = \"b\"\nto = \"b\"\nformat = \"json\"\nfilter = \"f.toml\"\n";
    let site = Site::new(
        "\"site.toml\", \"d/1.toml\"",
        &[("site.toml", HUB), ("d/1.toml", filtered), ("d/f.toml", rules)],
    );
    let (config, _) = site.load().unwrap_or_else(|findings| panic!("{findings}"));
    assert_eq!(config.routes[1].rules_file, Some(site.path("d/f.toml")));
}

#[test]
fn no_name_or_link_reads_a_file_twice_or_something_else_than_a_file() {
    let site = Site::new("\"site.toml\", \"d/*.toml\"", &[("site.toml", HUB), ("d/1.toml", &route("b"))]);
    let again = "this file is one of the configuration's already";
    symlink("../gateway.toml", site.path("d/2.toml")).unwrap();
    assert!(site.said().contains(&format!("error: include: d/2.toml: {again}")), "{}", site.said());
    fs::remove_file(site.path("d/2.toml")).unwrap();
    symlink("1.toml", site.path("d/2.toml")).unwrap();
    assert!(site.said().contains(&format!("error: include: d/2.toml: {again}")), "{}", site.said());
    fs::remove_file(site.path("d/2.toml")).unwrap();
    symlink("2.toml", site.path("d/2.toml")).unwrap();
    assert!(site.said().contains("error: include: d/2.toml: "), "{}", site.said());
    fs::remove_file(site.path("d/2.toml")).unwrap();
    fs::create_dir(site.path("d/2.toml")).unwrap();
    assert!(site.said().contains("error: include: d/2.toml: is a directory"), "{}", site.said());
    fs::remove_dir(site.path("d/2.toml")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(site.path("d/2.toml")).status().unwrap().success());
    assert!(site.said().contains("error: include: d/2.toml: not a file, but a pipe"), "{}", site.said());
}

#[test]
fn files_are_bounded_in_number_and_bytes() {
    let site = Site::new("\"site.toml\", \"d/*.toml\"", &[("site.toml", HUB)]);
    let write =
        |count: usize| (0..count).for_each(|n| site.write(&format!("d/{n}.toml"), &route(&format!("b/{n}"))));
    write(FILES_MAX - 1);
    assert_eq!(site.topics().len(), FILES_MAX);
    write(FILES_MAX);
    let said = site.said();
    assert!(said.contains("error: include: at most 100 files\n  --> gateway.toml:1:"), "{said}");
    fs::remove_dir_all(site.path("d")).unwrap();
    let room = usize::try_from(BYTES_MAX).unwrap() - HUB.len() - route("b").len();
    site.write("d/1.toml", &format!("{}#{}", route("b"), "x".repeat(room - 1)));
    assert_eq!(site.topics(), ["a/#", "b"]);
    site.write("d/2.toml", "#");
    assert!(site.said().contains("error: include: d/2.toml: included files have at most 1 MiB together"));
}

#[test]
fn what_stands_for_no_file_is_told() {
    for (include, expected) in [
        (
            "\"site.toml\", \"site*.tml\"",
            "warning: include: site*.tml: there is no such file\n  --> gateway.toml:1:25\n",
        ),
        ("\"site.toml\", \"\"", "error: include: an empty path"),
        ("\"site.toml\", \"*/x.toml\"", "error: include: `*` may stand in the name of the file alone"),
        ("\"site.toml\", 7", "error: include: expected strings, found a whole number"),
        (
            "\"site.toml\", \"${NOBODY_SETS_THIS}.toml\"",
            "error: include: environment variable NOBODY_SETS_THIS",
        ),
    ] {
        let said = Site::new(include, &[("site.toml", HUB)]).said();
        assert!(said.contains(expected), "{expected}\n{said}");
    }
    let site = Site::new("", &[]);
    site.write("gateway.toml", &format!("{MAIN}{HUB}[gateway.x]\n[queue]\ninclude = [\"x.toml\"]\n"));
    assert!(site.said().contains("help: `include` stands before the first table"), "{}", site.said());
}

#[test]
fn wildcards_stand_for_any_characters_and_no_hidden_file() {
    for (pattern, name, is_meant) in [
        ("*.toml", "a.toml", true),
        ("*.toml", ".toml", false),
        ("*.toml", ".a.toml", false),
        (".*.toml", ".a.toml", true),
        ("*.toml", "a.toml~", false),
        ("*", "..data", false),
        ("a*a", "a", false),
        ("a*a", "aa", true),
        ("a*b*c", "a-b-b-c", true),
        ("a*b*c", "a-c-b", false),
        ("*ä*", "xäy", true),
        ("?.toml", "a.toml", false),
    ] {
        assert_eq!(is_match(pattern, name), is_meant, "{pattern} {name}");
    }
    assert!(!is_match(&"*a".repeat(120), &format!("{}b", "a".repeat(250))), "in no time");
}

/// Whose hash is the same, has the same configuration: in which file a line is may matter.
#[test]
fn the_digest_is_of_all_files() {
    let site = Site::new("\"site.toml\"", &[("site.toml", HUB)]);
    let digest = || site.load().unwrap().0.digest;
    let before = digest();
    site.write("site.toml", &HUB.replace('7', "8"));
    assert_ne!(digest(), before);
    site.write("site.toml", HUB);
    assert_eq!(digest(), before);
}
