//! The report of `check`.

mod memory_of_logins;
mod who_may_connect;

use std::path::Path;

use super::*;

fn config(queue: &str) -> Config {
    let text = format!(
        "[gateway]\nid=\"a\"\n[local]\nlisten=\"127.0.0.1:1\"\n[hub]\nurl=\"mqtt://h\"\n[[route]]\nmatch=\"#\"\n[queue]\n{queue}"
    );
    Config::parse(Path::new("g.toml"), &text, &|_| None).unwrap().0
}

#[test]
fn a_clock_that_nobody_keeps_is_said_with_what_it_costs() {
    let said = |clock| Meaning(&config(""), clock, OpenFiles::PLENTY, Load::USUAL).to_string();
    let (kept, not_kept) = (said(ClockSync::Timesyncd), said(ClockSync::Unknown));
    assert!(
        kept.contains("\nclock         on this machine synchronised, says systemd-timesyncd\n"),
        "{kept}"
    );
    assert!(not_kept.contains("\nclock         on this machine not known to be right\n"), "{not_kept}");
    assert!(!kept.contains("[clock] trusted") && not_kept.contains("[clock] trusted = true"));
}

#[test]
fn connections_beyond_the_limit_of_open_files_are_said() {
    let said = |files| Meaning(&config(""), ClockSync::Unknown, files, Load::USUAL).to_string();
    assert!(!said(OpenFiles::PLENTY).contains("open files"));
    let few = said(OpenFiles::at_most(1_024));
    assert!(
        few.contains("\n              of them only 896 on this machine: 1024 open files are the limit"),
        "{few}"
    );
}

