//! Words and places of findings: everything at once, each at the line that is to be mended.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use super::*;

/// A folder with files that gateway.toml names.
struct Site(tempfile::TempDir);

impl Site {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// Findings of a configuration in this folder, whether or not they are errors; `hub` are lines of `[hub]`, `rest` lines of the route and tables.
    fn said(&self, hub: &str, rest: &str) -> String {
        let text = SMALL.replace("url = \"mqtt://hub.example:1883\"\n", hub) + rest;
        let path = self.0.path().join("gateway.toml");
        match Config::parse(&path, &text, &|_| None) {
            Ok((_, findings)) | Err(findings) => findings.to_string(),
        }
    }

    /// `ca.crt` with `ca.key`, and `site7.crt` of it with `site7.key`, which end so many days from now.
    fn certificates(&self, ca_days: i64, own_days: i64) {
        let mut authority = CertificateParams::new(Vec::<String>::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.not_after = day(ca_days).into();
        let key = KeyPair::generate().unwrap();
        self.write("ca.crt", &authority.self_signed(&key).unwrap().pem());
        self.write("ca.key", &key.serialize_pem());
        let authority = Issuer::new(authority, key);
        let mut own = CertificateParams::new(vec!["site7".to_owned()]).unwrap();
        own.not_after = day(own_days).into();
        let key = KeyPair::generate().unwrap();
        self.write("site7.crt", &own.signed_by(&key, &authority).unwrap().pem());
        self.write("site7.key", &key.serialize_pem());
    }

    /// A list of an authority of this name, signed by `ca.key`, made ten days ago, that is out of date so many days from now.
    fn list(&self, name: &str, authority: &str, days: i64) {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, authority);
        let list = rcgen::CertificateRevocationListParams {
            this_update: day(-10).into(),
            next_update: day(days).into(),
            crl_number: 1.into(),
            issuing_distribution_point: None,
            revoked_certs: Vec::new(),
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        };
        let key = KeyPair::from_pem(&fs::read_to_string(self.0.path().join("ca.key")).unwrap()).unwrap();
        let list = list.signed_by(&Issuer::new(params, key)).unwrap();
        self.write(name, &list.pem().unwrap());
    }
}

/// So many days from now.
#[allow(clippy::disallowed_methods, reason = "certificates of today")]
fn day(days: i64) -> SystemTime {
    let (now, far) = (SystemTime::now(), Duration::from_secs(86_400 * days.unsigned_abs()));
    if days < 0 { now - far } else { now + far }
}

const URL: &str = "url = \"mqtts://hub.example:8883\"\n";
const FILES: &str = "ca = \"ca.crt\"\ncert = \"site7.crt\"\nkey = \"site7.key\"\n";

#[test]
fn no_file_of_the_hub_hides_what_is_wrong_with_another() {
    let site = Site::new();
    for name in ["ca.crt", "site7.crt", "site7.key"] {
        site.write(name, "nothing");
    }
    let wrong = |hub: &str| site.said(&format!("{URL}{hub}"), "");
    let (cert, key) = ("error: hub.cert:", "error: hub.key:");
    for ca in ["ca = \"\"\n", "ca = \"nowhere.crt\"\n", "ca = \"ca.crt\"\n"] {
        let said = wrong(&FILES.replace("ca = \"ca.crt\"\n", ca));
        assert!(said.contains("error: hub.ca:") && said.contains(cert) && said.contains(key), "{ca}{said}");
    }
    let said = wrong("cert = \"\"\nkey = \"site7.key\"\n");
    assert!(said.contains(cert) && said.contains(key), "{said}");
    let said = wrong("cert = \"site7.crt\"\nkey = \"\"\n");
    assert!(said.contains(cert) && said.contains(key), "{said}");
    let said = site.said(&format!("url = \"hub\"\n{FILES}"), "");
    assert!(said.contains("error: hub.url:") && said.contains(cert) && said.contains(key), "{said}");
    site.certificates(365, 365);
    let (own, other) = (site.0.path().join("site7.key"), KeyPair::generate().unwrap().serialize_pem());
    fs::write(own, other).unwrap();
    let said = wrong(&FILES.replace("ca = \"ca.crt\"", "ca = \"\""));
    assert!(
        said.contains("error: hub.ca: an empty path") && said.contains("site7.key: the key does not belong"),
        "{said}"
    );
}

