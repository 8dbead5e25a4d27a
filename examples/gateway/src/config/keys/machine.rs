//! Keys of `[metrics]`, `[status]`, `[clock]`, `[hardware]` and `[[test]]`: monitoring, the machine and test cases.

use super::Preset::{Is, Means};
use super::Value::{Boolean, Duration, Integer, Size, Strings, Text};
use super::{Key, key};

pub(super) const METRICS: &[Key] = &[
    key(
        "listen",
        Text("ADDRESS:PORT"),
        Means("no pages"),
        "Address of the status page (`/` and `/status.json`), `/metrics`, `/healthz` and `/readyz`. Beyond loopback the status page needs `[status] token_file`.",
    ),
    key(
        "totals_within",
        Duration("1s", "1h"),
        Is("60s"),
        "Age of the totals at most, while somebody reads them. Each renewal writes 4 KiB.",
    ),
];

pub(super) const STATUS: &[Key] = &[
    key(
        "token_file",
        Text("file"),
        Means("none is asked for on loopback; beyond it the page is closed"),
        "One line of 16 to 512 printable characters, mode 0600. The status page asks for it: as `Bearer`, or as the password of any user. Read at the start.",
    ),
    key(
        "to_hub",
        Boolean,
        Is("false"),
        "Tells the hub the state of the gateway, at each change, each hour and where a figure misleads, as a retained message of at most 350 bytes on `edge/status/ID`; and on `edge/alive/ID` whether it is connected: `1`, or `0`, its will. The hub must allow both.",
    ),
];

pub(super) const CLOCK: &[Key] = &[key(
    "trusted",
    Boolean,
    Is("false"),
    "Takes the wall clock as right although neither the kernel nor systemd-timesyncd says so.",
)];

pub(super) const TEST: &[Key] = &[
    key("name", Text("text"), Means("its number"), "Name of the case."),
    key(
        "input",
        Strings("`TIME TOPIC PAYLOAD`"),
        Means("required"),
        "Messages in their order, each at a time since the beginning (`0s`, `1500ms`, `2h`), which is 2026-01-01 00:00 UTC. A time alone lets it pass.",
    ),
    key(
        "expect",
        Strings("`TOPIC SENSOR VALUE UNIT`, `TOPIC PAYLOAD`, `- REASON`"),
        Means("nothing"),
        "What is to come of them: readings, with the unit if they have one, raw messages and dead letters with their topics at the hub. `- REASON` is a reading that a filter suppresses, or `- no route`: where no line says so, those are passed over.",
    ),
];

pub(super) const HARDWARE: &[Key] = &[
    key("flash", Size("1MiB", "1024GiB"), Is("4GB"), "Size of the disk that the state directory is on."),
    key(
        "flash_cycles",
        Integer(1, 1_000_000),
        Is("3000"),
        "Times that its cells may be written. Half of that is counted: what a flash writes beside what it is given is taken for as much again.",
    ),
    key(
        "link_rate",
        Text("number and `bit/s`, `kbit/s`, `Mbit/s` or `Gbit/s`"),
        Means("not known"),
        "Rate of the line to the hub, for the time that catching up takes.",
    ),
];