#[test]
fn each_rule_of_a_filter_states_what_it_may_cost() {
    let mut config = config("");
    let stages = [
        "deadband = { absolute = 0.5 }",
        "swinging_door = { deviation = 0.25 }",
        "window = { width_ms = 60000, agg = \"mean\" }",
    ];
    let rule =
        |(n, stage): (usize, &&str)| format!("[[rule]]\nmatch = \"{n}/#\"\nstages = [ {{ {stage} }} ]\n");
    config.routes[0].rules = Some(stages.iter().enumerate().map(rule).collect());
    let text = Meaning(&config, ClockSync::Unknown, OpenFiles::PLENTY, Load::USUAL).to_string();
    for line in [
        "  filter 0/#: error at most 0.5; lost on power cut or kill: nothing\n",
        "  filter 1/#: error at most 0.25 from the straight line; lost on power cut or kill: at most 1 reading per sensor\n",
        "  filter 2/#: error none stated: aggregates stand for readings; lost on power cut or kill: the readings of at most 60000 ms per sensor\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
    assert!(text.contains("  ack_held      as_suppressed: "), "{text}");
    config.routes[0].hold_max = Some(Duration::from_secs(90));
    let text = Meaning(&config, ClockSync::Unknown, OpenFiles::PLENTY, Load::USUAL).to_string();
    for line in [
        "  filter 1/#: error at most 0.25 from the straight line; holds at most 1 reading per sensor, not acknowledged\n",
        "  ack_held      when_emitted: a held reading's PUBACK waits, at most 1 min 30 s and for the disk; nothing\n",
        "  PUBACK within    1 min 31 s of a message, online and offline\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
}

#[test]
fn each_limit_of_a_client_is_told() {
    let told = |keys: &str| {
        let text = format!(
            "[gateway]\nid = \"g\"\n[local]\nlisten = \"127.0.0.1:1\"\n{keys}[hub]\nurl = \"mqtt://hub\"\n[[route]]\nmatch = \"#\"\n"
        );
        let (config, _) = Config::parse(std::path::Path::new("g.toml"), &text, &|_| None).unwrap();
        Meaning(&config, ClockSync::Unknown, OpenFiles::PLENTY, Load::USUAL).to_string()
    };
    for (keys, line) in [
        (
            "",
            "each client: 1000 messages, 1.0 MiB wait for it; 100 without its PUBACK, 256.0 KiB unread; 100 topic filters;\n",
        ),
        (
            "",
            "  no limit of the bytes a second that are read of it; sessions last 7 d 0 h, keep alive 5 min 0 s at most\n",
        ),
        ("min_keep_alive = \"20s\"\n", "keep alive 5 min 0 s at most, 20 s at least\n"),
        ("", "  retained messages on 1000 topics, 1.0 MiB of them; figures on $SYS/broker every 10 s\n"),
        (
            "max_retained_messages = 7\nmax_retained_bytes = \"8KiB\"\nsys_interval = 0\n",
            "  retained messages on 7 topics, 8.0 KiB of them; no figures on $SYS/broker\n",
        ),
        (
            "",
            "  sessions of clients, what waits in them and retained messages outlive a restart, 1.0 MiB of them (",
        ),
        (
            "persistence = false\n",
            "  sessions of clients, what waits in them and retained messages end with the process (",
        ),
        ("max_queued_messages = 7\nmax_unread = \"8KiB\"\n", "each client: 7 messages, "),
        ("max_unread = \"8KiB\"\n", " 8.0 KiB unread;"),
        (
            "max_connections = 7\nmax_packet = \"8KiB\"\nmax_memory = \"5MiB\"\n",
            "\n              at most 7 connections, packets of 8.0 KiB, 5.0 MiB held for all of them\n",
        ),
        ("max_rate = \"64KiB\"\n", "  64.0 KiB a second are read of it; "),
    ] {
        let text = told(keys);
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
}

#[test]
fn whom_the_gateway_trusts_at_a_local_broker_is_said() {
    let told = |broker: &str| {
        let text = format!(
            "[gateway]\nid = \"g\"\n[local]\nbroker = \"{broker}\"\ntopics = [\"#\"]\n[hub]\nurl = \"mqtt://hub\"\n[[route]]\nmatch = \"#\"\n"
        );
        let mut config = Config::parse(Path::new("g.toml"), &text, &|_| None).unwrap().0;
        if let crate::config::Local::Broker { way, .. } = &mut config.local
            && let Some(tls) = &mut way.tls
        {
            tls.files.crl = Some("plant.crl".into());
        }
        Meaning(&config, ClockSync::Unknown, OpenFiles::PLENTY, Load::USUAL).to_string()
    };
    let (tls, plain) = (told("mqtts://b"), told("b:1883"));
    let line = "  trusts the authorities of the system\n              refuses it with a certificate that plant.crl revokes\n";
    assert!(tls.contains(line) && !plain.contains("trusts"), "{tls}{plain}");
}

#[test]
fn what_a_time_guard_drops_is_in_the_line_of_the_loss() {
    let mut config = config("");
    let mut told = |guard: &str| {
        let stages = format!("{{ time_guard = {{ {guard} }} }}, {{ deadband = {{ absolute = 0.5 }} }}");
        config.routes[0].rules = Some(format!("[[rule]]\nmatch = \"#\"\nstages = [ {stages} ]\n"));
        let text = Meaning(&config, ClockSync::Unknown, OpenFiles::PLENTY, Load::USUAL).to_string();
        let line = text.lines().find(|line| line.contains("  filter #: ")).unwrap();
        line.split_once("kill: ").unwrap().1.to_owned()
    };
    assert_eq!(told("max_gap_ms = 600000"), "nothing");
    assert_eq!(
        told("same_time = \"drop\""),
        "nothing; always lost: every reading of the same time as the last one"
    );
    assert_eq!(
        told("out_of_order = \"drop\", future = \"drop\", max_future_ms = 90000"),
        "nothing; always lost: every reading older than the last one, more than 1 min 30 s ahead of a synchronised clock"
    );
}

/// It ends in the queue, and no Message Expiry Interval goes to the hub for it.
#[test]
fn an_age_in_the_queue_costs_nothing_on_the_link() {
    let live = |queue| {
        let config = config(queue);
        sizing::sizing(&config, Load::USUAL).routes.first().map(|route| route.month)
    };
    assert!(live("").is_some());
    assert_eq!(live("max_age = \"1h\""), live(""));
}

#[test]
fn the_limit_that_is_reached_first_decides() {
    let of = |queue: &str| {
        let sizing = sizing::sizing(&config(queue), Load::USUAL);
        (sizing.routes[0].outage, sizing.routes[0].reached_first)
    };
    assert_eq!(of("max_messages = 108000"), (Duration::from_secs(3_600), "max_messages"));
    assert_eq!(of("max_messages = 100000000\nmax_bytes = \"1MiB\"").1, "max_bytes");
    assert_eq!(of("max_age = \"60s\""), (Duration::from_secs(60), "max_age"));
}

#[test]
fn dead_letters_are_among_the_topics_of_a_route_with_readings() {
    let mut config = config("");
    assert!(
        !Meaning(&config, ClockSync::Unknown, OpenFiles::PLENTY, Load::USUAL)
            .to_string()
            .contains("dead-letter/#"),
        "no route needs readings"
    );
    config.routes[0].format = Format::Json;
    assert!(
        Meaning(&config, ClockSync::Unknown, OpenFiles::PLENTY, Load::USUAL)
            .to_string()
            .contains("\ndead letters  dead-letter/#: ")
    );
}

#[test]
fn the_report_says_what_listening_costs() {
    let mut config = config("");
    assert!(
        !Meaning(&config, ClockSync::Unknown, OpenFiles::PLENTY, Load::USUAL)
            .to_string()
            .contains("a ping every"),
        "nothing is subscribed"
    );
    config.routes[0].format = Format::Compact;
    let said = Meaning(&config, ClockSync::Unknown, OpenFiles::PLENTY, Load::USUAL).to_string();
    assert!(
        said.contains("noticed within 15 s") && said.contains("11 s, at most 30.7 KiB of MQTT a day"),
        "{said}"
    );
    config.hub.url = "mqtts://h:8883".to_owned();
    assert!(
        Meaning(&config, ClockSync::Unknown, OpenFiles::PLENTY, Load::USUAL)
            .to_string()
            .contains("trusts the authorities of the system")
    );
}

#[test]
fn the_report_says_hours_ram_and_loss() {
    let said = Meaning(&config(""), ClockSync::Unknown, OpenFiles::PLENTY, Load::USUAL).to_string();
    for expected in [
        "outage covered",
        " h);",
        "RAM at most",
        "lost on power cut",
        "disk reserved    152.0 MiB; 132.0 MiB more once the hub refuses a message",
    ] {
        assert!(said.contains(expected), "{expected:?} is missing in\n{said}");
    }
}

/// A lane holds as long as the route that fills it first lets it; one that no route uses has no line.
#[test]
fn the_report_says_the_hours_of_each_lane() {
    let mut config = config("lanes = [\"alarm\", \"state\", \"bulk\"]");
    let mut raw = config.routes[0].clone();
    raw.lane = 0;
    let mut batches = raw.clone();
    (batches.format, batches.to) = (Format::Json, "out".to_owned());
    config.routes = vec![batches.clone(), raw, Route { lane: 2, ..batches }];
    let said = Meaning(&config, ClockSync::Unknown, OpenFiles::PLENTY, Load::USUAL).to_string();
    let lanes: Vec<&str> = said.lines().filter(|line| line.contains(" h of it, reached first: ")).collect();
    let [alarm, bulk] = lanes[..] else { panic!("{said}") };
    assert!(alarm.starts_with("  lane alarm ") && alarm.ends_with("max_bytes (route 2)"), "{alarm}");
    assert!(bulk.starts_with("  lane bulk ") && bulk.ends_with("max_bytes (route 3)"), "{bulk}");
    let sizing = sizing::sizing(&config, Load::USUAL);
    let hours = sizing.routes[1].outage.as_secs_f64() / 3_600.0;
    assert!(alarm.contains(&format!("holds {hours:.1} h")), "{alarm}");
}

#[test]
fn memory_of_filters_is_in_the_sum() {
    let mut config = config("");
    let without = sizing::sizing(&config, Load::USUAL).ram_bytes;
    config.routes[0].rules = Some("[defaults]\nmax_keys = 1000\n[[rule]]\nmatch = \"#\"\n".to_owned());
    // And a copy of the largest one, at a stop.
    assert_eq!(sizing::sizing(&config, Load::USUAL).ram_bytes - without, 2 * 1_000 * 1_408);
    // 31 values and one more; windows of 20 and 40 intervals, in two lists that double when they grow.
    let stages = "{ flat_line = { suspect_s = 20, fail_s = 40, sampling_ms = 1000, tolerance = 0.1 } }, { hampel = { window = 31 } }";
    config.routes[0].rules =
        Some(format!("[defaults]\nmax_keys = 1000\n[[rule]]\nmatch = \"#\"\nstages = [ {stages} ]\n"));
    let windows = 32 * 8 + 2 * (32 + 64) * 16;
    assert_eq!(sizing::sizing(&config, Load::USUAL).ram_bytes - without, 2 * 1_000 * (1_408 + windows));
}

/// All topics share one budget; each route has only its subscription besides.
#[test]
fn memory_of_compact_batches_is_in_the_sum_and_said() {
    let with = |routes: usize, format: &str| {
        let route = |n| format!("[[route]]\nmatch = \"{n}/#\"\nto = \"out/{n}\"\nformat = \"{format}\"\n");
        let routes: String = (0..routes).map(route).collect();
        let head = "[gateway]\nid=\"g\"\n[local]\nlisten=\"127.0.0.1:1\"\n[hub]\nurl=\"mqtt://h\"\n";
        let (config, _) = Config::parse(Path::new("g.toml"), &format!("{head}{routes}"), &|_| None).unwrap();
        let said = Meaning(&config, ClockSync::Unknown, OpenFiles::PLENTY, Load::USUAL).to_string();
        (sizing::sizing(&config, Load::USUAL).ram_bytes, said)
    };
    let (without, said) = with(1, "cbor");
    assert!(!said.contains("compact batches"), "{said}");
    let (one, said) = with(1, "compact");
    assert_eq!(one - without, (24 << 20) + (32 << 10));
    assert!(said.contains("24.0 MiB of it for names, tables and encoders of compact batches"), "{said}");
    assert_eq!(with(8, "compact").0 - one, 7 * (32 << 10));
}

#[test]
fn what_is_open_to_others_is_said() {
    let said = |rest: &str| {
        let text =
            format!("[gateway]\nid=\"a\"\n[local]\nlisten=\"127.0.0.1:1\"\n[[route]]\nmatch=\"#\"\n{rest}");
        let (config, _) = Config::parse(Path::new("g.toml"), &text, &|_| None).unwrap();
        Meaning(&config, ClockSync::Unknown, OpenFiles::PLENTY, Load::USUAL).to_string()
    };
    for (hub, metrics, clear, open) in [
        ("mqtt://hub", "0.0.0.0:9100", true, true),
        ("mqtt://10.1.2.3:1884", "[::1]:9100", true, false),
        ("mqtts://hub", "192.168.1.2:9100", false, true),
        ("mqtt://localhost", "127.0.0.1:9100", false, false),
        ("mqtt://[::1]:1883", "127.0.0.2:9100", false, false),
    ] {
        let said = said(&format!("[hub]\nurl=\"{hub}\"\n[metrics]\nlisten=\"{metrics}\"\n"));
        assert_eq!(said.contains("in the clear: "), clear, "{said}");
        assert_eq!(said.contains("for whoever reaches it"), open, "{said}");
        assert!(said.contains(&format!("metrics       http://{metrics}/metrics")), "{said}");
        let who = if open {
            "closed: beyond loopback it needs [status] token_file"
        } else {
            "for whoever is on this machine"
        };
        assert!(said.contains(&format!("status page   http://{metrics}/, /status.json, {who}\n")), "{said}");
    }
}

#[test]
fn who_may_command_alarms_is_said_and_how_long_they_may_be_hidden() {
    let mut config = config("");
    assert!(
        !Meaning(&config, ClockSync::Unknown, OpenFiles::PLENTY, Load::USUAL)
            .to_string()
            .contains("alarms  ")
    );
    let rules = "[[alarm]]\nmatch = \"a\"\nmax_shelve_ms = 90000\nhigh = { limit = 1.0 }\n\
                 [[alarm]]\nmatch = \"b\"\nhigh = { limit = 1.0 }\n";
    config.routes[0].rules = Some(rules.to_owned());
    let text = Meaning(&config, ClockSync::Unknown, OpenFiles::PLENTY, Load::USUAL).to_string();
    for line in [
        "  alarm a: shelved for at most 1 min 30 s\n",
        "  alarm b: shelved for any time\n",
        "alarms        commands are off: nobody here can acknowledge, reset or shelve them\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
    config.alarm_commands =
        Some(AlarmCommands { clients: Some(vec!["hmi".to_owned()]), per_minute: 7, hub: false });
    let text = Meaning(&config, ClockSync::Unknown, OpenFiles::PLENTY, Load::USUAL).to_string();
    assert!(
        text.contains("alarms        clients hmi may command them at cmd/alarm/SENSOR/LEVEL/ack"),
        "{text}"
    );
}

#[test]
fn what_another_form_of_the_identity_costs_is_said() {
    let mut config = config("");
    let mut said = |form, protocol| {
        (config.hub.identity, config.hub.protocol) = (form, protocol);
        Meaning(&config, ClockSync::Unknown, OpenFiles::PLENTY, Load::USUAL).to_string()
    };
    let (binary, off) = ("identity of raw messages as Correlation Data", "raw messages have no identity: ");
    for (form, has_binary, has_off) in [
        (IdentityForm::Text, false, false),
        (IdentityForm::Binary, true, false),
        (IdentityForm::Off, false, true),
    ] {
        let text = said(form, Protocol::Auto);
        assert_eq!((text.contains(binary), text.contains(off)), (has_binary, has_off), "{text}");
        let text = said(form, Protocol::V311);
        assert!(!text.contains(binary) && !text.contains(off), "{text}");
    }
}

#[test]
fn what_becomes_of_commands_is_said_with_time_and_number_and_answers() {
    let said = |rest: &str| {
        let config = config(&format!("[[command]]\nmatch = \"site7/cmd/#\"\nto = \"cmd/#\"\n{rest}"));
        Meaning(&config, ClockSync::Unknown, OpenFiles::PLENTY, Load::USUAL).to_string()
    };
    let text = said("expiry = \"90s\"\n[[command]]\nmatch = \"b\"\nanswers = \"done\"\n");
    for line in [
        "\ncommand 1     site7/cmd/# at the hub -> cmd/# for local clients, at most once: each is on disk before anybody gets it\n",
        "\n              within its own Message Expiry Interval, and 1 min 30 s after it came at most; one without is refused\n",
        "\n              its end is told at its Response Topic, or else edge/answers/a; the hub must allow both\n",
        "\ncommand 2     b at the hub -> b for local clients, at most once",
        " or else done; ",
        "a ping every",
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
    let text = said("delivery = \"at-least-once\"\nallow_unbounded = true\n");
    assert!(text.contains("at least once: a copy is given again\n"), "{text}");
    assert!(text.contains(
        "within 1 min 0 s after it came, or its own Message Expiry Interval if that is shorter; one"
    ));
}