#[test]
fn a_certificate_that_has_expired_is_an_error_and_one_that_soon_does_a_warning() {
    let site = Site::new();
    for (ca_days, own_days, said) in [
        (365, 365, None),
        (365, 20, Some("warning: hub.cert:")),
        (365, -2, Some("error: hub.cert:")),
        (20, 365, Some("warning: hub.ca:")),
        (-2, 365, Some("error: hub.ca:")),
    ] {
        site.certificates(ca_days, own_days);
        let found = site.said(&format!("{URL}{FILES}"), "");
        let told: Vec<&str> = found.lines().filter(|line| line.contains(": hub.")).collect();
        match said {
            None => assert_eq!(found, ""),
            Some(said) => {
                assert!(told.len() == 1 && told[0].starts_with(said), "{ca_days} {own_days}\n{found}");
            }
        }
    }
    // What waits longer than the certificate is valid.
    site.certificates(365, 80);
    let kept =
        |max_age: &str| site.said(&format!("{URL}{FILES}"), &format!("[queue]\nmax_age = \"{max_age}\"\n"));
    let said = kept("90d");
    assert!(
        said.starts_with("warning: hub.cert:") && said.contains("before `[queue] max_age` has passed"),
        "{said}"
    );
    assert_eq!((kept("70d"), kept("100000000d").contains("max_age")), (String::new(), true));
    // An authority that has expired beside its successor.
    site.certificates(-2, 365);
    let old = fs::read_to_string(site.0.path().join("ca.crt")).unwrap();
    site.certificates(365, 365);
    let new = fs::read_to_string(site.0.path().join("ca.crt")).unwrap();
    site.write("ca.crt", &(old + &new));
    assert_eq!(site.said(&format!("{URL}{FILES}"), ""), "");
}

#[test]
fn a_mistake_in_another_file_is_shown_at_its_line_there() {
    let site = Site::new();
    site.write("rules.toml", "[[rule]]\nmatch = \"#\"\nstagse = []\n");
    site.write("control.toml", "\n\n[contrl]\nperiod_ms = 10\n");
    let route =
        "to = \"x\"\nformat = \"json\"\nfilter = \"rules.toml\"\n[control]\nrules = \"control.toml\"\n";
    let said = site.said("url = \"mqtt://hub.example\"\n", route);
    let at = |name: &str, line: usize| format!("  --> {}:{line}\n", site.0.path().join(name).display());
    assert!(said.contains(&(at("rules.toml", 3) + "    3 | stagse = []\n")), "{said}");
    assert!(said.contains(&(at("control.toml", 3) + "    3 | [contrl]\n")), "{said}");
    assert!(!said.contains("gateway.toml") && !said.contains("filter = "), "{said}");
}

#[test]
fn a_port_of_the_other_scheme_is_told() {
    let said = |url: &str| Site::new().said(&format!("url = \"{url}\"\n"), "");
    let plain = said("mqtt://hub.example:8883");
    assert!(plain.contains("warning: hub.url:") && plain.contains("mqtts://hub.example:8883"), "{plain}");
    let tls = said("mqtts://hub.example:1883");
    assert!(tls.contains("warning: hub.url:") && tls.contains("mqtt://hub.example:1883"), "{tls}");
    for fine in
        ["mqtt://hub.example", "mqtt://hub.example:1883", "mqtts://hub.example", "mqtts://hub.example:8883"]
    {
        assert!(!said(fine).contains("port"), "{fine}: {}", said(fine));
    }
}

#[test]
fn a_lane_that_is_named_twice_is_told_at_its_line() {
    let rest = "lane = \"telemetry\"\n[queue]\nlanes = [\n  \"alarm\",\n  \"alarm\",\n]\n";
    let said = Site::new().said("url = \"mqtt://hub.example\"\n", rest);
    assert!(said.contains("error: queue.lanes: \"alarm\" is named twice\n"), "{said}");
    assert!(said.contains("gateway.toml:14:3\n   14 |   \"alarm\",\n"), "{said}");
    assert!(!said.contains("alarm, alarm"), "{said}");
}

