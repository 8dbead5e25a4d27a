//! All loads at the same time, at every door, beside a sensor that is served all the while.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::logins::{self, USER};
use crate::many_clients::{all_are_there, dial, idle_clients, open_many_files, two_thousand_at_once};
use crate::site::Site;
use crate::support::authority::Authority;
use crate::support::gateway::Gateway;
use crate::support::mosquitto::{Mosquitto, Subscriber};
use crate::support::publisher::{Publisher, packet, text};
use crate::support::websocket::{Certificates, relay, tls_relay};
use crate::support::{free_port, wait_until};

/// Routes of every input that decodes what clients send, and a way for commands.
const ROUTES: &str = "[[route]]\nmatch = \"queued/#\"\nto = \"up/\"\n\
    [[route]]\nmatch = \"json/#\"\nto = \"out/json\"\nformat = \"json\"\ninput = \"json\"\n\
    [[route]]\nmatch = \"senml/#\"\nto = \"out/senml\"\nformat = \"compact\"\ninput = \"senml\"\n\
    [[route]]\nmatch = \"number/#\"\nto = \"out/number\"\nformat = \"cbor\"\ninput = \"number\"\n\
    [[route]]\nmatch = \"spBv1.0/#\"\nto = \"out/sp\"\nformat = \"json\"\ninput = \"sparkplug\"\nmax_births = \"1MiB\"\n\
    [[route]]\nmatch = \"lines/#\"\nto = \"out/lines\"\nformat = \"json\"\ninput = \"influx-line\"\n\
    [[command]]\nmatch = \"g/cmd/#\"\nto = \"cmd/#\"\n";

/// A gateway with every door, users and rights, and places for all. Returns its plain address, and that with TLS, too.
fn site(dir: &Path, hub: SocketAddr) -> (Site, [SocketAddr; 2]) {
    Authority::new(dir, "plant").sign(dir, "gateway", Some("localhost"));
    logins::files(dir, 200);
    let [plain, tls, ws, wss] = std::array::from_fn(|_| free_port());
    let config = format!(
        "[gateway]\nid = \"g\"\n[local]\nlisten = \"{plain}\"\ntls_listen = \"{tls}\"\nws_listen = \"{ws}\"\nwss_listen = \"{wss}\"\n\
         cert = \"gateway.crt\"\nkey = \"gateway.key\"\npassword_file = \"users\"\nacl_file = \"rights\"\nallow_anonymous = true\n\
         max_connections = 5000\n\
         [hub]\nurl = \"mqtt://{hub}\"\n{ROUTES}"
    );
    let mut gateway = Gateway::new(dir, &config);
    gateway.start();
    let trusted = || Certificates::trusting(dir, "plant");
    // Most go straight to the gateway: a relay takes a thread for each client.
    let doors = vec![
        plain,
        plain,
        tls_relay(tls, &trusted()),
        plain,
        relay(ws, None),
        plain,
        relay(wss, Some(trusted())),
    ];
    (Site::behind(gateway, doors), [plain, tls])
}

/// Subscribers that read nothing after their SUBACK. Returns how many there are.
fn deaf_readers(site: &Site, count: usize, filter: &str, qos: u8) -> usize {
    let subscribe = |_| {
        let mut stream = site.connect_patiently(&site.new_name("deaf"), 2)?;
        let rest = [&[0, 1][..], &text(filter), &[qos]].concat();
        stream.write_all(&packet(0x82, &rest)).ok()?;
        stream.read_exact(&mut [0; 5]).ok()?;
        site.keep(stream);
        Some(())
    };
    (0..count).filter_map(subscribe).count()
}

/// Wills of 10 kB that wait for five minutes, because their clients are gone without a word.
fn wills_with_delay(site: &Site) {
    for n in 0..100 {
        let Some(mut stream) = site.open() else { continue };
        let delay = [5, 0x18, 0, 0, 1, 0x2c];
        let will = [&delay[..], &text(format!("w/{n}")), &text([b'w'; 10_000])].concat();
        let head =
            [&text(b"MQTT")[..], &[5, 0x0e, 0, 60, 5, 0x11, 0, 0, 2, 0x58], &text(format!("will-{n}"))];
        let _ = stream.write_all(&packet(0x10, &[head.concat(), will].concat()));
        let _ = stream.read_exact(&mut [0; 4]);
    }
}

