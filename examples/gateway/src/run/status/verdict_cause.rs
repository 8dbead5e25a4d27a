//! Cause of a verdict that is not the best one, in words for systemd and its log. Pure.

use super::certificates::End;
use super::snapshot::figures::Figures;

/// Returns why the verdict is not the best one, if there is one cause.
pub(super) fn cause(figures: &Figures) -> Option<&str> {
    let sample = &figures.sample;
    match &figures.queue.fault {
        Some(reason) => Some(reason),
        _ if sample.refused.needs_somebody() => sample.refused.cause(),
        _ if sample.certificates.iter().any(|end| end.needs_somebody() && !end.role.is_list()) => {
            Some("a certificate ends soon, cannot be read, or is one that clients refuse")
        }
        _ if sample.certificates.iter().any(End::needs_somebody) => Some(
            "a list of revoked certificates is out of date, of another authority, signed by another key, or cannot be read",
        ),
        _ if sample.intake.full_lanes != 0 => Some("messages find no room in the queue"),
        _ => sample.own_certificate.cause().or(sample.link_cause.as_deref()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::certificates::Role;
    use super::super::snapshot::test_snapshots;
    use super::*;

    fn end(role: Role, is_near: bool) -> End {
        let (is_unreadable, is_foreign, unfit) = (false, false, None);
        End { role, at_s: Some(0), days_left: 3, is_near, has_ended: false, is_unreadable, is_foreign, unfit }
    }

    fn of_ends(certificates: Vec<End>) -> Option<String> {
        let mut figures = test_snapshots::figures();
        figures.sample.certificates = certificates;
        cause(&figures).map(str::to_owned)
    }

    /// A new list comes every few days, and nothing fails at its end: whoever reads of a certificate looks for one that has to be renewed.
    #[test]
    fn a_certificate_and_a_list_of_revoked_ones_are_told_apart() {
        let certificates = [Role::Hub, Role::HubAuthority, Role::Listener, Role::Broker];
        for role in certificates {
            let said = of_ends(vec![end(role, true)]).unwrap();
            assert!(said.starts_with("a certificate ends soon"), "{role}: {said}");
        }
        for role in [Role::HubRevoked, Role::SensorsRevoked, Role::BrokerRevoked] {
            let said = of_ends(vec![end(Role::Hub, false), end(role, true)]).unwrap();
            assert!(said.starts_with("a list of revoked certificates is out of date"), "{role}: {said}");
        }
        let both = of_ends(vec![end(Role::HubRevoked, true), end(Role::Hub, true)]).unwrap();
        assert!(both.starts_with("a certificate ends soon"), "connections fail at its end: {both}");
        assert_eq!(of_ends(vec![end(Role::Hub, false), end(Role::HubRevoked, false)]), None);
    }

    #[test]
    fn the_cause_that_stops_most_is_the_one_that_is_said() {
        let mut figures = test_snapshots::outage();
        assert_eq!(cause(&figures), Some("connection refused (os error 111)"));
        figures.sample.own_certificate.enrolment.waits_for_first = true;
        assert_eq!(cause(&figures), Some("waits for its first certificate"));
        figures.sample.intake.full_lanes = 2;
        assert_eq!(cause(&figures), Some("messages find no room in the queue"));
        figures.sample.certificates = vec![end(Role::Hub, true)];
        assert!(cause(&figures).unwrap().starts_with("a certificate ends soon"));
        (figures.sample.refused.parked, figures.sample.refused.last) = (1, Some("not authorized".to_owned()));
        assert_eq!(cause(&figures), Some("not authorized"));
        figures.queue.fault = Some("disk full".to_owned());
        assert_eq!(cause(&figures), Some("disk full"));
    }
}