#[test]
fn a_name_of_other_programs_is_told_as_ours() {
    let route = |text: &str| Site::new().said("url = \"mqtt://hub.example\"\n", text);
    for (found, ours) in [
        ("ms", "milliseconds"),
        ("s", "seconds"),
        ("us", "microseconds"),
        ("ns", "nanoseconds"),
        ("millis", "milliseconds"),
        ("Seconds", "seconds"),
        ("iso8601", "rfc3339"),
    ] {
        let said = route(&format!("to = \"x\"\nformat = \"json\"\nfields = {{ time_unit = \"{found}\" }}\n"));
        assert!(said.contains(&format!("help: did you mean \"{ours}\"?")), "{found}: {said}");
    }
    let said = route("to = \"x\"\nformat = \"JSON\"\n");
    assert!(said.contains("help: did you mean \"json\"?"), "{said}");
    // A key of another table.
    let said = route("to = \"x\"\nformat = \"json\"\ntime_unit = \"ms\"\n");
    assert!(
        said.contains("route[1].time_unit: unknown key")
            && said.contains("help: `time_unit` is a key of `fields`"),
        "{said}"
    );
    let said = route("to = \"x\"\nformat = \"json\"\ntimeunit = \"ms\"\n");
    assert!(said.contains("help: did you mean `fields.time_unit`?"), "{said}");
    let said = route("max_age = \"1h\"\n");
    assert!(said.contains("help: `max_age` is a key of [queue]"), "{said}");
}

#[test]
fn an_unknown_key_is_told_in_every_table() {
    for table in ["gateway", "local", "hub", "queue", "control", "alarms", "clock", "metrics"] {
        let head = format!("[{table}]\n");
        let text = if SMALL.contains(&head) {
            SMALL.replace(&head, &format!("{head}nonsense = 1\n"))
        } else {
            format!("{head}nonsense = 1\n{SMALL}")
        };
        let said = match parse(&text) {
            Ok((_, findings)) | Err(findings) => findings.to_string(),
        };
        assert!(said.contains(&format!("error: {table}.nonsense: unknown key")), "{text}{said}");
    }
}

/// A key that lacks another, or stands beside one that it does not go with, is told at its own line, and not at its table's.
#[test]
fn keys_that_do_not_go_with_others_are_told_at_their_own_line() {
    let local = "listen = \"127.0.0.1:1883\"\n";
    let hub = "[hub]\n";
    for (after, line, key) in [
        (hub, "user = \"site7\"", "hub.user"),
        (hub, "password_file = \"p\"", "hub.password_file"),
        (hub, "cert = \"own.crt\"", "hub.cert"),
        (local, "broker = \"127.0.0.1:1884\"", "local.broker"),
        (local, "client_id = \"a\"", "local.client_id"),
        (local, "tls_listen = \"127.0.0.1:8883\"", "local.tls_listen"),
        (local, "wss_listen = \"127.0.0.1:8884\"", "local.wss_listen"),
        (local, "max_memory = \"1MiB\"", "local.max_memory"),
        ("match = \"plant/#\"\n", "batch_max = \"9KiB\"", "route[1].batch_max"),
        ("match = \"plant/#\"\n", "input = \"number\"", "route[1].input"),
        ("match = \"plant/#\"\n", "[alarms]\nper_minute = 7", "alarms.per_minute"),
    ] {
        let text = SMALL.replacen(after, &format!("{after}{line}\n"), 1);
        let said = match parse(&text) {
            Ok((_, findings)) | Err(findings) => findings.to_string(),
        };
        let shown = line.lines().last().unwrap();
        let told = said.split_once(&format!(": {key}: ")).unwrap_or_else(|| panic!("{key}\n{said}")).1;
        let place = told.lines().nth(2).unwrap_or_default();
        assert!(place.ends_with(&format!(" | {shown}")), "{key}\n{said}");
    }
}

