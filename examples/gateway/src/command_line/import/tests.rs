mod accounting;
mod sections;
mod telegraf;

use std::path::Path;

use crate::config::Config;

use super::*;

/// A folder with all files that the sources of these tests name.
struct Site(tempfile::TempDir);

impl Site {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let site = Self(dir);
        let authority = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let cert = authority.self_signed(&key).unwrap().pem();
        site.write("ca.crt", &cert);
        site.write("own.crt", &cert);
        site.write("own.key", &key.serialize_pem());
        site.write("users", "");
        site.write("acl", "topic readwrite #\n");
        site.write("hub.password", "secret\n");
        site.write("local.password", "secret\n");
        site
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.path().join(name), text).unwrap();
    }

    /// `DIR/` in a source is this folder.
    fn import(&self, mosquitto: &str, telegraf: Option<&str>) -> Result<Imported, String> {
        let dir = format!("{}/", self.0.path().display());
        let file = self.0.path().join("m.conf");
        std::fs::write(&file, mosquitto.replace("DIR/", &dir)).unwrap();
        let mut findings = Findings::default();
        let lines = conf::read_all(&file, &|name| Some(format!("${{{name}}}")), &mut findings);
        assert_eq!(findings.count(Severity::Error), 0, "{findings:?}");
        let telegraf = telegraf.map(|text| Telegraf { path: Path::new("/t.conf"), text });
        import(&file, lines, telegraf, "gw14")
            .map_err(|Fatal { origin, text }| format!("{}: {text}", origin.map_or(0, |origin| origin.first)))
    }

    /// Reads what was made as the gateway does.
    fn check(&self, text: &str) -> Result<Config, String> {
        let path = self.0.path().join("gateway.toml");
        match Config::parse(&path, text, &|_| Some("x".to_owned())) {
            Ok((config, _)) => Ok(config),
            Err(findings) => Err(findings.to_string()),
        }
    }
}

#[test]
fn what_makes_no_sense_is_told_at_its_line() {
    let site = Site::new();
    for (text, expected) in [
        ("listener 1883\n", "0: no connection section"),
        ("connection\naddress h\n", "1: connection: has no value"),
        ("connection up\ntopic a out 1\n", "1: connection: the connection has no address"),
        ("connection up\n\naddress\n", "3: address: has no value"),
        ("connection up\naddress me:hush@h:1883\ntopic a out 1\n", "2: address: a user or password belongs"),
        (
            "connection up\naddress h\ntopic a out 1\nconnecton two\naddress i\ntopic secret/# out 1\n",
            "4: connecton: no option of Mosquitto: did you mean \"connection\"?",
        ),
        ("connection up\naddress h\ntopic a in 1\n", "1: no topic of the connection goes out"),
    ] {
        let error = site.import(text, None).unwrap_err();
        assert!(error.starts_with(expected) && !error.contains("hush"), "{error}");
    }
    let error =
        site.import("connection up\naddress h\ntopic a out 1\n", Some("[agent]\nx = \n")).unwrap_err();
    assert!(error.starts_with("2: no TOML"), "{error}");
}

#[test]
fn a_further_connection_is_left_with_one_warning() {
    let site = Site::new();
    let text = "connection a\naddress h\nremote_clientid g\ntopic a/# out 1\nconnection b\naddress i\ntopic b/# out 1\n";
    let imported = site.import(text, None).unwrap();
    let made = site.check(&imported.text).unwrap();
    assert_eq!((made.hub.url.as_str(), made.routes.len()), ("mqtt://h:1883", 1));
    assert!(
        matches!(imported.warnings.as_slice(), [one] if one.contains("m.conf:5: warning: a gateway has one hub")),
        "{:?}",
        imported.warnings
    );
    assert_eq!(imported.text.matches("of a further connection").count(), 3);
}

#[test]
fn a_second_connection_of_a_name_is_told_at_its_line() {
    let site = Site::new();
    let section = |name: &str| format!("connection {name}\naddress h\nremote_clientid g\ntopic a/# out 1\n");
    let imported = site.import(&["a", "b", "a"].map(section).concat(), None).unwrap();
    let twice: Vec<_> = imported.warnings.iter().filter(|said| said.contains("of this name")).collect();
    assert!(
        matches!(twice.as_slice(), [one] if one.contains("m.conf:9: warning: ") && one.contains("m.conf:1 begins a connection of this name")),
        "{:?}",
        imported.warnings
    );
}

#[test]
fn more_routes_than_a_gateway_takes_are_told_with_the_first_line_too_many() {
    let site = Site::new();
    let text = |topics: usize| {
        let head = "connection a\naddress h\nremote_clientid g\n".to_owned();
        (0..topics).fold(head, |text, n| format!("{text}topic plant/{n} out 1\n"))
    };
    let imported = site.import(&text(1_000), None).unwrap();
    assert!(imported.warnings.is_empty(), "{:?}", imported.warnings);
    site.check(&imported.text).unwrap();
    for topics in [1_001, 1_500] {
        let imported = site.import(&text(topics), None).unwrap();
        assert!(
            matches!(imported.warnings.as_slice(), [one] if one.contains("m.conf:1004: warning: more than 1000 [[route]]")),
            "{:?}",
            imported.warnings
        );
        site.check(&imported.text).unwrap_err();
    }
}

#[test]
fn the_lines_of_an_included_file_and_the_line_that_includes_it_are_there() {
    let site = Site::new();
    std::fs::create_dir(site.0.path().join("d")).unwrap();
    site.write("d/b.conf", "connection a\naddress h\nremote_clientid g\ntopic a/# out 1\n");
    let imported = site.import("include_dir DIR/d\nlistener 1883 127.0.0.1\n", None).unwrap();
    site.check(&imported.text).unwrap();
    assert!(
        imported.text.contains("d/b.conf:4")
            && imported.text.contains("m.conf:1 not carried over: include_dir")
    );
    assert_eq!(imported.counts, Counts { carried: 5, left: 1, warnings: 0 });
}