/// Messages at QoS 2 without their PUBREL.
fn half_exchanges(site: &Site) {
    for _ in 0..40 {
        let Some(mut stream) = site.connect_v5(&site.new_name("half-exchange")) else { continue };
        for id in 1..=20 {
            let rest = [&text(b"queued/twice")[..], &[0, id, 0], &[b'x'; 4_000]].concat();
            let _ = stream.write_all(&packet(0x34, &rest));
        }
        site.keep(stream);
    }
}

/// Sixteen aliases of topics of 4 000 bytes each.
fn topic_aliases(site: &Site) {
    for n in 0..20 {
        let Some(mut stream) = site.connect_v5(&site.new_name("alias")) else { continue };
        for alias in 1..=16 {
            let topic = format!("{n}/{alias}/{}", "a".repeat(4_000));
            let _ = stream.write_all(&packet(0x30, &[&text(topic)[..], &[3, 0x23, 0, alias], b"x"].concat()));
        }
        site.keep(stream);
    }
}

/// What no input can decode becomes dead letters, beside what each can.
fn payloads_good_and_bad(site: &Site) {
    for topic in ["json/a", "senml/a", "number/a", "spBv1.0/g/NDATA/n", "spBv1.0/g/NBIRTH/n", "lines/a"] {
        site.flood(topic, 300, 2_000, 1);
        site.flood(topic, 20, 100_000, 0);
    }
    site.send("json/a", (0..2_000).map(|n| format!("{{\"value\":{n},\"unit\":\"Cel\"}}")));
    site.send("number/a", (0..2_000).map(|n| format!("{n}.5")));
    site.send("lines/a", (0..2_000).map(|n| format!("oven,place=a value={n}")));
    let pack = |n| format!("[{{\"bn\":\"{}\",\"n\":\"{n}\",\"v\":{n}}}]", "long".repeat(100));
    site.send("senml/a", (0..2_000).map(pack));
}

/// Commands of the hub that nobody here hears.
fn commands(hub: SocketAddr) -> Child {
    let port = hub.port().to_string();
    let correlation = "c".repeat(100);
    let mut child = Command::new("mosquitto_pub")
        .args(["-p", &port, "-V", "mqttv5", "-q", "1", "-t", "g/cmd/a", "-l"])
        .args([
            "-D",
            "publish",
            "correlation-data",
            &correlation,
            "-D",
            "publish",
            "response-topic",
            "answers",
        ])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = child.stdin.take().unwrap();
    (0..2_000).for_each(|n| drop(writeln!(lines, "{n}{}", "x".repeat(200))));
    child
}

/// Publishes one message after the other until the loads are over. Returns what was acknowledged, and the longest wait for a PUBACK.
fn good_sensor(plain: SocketAddr, is_over: &AtomicBool) -> (Vec<String>, Duration) {
    let mut sensor = Publisher::new(plain, "good", 1);
    sensor.login = Some((USER.to_owned(), "secret".to_owned()));
    let mut longest = Duration::ZERO;
    for n in 0.. {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        let sent = Instant::now();
        sensor.publish("queued/good", &format!("good-{n}"));
        sensor.settle(0, 60);
        longest = longest.max(sent.elapsed());
        std::thread::sleep(Duration::from_millis(20));
    }
    (sensor.acked, longest)
}

