//! Difference of two configurations: in routes, which can change while the gateway runs, or in parts that are read only at a start.

use std::path::{Path, PathBuf};

use super::Config;

/// Parts in which two configurations differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Set if routes, or rules of their filters, differ.
    pub(crate) routes: bool,
    /// Tables of the file that differ and are read only at a start.
    pub(crate) at_start: Vec<&'static str>,
}

impl Config {
    /// Returns the parts in which `next` differs.
    pub(crate) fn changes(&self, next: &Self) -> Changes {
        let control = |config: &Self| {
            config.control.as_ref().map(|control| (control.text.clone(), control.publish_every))
        };
        let status = |config: &Self| (config.status_token.clone(), config.status_to_hub);
        let metrics = |config: &Self| (config.metrics, config.totals_within);
        let differs = [
            ("[gateway]", self.id != next.id || self.state != next.state),
            ("[local]", self.local != next.local),
            ("[hub]", self.hub != next.hub),
            // Orders of lanes follow from the routes.
            ("[queue]", self.queue != next.queue || self.orders() != next.orders()),
            ("[[command]]", self.commands != next.commands),
            ("[control]", control(self) != control(next)),
            ("[alarms]", self.alarm_commands != next.alarm_commands),
            ("[metrics]", metrics(self) != metrics(next)),
            ("[status]", status(self) != status(next)),
            ("[clock]", self.trusts_clock != next.trusts_clock),
        ];
        let at_start = differs.into_iter().filter(|(_, differs)| *differs).map(|(table, _)| table).collect();
        Changes { routes: self.routes != next.routes, at_start }
    }

    /// Returns the files of rules that the configuration names.
    pub(crate) fn rules_files(&self) -> Vec<PathBuf> {
        let of_routes = self.routes.iter().filter_map(|route| route.rules_file.as_deref());
        let of_loops = self.control.iter().map(|control| control.rules.as_path());
        of_routes.chain(of_loops).map(Path::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
[gateway]
id = "site7"
[local]
listen = "127.0.0.1:1883"
[hub]
url = "mqtt://hub.example:1883"
[[route]]
match = "plant/#"
to = "site7/readings"
format = "cbor"
"#;

    fn changed(from: &str, to: &str) -> Changes {
        let parse = |text: &str| Config::parse(Path::new("gateway.toml"), text, &|_| None).unwrap().0;
        assert!(FILE.contains(from), "{from}");
        parse(FILE).changes(&parse(&FILE.replacen(from, to, 1)))
    }

    #[test]
    fn each_table_is_named_where_it_differs() {
        assert_eq!(changed("plant", "plant"), Changes::default());
        let routes = Changes { routes: true, at_start: Vec::new() };
        assert_eq!(changed("plant/#", "plant/+/t"), routes);
        assert_eq!(changed("\"cbor\"", "\"cbor\"\nbatch_age = \"3s\""), routes);
        let tables = [
            ("site7\"\n[local]", "site8\"\n[local]", &["[gateway]", "[hub]"][..]),
            ("127.0.0.1:1883", "127.0.0.1:1884", &["[local]"]),
            ("1883\"\n[hub]", "1883\"\nmax_connections = 5\n[hub]", &["[local]"]),
            ("hub.example", "other.example", &["[hub]"]),
            ("[[route]]", "window = 7\n[[route]]", &["[hub]"]),
            ("[[route]]", "[queue]\nmax_age = \"3h\"\n[[route]]", &["[queue]"]),
            ("[[route]]", "[alarms]\ncommands = true\n[[route]]", &["[alarms]"]),
            ("[[route]]", "[metrics]\nlisten = \"127.0.0.1:9\"\n[[route]]", &["[metrics]"]),
            ("[[route]]", "[status]\nto_hub = true\n[[route]]", &["[status]"]),
            ("[[route]]", "[clock]\ntrusted = true\n[[route]]", &["[clock]"]),
            (
                "[[route]]",
                "[[command]]\nmatch = \"cmd/site7/#\"\nto = \"cmd/#\"\n[[route]]",
                &["[[command]]"],
            ),
        ];
        for (from, to, tables) in tables {
            assert_eq!(changed(from, to), Changes { routes: false, at_start: tables.to_vec() }, "{to}");
        }
    }

    /// A lane with raw messages is kept in order: such a route changes how the queue is opened.
    #[test]
    fn a_route_that_changes_the_order_of_its_lane_changes_the_queue() {
        let changes = changed("format = \"cbor\"", "format = \"raw\"");
        assert_eq!(changes, Changes { routes: true, at_start: vec!["[queue]"] });
    }

    /// The link reads them again before each connection: nothing has to start anew for them.
    #[test]
    fn another_password_in_the_same_file_is_no_change_and_another_file_is_one() {
        let dir = tempfile::tempdir().unwrap();
        let keys = [
            ("user = \"site7\"\npassword_file = \"NAME\"", "password"),
            ("proxy = \"http://site7@proxy:1\"\nproxy_password_file = \"NAME\"", "proxy"),
        ];
        for (keys, name) in keys {
            let parse = |name: &str, password: &str| {
                std::fs::write(dir.path().join(name), password).unwrap();
                let text =
                    FILE.replacen("[[route]]", &format!("{}\n[[route]]", keys.replace("NAME", name)), 1);
                Config::parse(&dir.path().join("gateway.toml"), &text, &|_| None).unwrap().0
            };
            let before = parse(name, "before");
            assert_eq!(before.changes(&parse(name, "after")), Changes::default(), "{name}");
            let other = before.changes(&parse("other", "before"));
            assert_eq!(other.at_start, ["[hub]"], "{name}");
        }
    }
}