/// Tables that are compared with all others of their kind, or with each message, have a limit, which is named before the files are parsed; of a
/// mistake in all of them the first hundred have a line each.
#[test]
fn there_are_a_thousand_tables_of_an_array_at_most() {
    let said = |table: &str, count: usize| {
        let text = format!("{SMALL}{}", format!("[[{table}]]\nmatch = \"plant/#\"\n").repeat(count));
        match parse(&text) {
            Ok((_, findings)) | Err(findings) => findings.to_string(),
        }
    };
    let lines = |said: &str, text: &str| said.lines().filter(|line| line.contains(text)).count();
    let routes = said("route", 998);
    assert_eq!(lines(&routes, "never reached: route[1] matches"), 100, "{}", &routes[..500]);
    assert_eq!(
        (lines(&routes, "at most"), lines(&routes, "... and 898 more errors, 0 more warnings")),
        (0, 1)
    );
    // Nothing else is said: the file is not parsed.
    let routes = said("route", 30_000);
    assert_eq!(lines(&routes, "error: "), 1);
    assert_eq!(lines(&routes, "error: route[1001]: at most 1000 [[route]]"), 1);
    assert!(routes.contains("g.toml:") || routes.contains(" | [[route]]"), "{routes}");
    assert_eq!(lines(&said("command", 1_100), "error: command[1001]: at most 1000 [[command]]"), 1);
    assert_eq!(lines(&said("test", 1_001), "error: test[1001]: at most 1000 [[test]]"), 1);
}

/// Each of them lets in who is revoked, and keeps nobody out who is not, so that nothing else would show it.
#[test]
fn a_list_that_is_out_of_date_or_of_another_authority_is_told() {
    let site = Site::new();
    site.certificates(365, 365);
    let hub = format!("{URL}{FILES}crl = \"hub.crl\"\n");
    for (authority, days, expected) in [
        ("rcgen self signed cert", 3, None),
        ("rcgen self signed cert", -3, Some("hub.crl: a list in it is out of date")),
        ("other", 3, Some("no list in it is of an authority in")),
    ] {
        site.list("hub.crl", authority, days);
        let said = site.said(&hub, "");
        let is_told = |words: &str| said.contains("warning: hub.crl:") && said.contains(words);
        assert!(expected.map_or(said.is_empty(), is_told), "{authority} {days} {said}");
    }
    // Authorities of the system sign by others below them.
    site.list("hub.crl", "other", 3);
    let of_system = site.said(&format!("{URL}crl = \"hub.crl\"\n"), "");
    assert!(!of_system.contains("no list in it is of"), "{of_system}");
}

/// A route with a mistake has its number all the same, as the person counts who mends the file.
#[test]
fn routes_behind_one_with_a_mistake_have_their_own_numbers_and_lines() {
    let site = Site::new();
    site.write("rules.toml", "[[alarm]]\nmatch = \"t\"\nhigh = { limit = 90.0 }\n");
    let route = |line: &str| format!("[[route]]\n{line}\n");
    let rest = [
        "format = \"xml\"\n".to_owned(),
        route("match = \"b/#\"\nto = \"up\"\nformat = \"json\"\nfilter = \"rules.toml\"\nbatch_age = \"5s\""),
        route("match = \"b/a\""),
        route("match = \"b/#\""),
        "[[command]]\nmatch = \"up\"\nexpiry = \"1m\"\n".to_owned(),
    ];
    let said = site.said("url = \"mqtt://hub.example:1883\"\n", &rest.concat());
    for expected in [
        "error: route[1].format",
        "warning: route[2].batch_age: batch_age + 500ms",
        "warning: route[2].filter: nobody here can acknowledge",
        "warning: route[3].match: never reached: route[2] matches all",
        "error: route[4].match: never reached: route[2] matches the same",
        "warning: command[1].match: route[2] publishes at",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    let line = |key: &str| {
        let place =
            said.split(&format!(": {key}: ")).nth(1).and_then(|rest| rest.split("gateway.toml:").nth(1));
        place.and_then(|rest| rest.split(':').next()?.parse::<usize>().ok())
    };
    let text = SMALL.to_owned() + &rest.concat();
    let expected = text.lines().position(|line| line == "match = \"b/a\"").map(|at| at + 1);
    assert_eq!(line("route[3].match"), expected, "{said}");
}