/// Runs all loads together. Returns the number of deaf readers, of refused logins, and of those of two thousand at once who were served.
fn all_loads(site: &Site, (plain, hub): (SocketAddr, SocketAddr)) -> (usize, usize, usize) {
    std::thread::scope(|threads| {
        let at_once = threads.spawn(move || two_thousand_at_once(|_| dial(plain)).served.len());
        let guesses = threads.spawn(move || logins::guess(plain, 60));
        let filters = [
            ("#", 0, 30),
            ("#", 1, 30),
            ("#", 2, 30),
            ("flood", 0, 60),
            ("flood", 1, 40),
            ("$share/g/#", 1, 30),
        ];
        let deaf =
            filters.map(|(filter, qos, count)| threads.spawn(move || deaf_readers(site, count, filter, qos)));
        let loads: [fn(&Site); 10] = [
            |site| site.half_send_publishes(120),
            |site| site.half_send_connects(60, false),
            |site| site.half_send_connects(60, true),
            |site| site.retained(1_000, 10_000),
            |site| site.absent_subscribers(100),
            wills_with_delay,
            half_exchanges,
            topic_aliases,
            payloads_good_and_bad,
            |site| {
                for _ in 0..5 {
                    site.flood("flood", 80, 20_000, 1);
                    site.flood("flood", 10, 250_000, 0);
                    site.flood("queued/x", 20, 250_000, 0);
                    site.flood("queued/x", 4_000, 10, 0);
                }
            },
        ];
        for load in loads {
            threads.spawn(move || load(site));
        }
        let mut commands = commands(hub);
        let deaf = deaf.into_iter().map(|readers| readers.join().unwrap()).sum();
        let refused = guesses.join().unwrap();
        wait_until("the hub has the commands acknowledged", 60, || commands.try_wait().unwrap().is_some());
        (deaf, refused, at_once.join().unwrap())
    })
}

/// The sum of a family of figures.
fn sum(site: &Site, family: &str) -> f64 {
    let (_, page) = site.gateway.get("/metrics").unwrap();
    let values = page.lines().filter(|line| line.starts_with(family));
    values.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[test]
fn every_load_at_the_same_time_at_every_door() {
    open_many_files();
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), "max_queued_messages 0");
    let reader = Subscriber::start(hub.address, "up/queued/good");
    let (mut site, [plain, tls]) = site(dir.path(), hub.address);
    let began = Instant::now();
    let mut idle = idle_clients(plain, None);
    idle.extend(idle_clients(tls, Some(&Certificates::trusting(dir.path(), "plant"))));
    println!("{} idle clients in {:?}", idle.len(), began.elapsed());
    let is_over = AtomicBool::new(false);
    let began = Instant::now();
    let ((deaf, refused, at_once), (acknowledged, longest)) = std::thread::scope(|threads| {
        let sensor = threads.spawn(|| good_sensor(plain, &is_over));
        let counts = all_loads(&site, (plain, hub.address));
        is_over.store(true, Ordering::Relaxed);
        (counts, sensor.join().unwrap())
    });
    println!(
        "{deaf} deaf readers, {refused} wrong logins, {at_once} of 2 000 at once, {} messages of a sensor acknowledged, each within {longest:?}, in {:?}",
        acknowledged.len(),
        began.elapsed()
    );
    site.check("every load at the same time");
    // The figure of `check` is for 5 000 clients with TLS.
    let resident = site.gateway.resident_kib_max();
    assert!(resident <= 192 * 1024, "{resident} KiB");
    all_are_there(&mut idle);
    assert!(at_once >= 1_900, "{at_once} of 2 000 that came at once were served");
    wait_until("the queue is drained", 120, || sum(&site, "edge_queue_messages") == 0.0);
    site.check("the same, and the queue is drained");
    assert!(deaf >= 200 && refused > 4_000, "{deaf} deaf readers, {refused} wrong logins");
    assert!(acknowledged.len() >= 20, "{} in {:?}", acknowledged.len(), began.elapsed());
    let arrived = || reader.arrived().into_iter().map(|message| message.payload).collect::<BTreeSet<_>>();
    let missing = || acknowledged.iter().filter(|payload| !arrived().contains(*payload)).count();
    let dropped = sum(&site, "edge_dropped_total") as usize;
    println!("{} missing, {dropped} counted as dropped, all in {:?}", missing(), began.elapsed());
    // All loads together have room in the queue.
    assert_eq!(dropped, 0);
    wait_until("each message is at the hub", 30, || missing() == 0);
    assert!(sum(&site, "edge_undecodable_total") > 0.0);
}
