//! No line vanishes: each is the origin of a key, or one comment.

use std::collections::{BTreeMap, BTreeSet};

use super::{Imported, Site};

/// Lines that may stand anywhere behind the first connection.
const POOL: [&str; 52] = [
    "",
    "   ",
    "# a comment",
    "#topic x out 1",
    "connection other",
    "address further:1",
    "addresses x y z",
    "round_robin true",
    "topic a/# out 1",
    "topic b/# in 1 \"\" b/",
    "topic c/# both 2 c/ d/",
    "topic d out",
    "topic",
    "topic e/# out 1 l/ r/l/",
    "remote_clientid gw",
    "clientid gw2",
    "remote_username me",
    "username you",
    "remote_password hush",
    "password hush",
    "remote_pasword hush",
    "remote_password=hush",
    "local_username a",
    "local_password hush",
    "local_clientid c",
    "keepalive_interval 60",
    "keepalive_interval x",
    "bridge_protocol_version mqttv50",
    "bridge_protocol_version mqttv31",
    "bridge_insecure true",
    "cleansession true",
    "notifications false",
    "bridge_psk hush",
    "max_queued_messages 1000",
    "max_queued_bytes 2000000",
    "max_inflight_messages 7",
    "autosave_interval 60",
    "persistence true",
    "listener 1883 127.0.0.1",
    "listener 1884",
    "listener 0 /run/m.sock",
    "listener 1886 name.example",
    "protocol websockets",
    "port 1885",
    "bind_address 127.0.0.1",
    "max_connections 10",
    "allow_anonymous true",
    "max_packet_size 100",
    "accept_protocol_versions 4,5",
    "accept_protocol_versions all",
    "auth_opt_db_password hush",
    "frobnicate ${X",
];
const FILES: [&str; 8] = [
    "bridge_certfile DIR/own.crt",
    "bridge_keyfile DIR/own.key",
    "certfile DIR/own.crt",
    "keyfile DIR/own.key",
    "cafile DIR/ca.crt",
    "require_certificate true",
    "password_file DIR/users",
    "acl_file DIR/acl",
];

/// Numbers without an order (xorshift), for a seed that is not 0.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
}

fn file(random: &mut Random) -> String {
    let mut lines = vec![
        "connection first",
        "address hub.example:8883",
        "bridge_cafile DIR/ca.crt",
        "topic plant/# out 1",
    ];
    for _ in 0..random.below(40) {
        let all = POOL.len() + FILES.len();
        let at = random.below(all);
        lines.push(POOL.get(at).copied().unwrap_or_else(|| FILES[at - POOL.len()]));
    }
    lines.join("\n") + "\n"
}

/// Line numbers that stand behind keys, and those of comments with how often.
fn told(text: &str, file: &str) -> (BTreeSet<usize>, BTreeMap<usize, usize>) {
    let number =
        |text: &str| text.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse::<usize>().unwrap();
    let mark = format!("{file}:");
    let (mut keys, mut comments) = (BTreeSet::new(), BTreeMap::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# ").and_then(|line| line.strip_prefix(&mark)) {
            assert!(rest.contains(" not carried over: "), "{line}");
            *comments.entry(number(rest)).or_default() += 1;
        } else if let Some((_, origins)) = line.split_once("  # ") {
            keys.extend(origins.split(&mark).skip(1).map(number));
        }
    }
    (keys, comments)
}

fn says(line: &&str) -> bool {
    !line.trim().is_empty() && !line.trim_start().starts_with('#')
}

/// Finds lines that are not told once.
fn untold(source: &str, imported: &Imported, file: &str) -> Vec<String> {
    let (keys, comments) = told(&imported.text, file);
    let lines = source.lines().enumerate().map(|(at, line)| (at + 1, line));
    let is_right = |number: usize, line: &str| {
        let times = comments.get(&number).copied().unwrap_or_default();
        usize::from(keys.contains(&number)) + times == usize::from(says(&line))
    };
    let wrong = lines.filter(|(number, line)| !is_right(*number, line));
    wrong.map(|(number, line)| format!("{number}: {line}")).collect()
}

