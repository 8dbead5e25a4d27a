//! The tables of gateway.toml with their keys.

use super::Preset::{Is, Means, Required};
use super::Value::{Boolean, Duration, Integer, OneOf, Size, Strings, Text};
use super::local::LOCAL;
use super::machine::{CLOCK, HARDWARE, METRICS, STATUS, TEST};
use super::route::{FIELDS, ROUTE};
use super::{Key, Table, key, table};

const TOP: &[Key] = &[key(
    "include",
    Strings("files"),
    Means("none"),
    "Further files of the configuration, relative to this one; `*` in a file's name stands for any characters: `routes.d/*.toml`, sorted by name. Routes and other `[[…]]` come behind those of this file, in the order of the files; a key that two files set is an error. Relative paths start from the file in which they stand. At most 100 files of 1 MiB together; they include no others, and `[gateway] state` is not among their keys.",
)];

const GATEWAY: &[Key] = &[
    key(
        "id",
        Text("1 to 64 letters, digits, `-`, `_` or `.`"),
        Required,
        "Name of this gateway: part of its client identifiers and of the topics of session tables.",
    ),
    key(
        "state",
        Text("path"),
        Means("required here or as `--state`"),
        "Directory of the queue and of everything that survives a restart. `--state` wins over it.",
    ),
    key(
        "reload",
        OneOf(&["signal", "on_change"]),
        Is("signal"),
        "When this file is read again: at SIGHUP, or also when it, an included file or a file of rules changes, comes or goes, looked for every 5 s. A file with a mistake is refused whole, and the configuration in force stays.",
    ),
];

const HUB: &[Key] = &[
    key(
        "url",
        Text("`mqtt://HOST:PORT` or `mqtts://HOST:PORT`"),
        Required,
        "Address of the hub; `mqtts` is TLS. Ports 1883 and 8883 may be left out.",
    ),
    key(
        "further_urls",
        Strings("addresses like `url`"),
        Means("none"),
        "Tried in this order where the one before cannot be reached, refuses, or leaves messages without a PUBACK. All with the scheme of `url`, as the same client.",
    ),
    key(
        "failback",
        Boolean,
        Is("true"),
        "Go back to `url` when it can be reached again: looked for after 30 s, then ever more rarely, up to an hour. `false` stays where it works.",
    ),
    key("ca", Text("file"), Means("authorities of the system"), "Authority to trust, in PEM."),
    key("cert", Text("file"), Means("none"), "Certificate of this gateway, in PEM. Belongs to `key`."),
    key(
        "key",
        Text("file, or `unix:PATH`"),
        Means("none"),
        "Private key of the certificate, in PEM, mode 0600; or `unix:` and the path of a socket at which a signer (`signer.md`) has it. Read again before each dial and every 20 s, with `cert`: a connection moves to a renewed certificate within a minute. `ca` and `crl` count at the next dial also if these cannot be read.",
    ),
    key(
        "crl",
        Text("file"),
        Means("none is known to be revoked"),
        "Lists of certificates that authorities have revoked (CRL), in PEM: a hub that shows one of these is refused. Read again before each dial. A list that is out of date still counts. Only with `mqtts`.",
    ),
    key(
        "est",
        Text("table"),
        Means("others renew the certificate"),
        "Renewal of `cert` by the gateway itself; see below.",
    ),
    key(
        "alpn",
        Strings("1 to 16 names of protocols"),
        Means("none is sent"),
        "Names for ALPN, for a hub that tells MQTT by them: AWS IoT on port 443 takes `x-amzn-mqtt-ca`. Only with `mqtts`.",
    ),
    key(
        "tls_server_name",
        Text("DNS name or IP address"),
        Means("the host of `url`"),
        "Name of the hub in TLS: sent as SNI, and the one that its certificate must have. Only with `mqtts`.",
    ),
    key(
        "proxy",
        Text("`http://HOST:PORT` or `http://USER@HOST:PORT`"),
        Means("none"),
        "HTTP proxy on the way to the hub, by CONNECT. It resolves the hub's name. A user belongs to `proxy_password_file`.",
    ),
    key(
        "proxy_password_file",
        Text("file"),
        Means("none"),
        "File with the password at the proxy as its one line, mode 0600. It is read again before each connection.",
    ),
    key("client_id", Text("text"), Means("`id`"), "Client identifier at the hub."),
    key("user", Text("text"), Means("none"), "User name at the hub. Belongs to `password_file`."),
    key(
        "password_file",
        Text("file"),
        Means("none"),
        "File with the password as its one line, mode 0600. It is read again before each connection.",
    ),
    key(
        "protocol",
        OneOf(&["auto", "5", "3.1.1"]),
        Is("auto"),
        "Version of MQTT. `auto` is 5, and 3.1.1 if the hub says that it takes no 5.",
    ),
    key(
        "keep_alive",
        Duration("1s", "65535s"),
        Is("60s"),
        "Time without a packet after which a ping is sent. A dead link is found in seconds whatever this is while something waits for a PUBACK.",
    ),
    key(
        "command_within",
        Duration("4s", "1h"),
        Is("15s"),
        "Time within which a dead link is found while the gateway is subscribed at the hub. Longer spares pings.",
    ),
    key("window", Integer(1, 65_535), Is("1000"), "Most messages without the hub's PUBACK."),
    key(
        "identity",
        OneOf(&["text", "binary", "off"]),
        Is("text"),
        "Form in which messages of the format `raw` and dead letters carry their identity: user property `edge-id`, MQTT 5 Correlation Data, or none, and then no mark of a possible duplicate either. Batches have theirs in the payload.",
    ),
];

