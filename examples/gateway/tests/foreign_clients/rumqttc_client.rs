//! Client of rumqttc, built outside of this workspace by the test: the same orders and events as `lines.py`.

use std::io::{self, BufRead};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// More than the largest message of the test: without it rumqttc takes 10 KiB.
const LARGEST: u32 = 300_000;

struct Arguments {
    host: String,
    port: u16,
    is_ws: bool,
    id: String,
    is_clean: bool,
    expiry: u32,
    will: Option<String>,
}

fn payload(size: usize, seed: usize) -> Vec<u8> {
    (0..size).map(|at| (seed + at * 31 + (at >> 8)) as u8).collect()
}

fn tell(topic: &str, qos: u8, retain: bool, body: &[u8]) {
    let hash = body.iter().fold(7_u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(u32::from(*byte)));
    println!("message {topic} {qos} {} {} {hash}", u8::from(retain), body.len());
}

/// Runs the client of one version. The two have the same calls and other types, and no trait in common.
macro_rules! run {
    ($arguments:expr, $orders:expr, $library:path, $qos:path, $options:expr, $will:expr, $topic:expr) => {{
        use $library as library;
        use library::{AsyncClient, Event, Incoming, MqttOptions, Outgoing};
        let arguments: Arguments = $arguments;
        let mut options = MqttOptions::new(arguments.id, arguments.host, arguments.port);
        options.set_keep_alive(Duration::from_secs(30));
        $options(&mut options, arguments.is_clean, arguments.expiry);
        if arguments.is_ws {
            options.set_transport(rumqttc::Transport::Ws);
        }
        if let Some(will) = arguments.will {
            options.set_last_will($will(will));
        }
        let (client, mut events) = AsyncClient::new(options, 1_000);
        tokio::spawn(async move {
            while let Some(order) = $orders.recv().await {
                let words: Vec<&str> = order.split(' ').collect();
                let number = |at: usize| words[at].parse::<usize>().unwrap();
                let qos = |at: usize| $qos(number(at) as u8);
                match words[0] {
                    "subscribe" => client.subscribe(words[1], qos(2)).await.unwrap(),
                    "publish" => {
                        let body = payload(number(4), number(5));
                        client.publish(words[1], qos(2), words[3] == "1", body).await.unwrap();
                    }
                    _ => client.disconnect().await.unwrap(),
                }
            }
        });
        loop {
            match events.poll().await {
                Ok(Event::Incoming(Incoming::ConnAck(it))) => println!("connected {}", u8::from(it.session_present)),
                Ok(Event::Incoming(Incoming::SubAck(it))) => match it.return_codes[0] {
                    library::mqttbytes_subscribe::Success(qos) => println!("subscribed {}", qos as u8),
                    ref refused => println!("subscribed {refused:?}"),
                },
                Ok(Event::Incoming(Incoming::Publish(it))) => tell($topic(&it.topic), it.qos as u8, it.retain, &it.payload),
                Ok(Event::Incoming(Incoming::PubAck(_) | Incoming::PubComp(_))) => println!("published"),
                Ok(Event::Outgoing(Outgoing::Publish(0))) => println!("published"),
                Ok(Event::Outgoing(Outgoing::Disconnect)) => return,
                Ok(_) => {}
                Err(error) => {
                    println!("disconnected: {error:?}");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        }
    }};
}

/// Version 3.1.1, by the names that the macro uses.
mod v4 {
    pub use rumqttc::SubscribeReasonCode as mqttbytes_subscribe;
    pub use rumqttc::{AsyncClient, Event, Incoming, MqttOptions, Outgoing};
}

mod v5 {
    pub use rumqttc::Outgoing;
    pub use rumqttc::v5::mqttbytes::v5::SubscribeReasonCode as mqttbytes_subscribe;
    pub use rumqttc::v5::{AsyncClient, Event, Incoming, MqttOptions};
}

fn qos_v4(qos: u8) -> rumqttc::QoS {
    rumqttc::qos(qos).unwrap()
}

fn qos_v5(qos: u8) -> rumqttc::v5::mqttbytes::QoS {
    rumqttc::v5::mqttbytes::qos(qos).unwrap()
}

async fn run_v4(arguments: Arguments, mut orders: UnboundedReceiver<String>) {
    let options = |options: &mut rumqttc::MqttOptions, is_clean, _| {
        options.set_clean_session(is_clean).set_max_packet_size(LARGEST as usize, LARGEST as usize);
    };
    let will = |topic| rumqttc::LastWill::new(topic, "gone", rumqttc::QoS::AtLeastOnce, false);
    run!(arguments, orders, v4, qos_v4, options, will, String::as_str)
}

async fn run_v5(arguments: Arguments, mut orders: UnboundedReceiver<String>) {
    use rumqttc::v5::mqttbytes::{QoS, v5::LastWill};
    let options = |options: &mut rumqttc::v5::MqttOptions, is_clean, expiry| {
        options.set_clean_start(is_clean).set_session_expiry_interval(Some(expiry)).set_max_packet_size(Some(LARGEST));
    };
    let will = |topic: String| LastWill::new(topic, "gone", QoS::AtLeastOnce, false, None);
    run!(arguments, orders, v5, qos_v5, options, will, |topic| std::str::from_utf8(topic).unwrap())
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [version, transport, port, id, clean, expiry, will] = &words[..] else { panic!("{words:?}") };
    let is_ws = transport == "ws";
    let host = if is_ws { format!("ws://127.0.0.1:{port}/mqtt") } else { "127.0.0.1".to_owned() };
    let arguments = Arguments {
        host,
        port: port.parse().unwrap(),
        is_ws,
        id: id.clone(),
        is_clean: clean == "1",
        expiry: expiry.parse().unwrap(),
        will: (will != "-").then(|| will.clone()),
    };
    let (orders, taken) = unbounded_channel();
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            orders.send(line).unwrap();
        }
        // The test is gone.
        std::process::exit(1);
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    if version == "5" { runtime.block_on(run_v5(arguments, taken)) } else { runtime.block_on(run_v4(arguments, taken)) }
}
