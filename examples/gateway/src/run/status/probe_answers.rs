//! Answers of `/metrics` and `/readyz`. Pure.

use super::http::Answer;
use super::snapshot::figures::QueueFigures;

/// Returns the answer of `/metrics`, of the figures that need a queue which answers, and of the control loops', which need none.
pub(super) fn metrics(of_queue: Option<String>, of_loops: Option<String>) -> Answer {
    match (of_queue, of_loops) {
        (Some(page), loops) => Answer { ok: true, body: page + &loops.unwrap_or_default() },
        (None, Some(loops)) => Answer { ok: true, body: loops },
        (None, None) => Answer { ok: false, body: "the queue does not answer\n".to_owned() },
    }
}

/// State of the parts that a message goes through until it is accepted.
#[derive(Debug)]
pub(super) struct WayIn<'a> {
    /// Set if the gateway's own listener answers, or there is none.
    pub(super) listener_answers: bool,
    /// Set if the local broker has accepted the CONNECT, or there is none.
    pub(super) is_connected: bool,
    pub(super) has_room: bool,
    pub(super) queue: &'a QueueFigures,
    /// State directory.
    pub(super) state: &'a str,
}

impl WayIn<'_> {
    /// Returns the answer of `/readyz`.
    pub(super) fn readiness(&self) -> Answer {
        match self.refusal() {
            None => Answer { ok: true, body: "accepting\n".to_owned() },
            Some(why) => Answer { ok: false, body: format!("not accepting{why}\n") },
        }
    }

    /// Returns why nothing is accepted, in words behind others, or empty. `None`: the gateway accepts.
    fn refusal(&self) -> Option<String> {
        if !self.listener_answers {
            return Some(": the listener does not answer".to_owned());
        }
        match self.queue.fault.as_ref().filter(|_| self.queue.is_file_gone) {
            Some(reason) => Some(format!(": {reason} ({})", self.state)),
            None => (!self.is_connected || !self.has_room).then(String::new),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn got(answer: Answer) -> (bool, String) {
        (answer.ok, answer.body)
    }

    /// A scrape that fails says nothing of loops that go on.
    #[test]
    fn the_metrics_of_the_loops_come_without_a_queue_that_answers() {
        let page = |text: &str| Some(text.to_owned());
        let all = |queue, loops| got(metrics(queue, loops));
        assert_eq!(all(page("queue\n"), page("loops\n")), (true, "queue\nloops\n".to_owned()));
        assert_eq!(all(page("queue\n"), None), (true, "queue\n".to_owned()));
        assert_eq!(all(None, page("loops\n")), (true, "loops\n".to_owned()));
        assert_eq!(all(None, None), (false, "the queue does not answer\n".to_owned()));
    }

    #[test]
    fn each_part_on_the_way_in_that_takes_nothing_makes_the_gateway_unready_and_is_named() {
        let healthy = QueueFigures::default();
        let gone = QueueFigures { fault: Some("moved".to_owned()), is_file_gone: true, ..healthy.clone() };
        let full = QueueFigures { fault: Some("disk full".to_owned()), ..healthy.clone() };
        let ready = |queue| WayIn {
            listener_answers: true,
            is_connected: true,
            has_room: true,
            queue,
            state: "/var",
        };
        let said = |way: WayIn<'_>| got(way.readiness());
        let not = |why: &str| (false, format!("not accepting{why}\n"));
        assert_eq!(said(ready(&healthy)), (true, "accepting\n".to_owned()));
        assert_eq!(said(ready(&full)), (true, "accepting\n".to_owned()), "while there is room in memory");
        assert_eq!(
            said(WayIn { listener_answers: false, ..ready(&healthy) }),
            not(": the listener does not answer")
        );
        assert_eq!(said(ready(&gone)), not(": moved (/var)"));
        assert_eq!(said(WayIn { is_connected: false, ..ready(&healthy) }), not(""));
        assert_eq!(said(WayIn { has_room: false, ..ready(&healthy) }), not(""));
    }
}