const EST: &[Key] = &[
    key(
        "url",
        Text("`https://HOST:PORT` or `https://HOST:PORT/PATH`"),
        Required,
        "EST server; without a path the one is `/.well-known/est`. It is dialled directly, not by `proxy`, and no redirection is followed.",
    ),
    key(
        "ca",
        Text("file"),
        Means("`ca` of `[hub]`"),
        "Authority of the EST server's own certificate, in PEM.",
    ),
    key(
        "claim_cert",
        Text("file"),
        Means("none"),
        "Certificate with which a gateway asks for its first one, in PEM: while there is no file `cert`. Many gateways may share it. A `key` that is not there either is made, ECDSA on P-256, mode 0600. Belongs to `claim_key`; neither is needed any more afterwards.",
    ),
    key("claim_key", Text("file"), Means("none"), "Private key of `claim_cert`, in PEM, mode 0600."),
    key(
        "common_name",
        Text("1 to 64 characters"),
        Means("`id`"),
        "Common name to be asked for in the first certificate. A renewal keeps the names of the certificate that it renews.",
    ),
];

const QUEUE: &[Key] = &[
    key(
        "max_bytes",
        Size("1MiB", "1024GiB"),
        Is("64MiB"),
        "Room of the last lane; each other lane has an eighth of it beside. Twice all that is reserved on disk.",
    ),
    key(
        "max_messages",
        Integer(1, 1_000_000_000),
        Means("as many as have room"),
        "Most messages of the last lane; an eighth of it in each other lane.",
    ),
    key("max_age", Duration("1s", ""), Means("no limit"), "Age above which a message is not sent any more."),
    key(
        "on_full",
        OneOf(&["drop-oldest", "drop-newest", "reject"]),
        Is("drop-oldest"),
        "Treatment of a message for which there is no room. `reject`: sensors keep it, and get no PUBACK.",
    ),
    key(
        "order",
        OneOf(&["fifo", "live-first"]),
        Means("`live-first` for lanes of batches alone"),
        "Order after an outage. `live-first`: new messages first, and every fourth is one of the outage. The first of several lanes, for alarms, is `fifo` always; without this key also each lane that a route in the format `raw` leads to: a reader of the last value would take an old message for it, and so would a hub that retains it.",
    ),
    key(
        "ack_within",
        Duration("10ms", "60s"),
        Is("1s"),
        "Longest wait for a PUBACK. What the hub has by then is never written to disk.",
    ),
    key(
        "gap_reports",
        Boolean,
        Is("true"),
        "Whether the hub is told on `TO/$gap` which messages were acknowledged and lost.",
    ),
    key(
        "key_file",
        Text("file"),
        Means("messages stand on the disk as they are"),
        "File with the key that encrypts what waits, mode 0600: 32 random bytes, or these as 64 hexadecimal digits or in base64. A queue is made with its key or without, for good: another key, or none, is refused at the start and changes nothing; `check` finds it where it knows the state directory. Needs the feature `encryption`, which the packages have.",
    ),
    key(
        "lanes",
        Strings("1 to 4 different names"),
        Is("[\"alarm\", \"telemetry\"]"),
        "Lanes, most urgent first. The last takes what names none.",
    ),
];

