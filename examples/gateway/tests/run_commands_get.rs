#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! A local client asks the hub (`cmd/…/get`), and the answer comes as a command, between Mosquitto and foreign clients.

mod support;

use support::commands::{Plant, Request};
use support::mosquitto::{Arrived, Subscriber};
use support::wait_until;

const TABLES: &str = "[[command]]\nmatch = \"site7/cmd/#\"\nto = \"cmd/#\"\n\
    [[route]]\nmatch = \"cmd/+/get\"\nto = \"site7/ask/\"\n";

/// Asks, and waits until the hub has the question with where to answer it.
fn ask(plant: &Plant, at_hub: &Subscriber, number: &str) -> Arrived {
    let valve = Request::new("cmd/valve/get", "").response("site7/cmd/valve").correlation(number);
    valve.expiry(60).send(plant.listen);
    let asked = || at_hub.arrived().into_iter().find(|question| question.content_type == number);
    wait_until("the question is at the hub", 30, || asked().is_some());
    asked().unwrap()
}

/// Answers with this payload as whoever serves questions at the hub does, with nothing but what the question says.
fn answer(plant: &Plant, question: &Arrived, payload: &str) {
    let answer = Request::new(&question.topic, payload).correlation(&question.content_type);
    answer.expiry(60).send(plant.hub.address);
}

#[test]
fn a_question_is_answered_where_it_asks_also_over_a_kill() {
    let mut plant = Plant::start(TABLES);
    let at_hub = Subscriber::with_format(plant.hub.address, "site7/ask/cmd/+/get", "%R\t%D\t%P\t%x");
    let local = Subscriber::with_format(plant.listen, "cmd/+", "%t\t%D\t%P\t%x");
    let given = || -> Vec<_> {
        let all = local.arrived().into_iter().filter(|message| message.topic == "cmd/valve");
        all.map(|message| (message.content_type, message.payload)).collect()
    };

    let question = ask(&plant, &at_hub, "q1");
    assert_eq!(question.topic, "site7/cmd/valve", "where the answer is to go, as the client said it");
    answer(&plant, &question, "open");
    wait_until("the answer comes", 30, || given() == [("q1".to_owned(), "open".to_owned())]);

    let question = ask(&plant, &at_hub, "q2");
    plant.gateway.kill_9();
    answer(&plant, &question, "shut");
    plant.gateway.start();
    wait_until("the answer comes after the kill", 60, || given().len() >= 2);
    assert_eq!(given()[1..], [("q2".to_owned(), "shut".to_owned())], "once");
}
