//! The keys of `[local]`: the side of the sensors.

use super::Preset::{Is, Means};
use super::Value::{Boolean, Duration, Integer, OneOf, OneOrSeveral, Size, Strings, Text};
use super::{Key, key};

pub(super) const LOCAL: &[Key] = &[
    key(
        "listen",
        OneOrSeveral("ADDRESS:PORT"),
        Means("this, `tls_listen` or both, or `broker`"),
        "Address where sensors connect, MQTT 3.1.1 and 5, without TLS; an array of several: `[\"10.1.0.2:1883\", \"127.0.0.1:1883\"]`.",
    ),
    key(
        "tls_listen",
        OneOrSeveral("ADDRESS:PORT"),
        Means("none"),
        "Address where sensors connect with TLS 1.2 or 1.3. Needs `cert` and `key`.",
    ),
    key(
        "ws_listen",
        OneOrSeveral("ADDRESS:PORT"),
        Means("none"),
        "Address where clients connect by WebSocket, subprotocol `mqtt`, with `accept_mqtt_3_1` `mqttv3.1` too, any path, without TLS. Beside `listen` or `tls_listen`.",
    ),
    key(
        "wss_listen",
        OneOrSeveral("ADDRESS:PORT"),
        Means("none"),
        "Address where clients connect by WebSocket over TLS. Beside `tls_listen`, whose certificate and `client_ca` count there, too.",
    ),
    key(
        "ws_origins",
        Strings("origins, as `https://panel.example`"),
        Means("pages of the address's own host and port"),
        "Origins of pages that may connect by WebSocket beside these, as browsers send them; `null` is that of a file. Programs send none and may connect.",
    ),
    key(
        "trusted_proxies",
        Strings("addresses and networks, as `10.0.0.5`, `10.1.0.0/16`"),
        Means("no proxy is believed"),
        "Load balancers and other proxies before the gateway: each connection from there must begin with a header of the PROXY protocol, version 2, at any of the addresses, and counts as coming from the client that it names.",
    ),
    key(
        "cert",
        Text("file"),
        Means("none"),
        "Certificate of the listener, in PEM, with the chain behind it. Read again when it changes.",
    ),
    key(
        "key",
        Text("file, or `unix:PATH`"),
        Means("none"),
        "Private key of the certificate, in PEM, mode 0600; or `unix:` and the path of a socket at which a signer (`signer.md`) has it. A file is read again when it changes.",
    ),
    key(
        "client_ca",
        Text("file"),
        Means("clients show none"),
        "Authority of the certificates that clients must show at `tls_listen`, in PEM. A name in the certificate is their user name (`client_user_from`); no password is asked for.",
    ),
    key(
        "client_crl",
        Text("file"),
        Means("none is known to be revoked"),
        "Lists of certificates that authorities in `client_ca` have revoked (CRL), in PEM: who shows one of these is refused. Read again when it changes; then all with a certificate come again. A list that is out of date still counts.",
    ),
    key(
        "client_user_from",
        OneOf(&["cn", "san"]),
        Means("`cn`"),
        "Name in the certificate that is the user name: `cn`, the common name, as Mosquitto's `use_identity_as_username`; `san`, the subject alternative name: the DNS name, without any the mail address, without those the URI. A certificate without one, or with several, is refused.",
    ),
    key(
        "password_file",
        Text("file"),
        Means("everybody may come in"),
        "Users and hashes of their passwords, as `mosquitto_passwd` and `edge-gateway passwd` write them. Read again when it changes.",
    ),
    key(
        "acl_file",
        Text("file"),
        Means("everybody may do everything"),
        "Access list in Mosquitto's format: who may publish and read what. Read again when it changes.",
    ),
    key(
        "allow_anonymous",
        Boolean,
        Is("false"),
        "Beside `password_file`: clients without a user name come in, too. Without it: accepts that anybody who reaches the address publishes; required where `listen` is no loopback address.",
    ),
    key(
        "accept_control_characters",
        Boolean,
        Is("false"),
        "Takes topics with control characters and Unicode non-characters, for which a hub may end the connection.",
    ),
    key(
        "accept_mqtt_3_1",
        Boolean,
        Is("false"),
        "Lets in clients of MQTT 3.1 (`MQIsdp`), the version before 3.1.1, as 3.1.1; otherwise they are refused with return code 1.",
    ),
    key(
        "max_connections",
        Integer(1, 100_000),
        Is("1000"),
        "Connections at a time, as far as the limit of open files goes. Then a new one displaces one that is not read, or that has not logged in, of the address with most of them; else one that was silent for ten seconds, of an address that has an eighth of all connections or more, and at least two more than its own: many clients behind one address, such as a proxy that does not tell theirs (`proxy_protocol`), need room for all. At the limit the log says `the limit of N connections is reached`.",
    ),
    key(
        "max_packet",
        Size("1KiB", "256KiB"),
        Is("256KiB"),
        "Largest packet that a client may send. Its CONNECT, will included, has at most 4096 bytes unless it gives a user name.",
    ),
    key(
        "max_memory",
        Size("4MiB", "1GiB"),
        Is("8MiB"),
        "Bytes that all clients together may make the gateway hold. Above it whoever holds most for longest without progress gives way.",
    ),
    key(
        "max_queued_messages",
        Integer(1, 100_000),
        Is("1000"),
        "Messages that wait for one client, absent or slow; then its oldest go, those of QoS 0 first.",
    ),
    key(
        "max_queued_bytes",
        Size("4KiB", "64MiB"),
        Is("1MiB"),
        "Bytes that wait for one client; then its oldest messages go.",
    ),
    key(
        "max_inflight_messages",
        Integer(1, 65_535),
        Is("100"),
        "Messages on their way to one client without its PUBACK, within its own Receive Maximum; 20 at most to a client of MQTT 3.1.1.",
    ),
    key(
        "max_unread",
        Size("4KiB", "4MiB"),
        Is("256KiB"),
        "Bytes written for one client that it has not read; until it reads, its messages wait as those of an absent client.",
    ),
    key(
        "max_subscriptions",
        Integer(1, 10_000),
        Is("100"),
        "Topic filters of one client; a further one is refused (0x97). A session with more, of a time with a higher limit, ends with the restart: its client subscribes anew.",
    ),
    key(
        "max_rate",
        Size("4KiB", "1GiB"),
        Means("no limit"),
        "Bytes a second that are read of one client, over time, at least a fifth of `max_packet`; a client that sends faster waits, and delays nobody else. Not beside `[control]`, whose inputs must not wait.",
    ),
    key(
        "max_retained_messages",
        Integer(1, 100_000),
        Is("1000"),
        "Topics with a retained message; a message on a further one is delivered, and not retained.",
    ),
    key(
        "max_retained_bytes",
        Size("4KiB", "64MiB"),
        Is("1MiB"),
        "Bytes of retained messages; what has no room is delivered, and not retained.",
    ),
    key(
        "max_session_expiry",
        Duration("1s", "3650d"),
        Is("7d"),
        "Longest session of an absent client. MQTT 5 clients that ask for more are told; those of 3.1.1 without Clean Session get this.",
    ),
    key(
        "max_keep_alive",
        Duration("10s", "18h"),
        Is("5m"),
        "Longest keep alive of MQTT 5 clients: who asks for more, or for none, is told this one. Those of 3.1.1 cannot be told, and keep theirs.",
    ),
    key(
        "min_keep_alive",
        Duration("1s", "18h"),
        Means("no limit"),
        "Shortest keep alive of MQTT 5 clients, at most `max_keep_alive`: who asks for less is told this one. Those of 3.1.1 cannot be told: they keep theirs and are not refused, and their pings count as bytes that are read of them (`max_rate`).",
    ),
    key(
        "sys_interval",
        Integer(0, 65_535),
        Is("10"),
        "Seconds between two publications of figures on `$SYS/broker/…`, as in Mosquitto, while a connected client subscribes to them; 0: none.",
    ),
    key(
        "persistence",
        Boolean,
        Is("true"),
        "Keeps sessions of local clients, what waits in them, and retained messages in `clients` in the state directory: saved within a second of a change, and not above 4 KiB/s over time; 1 MiB at most.",
    ),
    key(
        "broker",
        Text("HOST:PORT"),
        Means("either this or `listen`"),
        "Broker that is there already, at which the gateway subscribes.",
    ),
    key(
        "client_id",
        Text("text"),
        Means("`id` and `-local`"),
        "Client identifier at the broker. Without effect beside `listen`.",
    ),
    key(
        "topics",
        Strings("MQTT topic filters"),
        Means("what the routes match"),
        "Subscriptions at the broker. Without effect beside `listen`.",
    ),
];