const COMMAND: &[Key] = &[
    key(
        "match",
        Text("MQTT topic filter, none of `$share/…`"),
        Required,
        "Messages of the hub that are commands. The first rule that matches a topic has it.",
    ),
    key(
        "to",
        Text("MQTT topic, with the wildcards of `match` in their order"),
        Means("the topic at the hub"),
        "Topic for local clients. Each wildcard stands for what that of `match` stood for.",
    ),
    key(
        "expiry",
        Duration("1s", "1d"),
        Is("1m"),
        "Longest time after its arrival in which a command is given to a local client. Its own Message Expiry Interval counts if that is shorter.",
    ),
    key(
        "allow",
        Strings("payloads, each a text or a range of numbers `MIN..MAX`"),
        Means("any payload"),
        "Payloads that are given, each as a whole: `[\"open\", \"close\", \"0..100\"]`. A range takes decimal numbers with their bounds, of 15 digits at most (or the shortest text of a longer one, as programs write it) and without needless zeros in front. Any other payload is refused as `not-allowed`.",
    ),
    key(
        "allow_unbounded",
        Boolean,
        Is("false"),
        "Takes commands without a Message Expiry Interval too, as all of an MQTT 3.1.1 hub are: how long they waited at the hub nobody knows. `false` refuses them.",
    ),
    key(
        "delivery",
        OneOf(&["at-most-once", "at-least-once"]),
        Is("at-most-once"),
        "At most once: the identity is on disk before a client gets the command, a second copy is not given, and a command that a restart interrupted is refused, since it may have been obeyed. At least once: nothing is kept, and a copy is given again.",
    ),
    key(
        "answers",
        Text("MQTT topic"),
        Means("`edge/answers/ID` with the gateway's `id`"),
        "Topic at the hub where the end of each command is told. A command with a Response Topic is answered there.",
    ),
];

const CONTROL: &[Key] = &[
    key(
        "rules",
        Text("file"),
        Required,
        "The loops, interlocks and alarms: see the page on control files. Needs `[local] listen`.",
    ),
    key(
        "publish_every",
        Text("duration, one `control.period_ms` to 60s"),
        Is("100ms"),
        "Period of the outputs on `out/NAME`, beside every change of state on `event/…`.",
    ),
];

const ALARMS: &[Key] = &[
    key(
        "commands",
        Boolean,
        Is("false"),
        "Takes commands of local clients at `cmd/alarm/#`. Needs `[local] listen` and a filter with an alarm. `false` turns them off whatever the other keys say.",
    ),
    key(
        "clients",
        Strings("client identifiers"),
        Means("any client of the listener"),
        "Clients that may command. An identifier is a claim: with `acl_file` only some users may publish to `cmd/#`.",
    ),
    key(
        "per_minute",
        Integer(1, 6_000),
        Is("60"),
        "Most commands of all clients together, and as many of the hub.",
    ),
    key("hub", Boolean, Is("false"), "The hub may command too, by `[[command]]` rules to `cmd/alarm/#`."),
];

/// The file's tables, in the order of the reference.
pub(in super::super) const TABLES: &[Table] = &[
    table("", "include = [ … ]", "Before the first table.", TOP),
    table("gateway", "[gateway]", "The gateway itself.", GATEWAY),
    table(
        "local",
        "[local]",
        "Source of messages: a listener of its own, or a broker that is there already.",
        LOCAL,
    ),
    table("hub", "[hub]", "Destination of messages.", HUB),
    table(
        "hub.est",
        "[hub.est]",
        "Renewal of `cert` by EST (RFC 7030), in a build with the feature `est`: a new certificate of the same names and the same key, at two thirds of the life of the one in use; and the first one by a claim certificate. It is written in the place of `cert`, so that its directory has to be writable.",
        EST,
    ),
    table("queue", "[queue]", "Limits of the store between both.", QUEUE),
    table("route", "[[route]]", "A class of messages. At least one is required.", ROUTE),
    table(
        "route.fields",
        "fields = { … }",
        "Parts of a reading in a sensor's JSON. A field is a name, or a JSON Pointer when it begins with `/`, as `/data/0/temp`.",
        FIELDS,
    ),
    table(
        "command",
        "[[command]]",
        "Messages of the hub that are commands for local clients; without the table there are none. Needs `[local] listen`.",
        COMMAND,
    ),
    table(
        "control",
        "[control]",
        "Loops that run in the gateway; without the table there are none.",
        CONTROL,
    ),
    table("alarms", "[alarms]", "Commands of local clients to the alarms of the routes' filters.", ALARMS),
    table("metrics", "[metrics]", "Pages for whoever watches the gateway.", METRICS),
    table("status", "[status]", "Who is told the state of the gateway.", STATUS),
    table("clock", "[clock]", "The wall clock.", CLOCK),
    table(
        "hardware",
        "[hardware]",
        "Figures of the machine for what `check` predicts. Nothing else reads them.",
        HARDWARE,
    ),
    table(
        "test",
        "[[test]]",
        "Cases of the routes and their filters, run by `edge-gateway test FILE`. The running gateway passes over them.",
        TEST,
    ),
];
