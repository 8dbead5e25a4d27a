//! Troubles that do not heal by themselves, and the advice that fits each.

use std::path::Path;

use crate::config::Findings;
use crate::config::tls::UnfitForClients;
use crate::run::configuration::refusal::{Refusal, Unfit};

use super::*;

/// Refusal of a configuration with this mistake.
fn mistake(key: &str, message: &str) -> Refusal {
    let mut findings = Findings::new(Path::new("g.toml"), "[a]\nb = 1\n");
    findings.error(8, key, message);
    Refusal::mistakes(&findings)
}

/// To mend a file that has no mistake, or to restart for one that has, helps nobody.
#[test]
fn a_refused_configuration_says_whether_to_mend_the_file_or_to_restart() {
    let unfit = |why: Unfit| {
        let text = "[gateway]\nid = \"a\"\n[queue]\nlanes = [\"a\"]\n";
        Refusal::unfit(&why, Findings::new(Path::new("g.toml"), text).sources())
    };
    for (refusal, remedy) in [
        (mistake("queue.lanes", "none"), "Mend the file"),
        (unfit(Unfit::Loops(vec!["[queue]"])), "restart the gateway"),
        (unfit(Unfit::Lanes), "while messages wait"),
        (Refusal::no_start("address in use"), "Remove this cause"),
    ] {
        let facts = Facts { refused: Some(refusal.clone()), ..facts() };
        let snapshot = super::super::snapshot(&facts, NOW, &figures(), &recorder(&figures()));
        let [need] = &snapshot.needs[..] else { panic!("{:?}", snapshot.needs) };
        assert_eq!((need.id.as_str(), need.level), ("configuration", Level::Act));
        assert!(need.text.contains(refusal.why()) && need.action.contains(remedy), "{need:?}");
        let others = ["Mend the file", "restart the gateway", "while messages wait", "Remove this cause"];
        assert_eq!(others.iter().filter(|other| need.action.contains(**other)).count(), 1, "{need:?}");
    }
    assert!(unfit(Unfit::Lanes).why().starts_with("g.toml:4: queue.lanes: "), "{:?}", unfit(Unfit::Lanes));
}

/// The need goes to the page, to the hub and into the archive for whoever helps; the log stays on this machine.
#[test]
fn a_secret_in_the_place_of_its_path_is_in_no_need() {
    let mut findings = Findings::new(Path::new("/etc/edge/g.toml"), "[a]\nb = 1\n");
    let typed = findings.named_path(8, "hub.password_file", Path::new("s3cret: or\nnot"));
    findings.error(8, "hub.password_file", format!("{}: No such file", typed.display()));
    let refusal = Refusal::mistakes(&findings);
    assert!(refusal.why().contains("s3cret"));
    let facts = Facts { refused: Some(refusal), ..facts() };
    let needs = super::super::snapshot(&facts, NOW, &figures(), &recorder(&figures())).needs;
    assert_eq!(
        needs[0].text,
        "The changed gateway.toml is not in force: /etc/edge/g.toml:2: hub.password_file: …: No such file."
    );
}

/// As at a start between the halves of a renewal: gateway.toml is as it was.
#[test]
fn a_certificate_that_cannot_be_used_is_no_change_of_gateway_toml() {
    let need = |refusal| {
        let facts = Facts { refused: Some(refusal), ..facts() };
        super::super::snapshot(&facts, NOW, &figures(), &recorder(&figures())).needs.remove(0)
    };
    for (key, shown) in [("local.cert", "/etc/own: none"), ("hub.cert", "/etc/own: none"), ("local.key", "…")]
    {
        let mut findings = Findings::new(Path::new("g.toml"), "[a]\nb = 1\n");
        findings.unusable(8, key, "/etc/own: none");
        let need = need(Refusal::mistakes(&findings));
        let expected = format!(
            "A certificate of the gateway's own that gateway.toml names, or its key, cannot be used: g.toml:2: {key}: {shown}."
        );
        assert_eq!((need.id.as_str(), need.text), ("configuration", expected));
        assert!(need.action.starts_with("Put a certificate and a key that fit in place"), "{}", need.action);
    }
    // With another mistake it is a change.
    let mut findings = Findings::new(Path::new("g.toml"), "[a]\nb = 1\n");
    findings.unusable(8, "local.key", "wrong");
    findings.error(8, "hub.url", "wrong");
    assert!(need(Refusal::mistakes(&findings)).text.starts_with("The changed gateway.toml"));
    // So it is where it is named wrongly, such as without its key.
    assert!(need(mistake("hub.cert", "without a key")).text.starts_with("The changed gateway.toml"));
    assert!(need(mistake("local.client_ca", "wrong")).text.starts_with("The changed gateway.toml"));
}

