//! Connections of one file that would disconnect each other: two clients with one client identifier at one broker.

use super::Plan;
use crate::findings::Findings;
use crate::one_line::OneLine;

/// Reports client identifiers, set or derived, that two plans share. Mosquitto refuses such a file for the local broker.
pub(crate) fn find(plans: &[Plan], findings: &mut Findings) {
    for (at, plan) in plans.iter().enumerate() {
        for before in plans.iter().take(at) {
            if plan.local.is_some() && plan.local_client_id == before.local_client_id {
                refuse(plan, before, ("local_clientid", &plan.local_client_id, "the local broker"), findings);
            }
            if plan.remote_client_id != before.remote_client_id {
                continue;
            }
            match shared_hub(plan, before) {
                Some(hub) => {
                    refuse(plan, before, ("remote_clientid", &plan.remote_client_id, hub), findings);
                }
                None if plan.local_client_id != before.local_client_id => warn(plan, before, findings),
                None => {}
            }
        }
    }
}

/// Returns the first address that both plans have. Host names are compared without regard to case.
fn shared_hub<'a>(plan: &'a Plan, other: &Plan) -> Option<&'a str> {
    let theirs = &other.section.addresses;
    let is_theirs = |own: &&String| theirs.iter().any(|address| address.eq_ignore_ascii_case(own));
    plan.section.addresses.iter().find(is_theirs).map(String::as_str)
}

/// Warns that two host names may belong to one hub.
fn warn(plan: &Plan, before: &Plan, findings: &mut Findings) {
    findings.trap(
        plan.section.place.clone(),
        format!(
            "connection {}: its remote_clientid \"{}\" is that of connection {} too, at {}: if these are addresses of one hub, they throw each other out",
            OneLine(&plan.section.name),
            OneLine(&plan.remote_client_id),
            OneLine(&before.section.name),
            before.section.place
        ),
    );
}

fn refuse(plan: &Plan, before: &Plan, (word, id, broker): (&str, &str, &str), findings: &mut Findings) {
    let (name, other) = (&plan.section.name, &before.section.name);
    findings.error(
        plan.section.place.clone(),
        format!(
            "connection {}: its {word} \"{}\" is that of connection {} too, at {}: at {broker} they would throw each other out, and messages would come twice. Give each its own {word}",
            OneLine(name),
            OneLine(id),
            OneLine(other),
            before.section.place
        ),
    );
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::plan::plans;
    use crate::{conf, section};

    fn errors(sections: &[&str]) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("b.conf");
        let sections = sections.iter().map(|section| format!("{section}\ntopic # out\n"));
        std::fs::write(&file, sections.collect::<String>()).unwrap();
        let mut findings = Findings::default();
        let lines = conf::read(&file, &|_| None, &mut findings);
        let conf = section::parse(&lines, &mut findings);
        assert_eq!(findings, Findings::default());
        find(&plans(&conf, Some("127.0.0.1:1883"), Path::new("s"), "gw"), &mut findings);
        let before = format!("{}/", dir.path().display());
        findings.iter().map(|finding| finding.to_string().replace(&before, "")).collect()
    }

    #[test]
    fn two_connections_of_one_local_identifier_are_refused_with_both_lines() {
        for sections in [
            ["connection a\naddress h\nlocal_clientid x", "connection b\naddress i\nlocal_clientid x"],
            ["connection a\naddress h\nclientid x", "connection b\naddress i\nlocal_clientid local.x"],
            ["connection a\naddress h\nclientid x", "connection b\naddress i\nclientid x"],
        ] {
            let errors = errors(&sections);
            let [error] = errors.as_slice() else { panic!("{errors:?}") };
            assert!(error.starts_with("b.conf:5: error: connection b: its local_clientid \""), "{error}");
            assert!(
                error.contains("is that of connection a too, at b.conf:1: at the local broker"),
                "{error}"
            );
        }
    }

    #[test]
    fn two_connections_of_one_identifier_at_one_hub_are_refused() {
        let local = "clientid x\nlocal_clientid";
        let errors_of = |a: &str, b: &str| {
            let sections = [
                format!("connection a\naddresses {a}\n{local} 1"),
                format!("connection b\naddresses {b}\n{local} 2"),
            ];
            errors(&sections.each_ref().map(String::as_str))
        };
        let errors = errors_of("h i", "j H:1883");
        let [error] = errors.as_slice() else { panic!("{errors:?}") };
        assert!(error.starts_with("b.conf:6: error: connection b: its remote_clientid \"x\""), "{error}");
        assert!(error.contains("b.conf:1: at H:1883 they"), "{error}");
        let others = errors_of("localhost", "127.0.0.1");
        let [trap] = others.as_slice() else { panic!("{others:?}") };
        assert!(trap.starts_with("b.conf:6: trap: connection b: its remote_clientid \"x\""), "{trap}");
    }
}