#[test]
fn each_line_of_a_thousand_files_is_told_once_and_the_gateway_takes_what_is_made() {
    let site = Site::new();
    let name = site.0.path().join("m.conf").display().to_string();
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let mut lines = 0;
    for _ in 0..1_000 {
        let source = file(&mut random);
        let imported = site.import(&source, None).unwrap_or_else(|error| panic!("{error}\n{source}"));
        let wrong = untold(&source, &imported, &name);
        assert!(wrong.is_empty(), "{wrong:#?}\n{source}\n{}", imported.text);
        assert_eq!(imported.counts.carried + imported.counts.left, source.lines().filter(says).count());
        let told = imported.warnings.join("\n") + &imported.text;
        assert!(!told.contains("hush"), "a password is shown:\n{source}\n{told}");
        if let Err(errors) = site.check(&imported.text) {
            panic!("{errors}\n{source}\n{}", imported.text);
        }
        lines += source.lines().count();
    }
    assert!(lines > 15_000, "{lines}");
}

/// Parts of a telegraf.conf, in any order and number.
const TABLES: [&str; 9] = [
    "[[inputs.mqtt_consumer]]\n  servers = [\"tcp://127.0.0.1:1883\"]\n  topics = [\"a/N\", \"a/+\"]\n  data_format = \"json\"\n",
    "[[inputs.mqtt_consumer]]\n  topics = [\"plant/N\", \"$share/g/a\", \"b/#/c\"]\n  data_format = \"json\"\n  password = \"hush\"\n",
    "[[inputs.mqtt_consumer]]\n  topics = [\"c/N\"]\n\n# text\n  data_format = \"influx\"\n",
    "[[ inputs.mqtt_consumer ]]\ntopics = [\"d/N\"]\ndata_format = \"json\"\njson_time_key = \"t\"\njson_time_format = \"unix\"\n  [inputs.mqtt_consumer.tags]\n  x = \"hush\"\n",
    "[[inputs.modbus]]\n  name = \"hush\"\n  # text\n",
    "[[processors.dedup]]\n  dedup_interval = \"1s\"\n",
    "[[aggregators.basicstats]]\n",
    "[[outputs.influxdb]]\n  urls = [\"http://me:hush@h\"]\n",
    "[[outputs.mqtt]]\n  topic = \"site/7\"\n  servers = [\"hush\"]\n",
];

#[test]
fn each_line_of_two_hundred_files_of_telegraf_is_told_once() {
    let site = Site::new();
    let mosquitto = "connection up\naddress h\ntopic plant/# out 1\n";
    let mut random = Random(0xD1B5_4A32_D192_ED03);
    for _ in 0..200 {
        let head = ["", "[agent]\n  metric_buffer_limit = 5\n  interval = \"1s\"\n", "top = 1\n"];
        let mut source = head[random.below(head.len())].to_owned();
        for _ in 0..random.below(8) {
            let number = random.below(4).to_string();
            source.push_str(&TABLES[random.below(TABLES.len())].replace('N', &number));
        }
        let imported =
            site.import(mosquitto, Some(&source)).unwrap_or_else(|error| panic!("{error}\n{source}"));
        let wrong = untold(&source, &imported, "/t.conf");
        assert!(wrong.is_empty(), "{wrong:#?}\n{source}\n{}", imported.text);
        assert_eq!(imported.counts.carried + imported.counts.left, 3 + source.lines().filter(says).count());
        assert!(!(imported.warnings.join("\n") + &imported.text).contains("hush"), "{}", imported.text);
        if let Err(errors) = site.check(&imported.text) {
            panic!("{errors}\n{source}\n{}", imported.text);
        }
    }
}

#[test]
fn the_count_can_fail() {
    let site = Site::new();
    let name = site.0.path().join("m.conf").display().to_string();
    let source = "connection up\naddress h\ntopic a out 1\nnotifications false\n";
    let mut imported = site.import(source, None).unwrap();
    assert!(untold(source, &imported, &name).is_empty());
    let more = source.replace("notifications", "cleansession false\nnotifications");
    assert_eq!(untold(&more, &imported, &name).len(), 1, "a line that is not told");
    let comment = imported.text.lines().find(|line| line.contains("notifications")).unwrap().to_owned();
    imported.text.push_str(&comment);
    assert_eq!(untold(source, &imported, &name), ["4: notifications false"], "a line that is told twice");
}