/// Two needs of one fault would read as two faults. Of several faults the refusal names one.
#[test]
fn a_certificate_that_the_configuration_is_refused_for_is_told_once_and_others_beside_it() {
    let mut figures = figures();
    let roles = [Role::Hub, Role::Listener, Role::Broker, Role::HubAuthority];
    for (key, named) in [
        ("hub.cert", Role::Hub),
        ("hub.key", Role::Hub),
        ("local.cert", Role::Listener),
        ("local.key", Role::Listener),
        ("local.broker_cert", Role::Broker),
        ("local.broker_key", Role::Broker),
    ] {
        let mut findings = Findings::new(Path::new("g.toml"), "[a]\nb = 1\n");
        findings.unusable(8, key, "/etc/own: none");
        findings.unusable(8, if named == Role::Hub { "local.cert" } else { "hub.cert" }, "/etc/other: none");
        for role in roles {
            figures.sample.certificates = vec![End { role, ..unreadable_at_the_listener() }];
            let ids = |refused| {
                let facts = Facts { refused, ..facts() };
                let needs = super::super::snapshot(&facts, NOW, &figures, &recorder(&figures)).needs;
                needs.into_iter().map(|need| need.id).collect::<Vec<_>>()
            };
            assert_eq!(ids(None), ["certificate"], "{role}");
            let told: &[&str] =
                if role == named { &["configuration"] } else { &["certificate", "configuration"] };
            assert_eq!(ids(Some(Refusal::mistakes(&findings))), told, "{role} {key}");
        }
    }
}

/// Another one may be shown, where the file has changed.
#[test]
fn a_certificate_that_clients_refuse_is_told_as_that_of_the_file() {
    let mut figures = figures();
    let unfit = Some(UnfitForClients::NotForServers);
    figures.sample.certificates = vec![End { unfit, is_unreadable: false, ..unreadable_at_the_listener() }];
    let need = snapshot(&figures).needs.remove(0);
    let said = "The gateway's certificate for its sensors, as its file has it, is not one for servers";
    assert_eq!((need.id.as_str(), need.level), ("certificate", Level::Act));
    assert!(need.text.starts_with(said) && need.text.ends_with(": clients refuse it."), "{need:?}");
}

fn unreadable_at_the_listener() -> End {
    End {
        role: Role::Listener,
        at_s: None,
        days_left: 0,
        is_near: false,
        has_ended: false,
        is_unreadable: true,
        is_foreign: false,
        unfit: None,
    }
}

/// Nothing was in force that could go on.
#[test]
fn a_listener_without_a_certificate_says_who_is_not_served() {
    let mut figures = figures();
    figures.sample.certificates = vec![unreadable_at_the_listener()];
    let need = |facts: &Facts| {
        let needs = super::super::snapshot(facts, NOW, &figures, &recorder(&figures)).needs;
        let [need] = &needs[..] else { panic!("{needs:?}") };
        assert_eq!((need.id.as_str(), need.level), ("certificate", Level::Act));
        need.text.clone()
    };
    let without = Facts { without_tls: Some("[local] key: no private key".to_owned()), ..facts() };
    let said = need(&without);
    assert!(said.starts_with("No client is served with TLS (tls_listen, wss_listen)"), "{said}");
    assert!(said.ends_with("[local] key: no private key.") && without.is_refused(), "{said}");
    let said = need(&facts());
    assert!(said.contains("what was read before is shown"), "{said}");
}

/// The hub did answer, and what it says does not heal by itself.
#[test]
fn a_hub_that_refuses_the_login_or_the_certificate_is_no_outage() {
    for (cause, sentence, needs) in [
        (
            "the server refused the connection: 0x87 Not authorized",
            "The hub refuses the connection: 0x87 Not authorized. ",
            "hub",
        ),
        (
            "the server refused the connection: 0x89 Server busy",
            "The hub refuses the connection: 0x89 Server busy. ",
            "",
        ),
        (
            "TLS with h: invalid peer certificate: UnknownIssuer",
            "TLS with the hub fails: invalid peer certificate: UnknownIssuer. ",
            "hub",
        ),
        (
            "received fatal alert: UnknownCA",
            "TLS with the hub fails: received fatal alert: UnknownCA. ",
            "hub",
        ),
        (
            "connection refused (os error 111)",
            "The hub has not answered for 2 h 13 min (connection refused (os error 111)). ",
            "",
        ),
    ] {
        let mut figures = outage();
        figures.sample.link_cause = Some(cause.to_owned());
        let snapshot = snapshot(&figures);
        assert!(
            snapshot.sentence.starts_with(sentence) && snapshot.sentence.contains("there is room for"),
            "{}",
            snapshot.sentence
        );
        let act = snapshot.needs.iter().filter(|need| need.level == Level::Act);
        assert_eq!(act.map(|need| need.id.as_str()).collect::<String>(), needs, "{cause}");
        let at_once = super::super::snapshot(&facts(), NOW, &figures, &Recorder::new(NOW.up_ms));
        assert_eq!(ids(&at_once.needs).join(" "), needs, "{cause}: at once");
    }
}

/// Losses of all runs stay in the list for good.
#[test]
fn what_was_lost_once_hides_no_trouble_of_the_link() {
    let mut figures = outage();
    figures.sample.link_cause = Some("the server refused the connection: 0x87 Not authorized".to_owned());
    figures.sample.given_up = 3;
    assert_eq!(ids(&snapshot(&figures).needs), ["hub", "lost"]);
}

#[test]
fn two_gateways_with_one_identifier_need_a_person_while_the_link_comes_and_goes() {
    let mut figures = figures();
    figures.sample.may_be_taken_over = true;
    let needs = snapshot(&figures).needs;
    assert_eq!((ids(&needs), needs[0].level), (vec!["taken_over"], Level::Act));
    assert!(needs[0].text.contains("may connect") && needs[0].action.contains("client_id"), "{needs:?}");
    figures.sample.taken_over = true;
    assert!(
        snapshot(&figures).needs[0].text.starts_with("Another client connects"),
        "what the hub says is no guess"
    );
}

/// A kill before it is kept, and a file with a mistake: the start goes back to an older configuration.
#[test]
fn a_configuration_that_the_disk_does_not_take_needs_a_person() {
    let facts = Facts { unkept_configuration: Some("No space left on device".to_owned()), ..facts() };
    assert!(facts.is_unkept());
    let snapshot = super::super::snapshot(&facts, NOW, &figures(), &recorder(&figures()));
    assert_eq!((ids(&snapshot.needs), snapshot.needs[0].level), (vec!["configuration_unkept"], Level::Act));
    assert!(snapshot.needs[0].text.contains("No space left"), "{:?}", snapshot.needs);
}

#[test]
fn a_local_broker_that_refuses_is_told_with_its_reason() {
    for (trouble, said) in [
        (None, "There is no connection to the local broker."),
        (
            Some("cannot connect to b:1883: Connection refused"),
            "There is no connection to the local broker: cannot connect to b:1883: Connection refused.",
        ),
        (
            Some("the server refused the connection: 0x87 Not authorized"),
            "The local broker refuses the login: 0x87 Not authorized.",
        ),
        (
            Some("TLS with h: the local broker's certificate has expired"),
            "There is no TLS with the local broker: the local broker's certificate has expired.",
        ),
        (
            Some("received fatal alert: UnknownCA"),
            "There is no TLS with the local broker: received fatal alert: UnknownCA.",
        ),
    ] {
        let mut figures = figures();
        figures.local_broker_connected = Some(false);
        figures.local_broker_cause = trouble.map(str::to_owned);
        let need = snapshot(&figures).needs.remove(0);
        assert_eq!((need.id.as_str(), need.level, need.text.as_str()), ("local_broker", Level::Act, said));
    }
}

/// Room for new messages is left: the sentence is about the oldest one.
#[test]
fn an_age_that_is_reached_is_no_want_of_room() {
    let said = |oldest_age_ms| {
        let mut figures = outage();
        figures.sample.oldest_age_ms = oldest_age_ms;
        snapshot(&figures).sentence
    };
    let (near, reached) = (said(604_795_000), said(604_800_000));
    assert!(near.ends_with(" In 5 s the oldest reaches max_age, and expires unsent."), "{near}");
    assert!(reached.ends_with(" The oldest has reached max_age: it expires unsent when the hub is back, and takes its room until then."), "{reached}");
}
