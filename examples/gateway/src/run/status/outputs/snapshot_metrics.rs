//! Metrics made from the snapshot of the status: the gateway's name and version, the fill of its lanes and the time until they are full, the time for which the link
//! was up. Pure.

use crate::run::status::flash_wear::{FlashWear, PreEol};
use crate::run::status::prometheus_text::{Page, label};

use crate::run::status::snapshot::facts::Facts;
use crate::run::status::snapshot::figures::Figures;
use crate::run::status::snapshot::recorder::Recorder;
use crate::run::status::snapshot::remaining_room::room;
use crate::run::status::snapshot::{Lane, snapshot_from_figures};

/// Reads one figure of a lane. `None`: the lane has no such limit.
type OfLane = fn(&Lane) -> Option<u64>;

const LANES: [(&str, &str, OfLane); 4] = [
    ("edge_lane_messages", "Messages that wait for the hub, by lane.", |lane| Some(lane.messages)),
    ("edge_lane_bytes", "Bytes of them, as the limits count.", |lane| Some(lane.bytes)),
    ("edge_lane_limit_messages", "Messages that the lane takes at most; +Inf if only bytes count.", |lane| {
        lane.max_messages
    }),
    ("edge_lane_limit_bytes", "Bytes that the lane takes at most.", |lane| Some(lane.max_bytes)),
];

/// Writes the metrics of a gateway with a queue. `recorder` must have recorded the same figures before.
pub(crate) fn render(facts: &Facts, figures: &Figures, recorder: &Recorder, page: &mut Page) {
    render_without_queue(facts, recorder, page);
    let lanes = snapshot_from_figures::lanes(facts, &figures.queue.lanes);
    for (name, help, of) in LANES {
        page.head(name, "gauge", help);
        for lane in &lanes {
            let value = of(lane).map_or("+Inf".to_owned(), |value| value.to_string());
            page.line(format_args!("{name}{{lane=\"{}\"}} {value}", label(&lane.name)));
        }
    }
    let help = "Time until the first limit if the hub took nothing from now on, at the rate of ten minutes; 0 while a lane refuses messages, NaN while not known.";
    page.head("edge_queue_room_seconds", "gauge", help);
    let room = room(facts, figures, recorder, &lanes).seconds;
    let room = room.map_or("NaN".to_owned(), |seconds| seconds.to_string());
    page.line(format_args!("edge_queue_room_seconds {room}"));
    let help = "1 while the disk takes nothing: what comes is in memory only.";
    page.gauge("edge_store_failing", help, figures.queue.fault.is_some().into());
    let help = "From a message's way into the queue to the receipts of its rows.";
    page.histogram("edge_receipt_seconds", help, &figures.receipts);
    page.histogram("edge_puback_seconds", "From sending a message to the hub's PUBACK.", &figures.pubacks);
}

/// Writes the metrics that are known without a queue.
pub(crate) fn render_without_queue(facts: &Facts, recorder: &Recorder, page: &mut Page) {
    page.head("edge_info", "gauge", "1, with the names of gateway, version and configuration.");
    let (gateway, version) = (label(&facts.gateway), env!("CARGO_PKG_VERSION"));
    page.line(format_args!(
        "edge_info{{gateway=\"{gateway}\",version=\"{version}\",config=\"{}\"}} 1",
        label(&facts.config)
    ));
    if let Some(FlashWear { life_used_tenths, pre_eol }) = facts.flash {
        if let Some(tenths) = life_used_tenths {
            let name = "edge_flash_life_used";
            page.head(
                name,
                "gauge",
                "Most of the flash's life that is used, as the device estimates; 1.1: beyond it.",
            );
            page.line(format_args!("{name} {:.1}", f64::from(tenths) / 10.0));
        }
        if let Some(now) = pre_eol {
            let name = "edge_flash_pre_eol";
            page.head(name, "gauge", "1 for the present use of the flash's reserved blocks, 0 for others.");
            for state in [PreEol::Normal, PreEol::Warning, PreEol::Urgent] {
                page.line(format_args!("{name}{{state=\"{}\"}} {}", state.as_str(), u8::from(state == now)));
            }
        }
    }
    let (up_s, down_s) = recorder.link_seconds();
    page.counter("edge_link_up_seconds_total", "Time with an answering hub since the start.", up_s);
    page.counter("edge_link_down_seconds_total", "Time without one since the start.", down_s);
}

#[cfg(test)]
mod tests {
    use crate::run::status::snapshot::test_snapshots::{facts, figures, outage, recorder};

    use super::*;

    fn page(figures: &Figures) -> String {
        let mut page = Page::default();
        render(&facts(), figures, &recorder(figures), &mut page);
        page.into_text()
    }

    /// A queue that is full takes nothing, so that after ten minutes there is no rate to reckon with.
    #[test]
    fn a_full_queue_has_no_room_however_long_it_has_been_full() {
        let mut full = figures();
        full.sample.intake.full_lanes = 0b10;
        let mut page = Page::default();
        render(&facts(), &full, &Recorder::new(0), &mut page);
        assert!(page.into_text().contains("\nedge_queue_room_seconds 0\n"));
        full.queue.fault = Some("no space left on device".to_owned());
        let mut page = Page::default();
        render(&facts(), &full, &Recorder::new(0), &mut page);
        assert!(
            page.into_text().contains("\nedge_queue_room_seconds NaN\n"),
            "the store fails, its room is not known"
        );
    }

    #[test]
    fn figures_are_those_of_the_status() {
        let mut outage = outage();
        outage.queue.lanes[0].max_messages = 500;
        [80, 100, 90_000].into_iter().for_each(|ms| outage.pubacks.note(ms));
        let page = page(&outage);
        for line in [
            concat!(
                "edge_info{gateway=\"site7\",version=\"",
                env!("CARGO_PKG_VERSION"),
                "\",config=\"9c41e0d2\"} 1"
            ),
            "edge_link_up_seconds_total 900",
            "edge_link_down_seconds_total 7980",
            "edge_lane_messages{lane=\"telemetry\"} 90972",
            "edge_lane_bytes{lane=\"telemetry\"} 22743000",
            "edge_lane_limit_messages{lane=\"alarm\"} 500",
            "edge_lane_limit_messages{lane=\"telemetry\"} +Inf",
            "edge_lane_limit_bytes{lane=\"telemetry\"} 67108864",
            "edge_store_failing 0",
            "edge_receipt_seconds_count 0",
            "edge_puback_seconds_bucket{le=\"0.05\"} 0",
            "edge_puback_seconds_bucket{le=\"0.1\"} 2",
            "edge_puback_seconds_bucket{le=\"60\"} 2",
            "edge_puback_seconds_bucket{le=\"+Inf\"} 3",
            "edge_puback_seconds_sum 90.18",
            "edge_puback_seconds_count 3",
        ] {
            assert!(page.lines().any(|found| found == line), "{line} is missing in\n{page}");
        }
        let room = crate::run::status::snapshot::test_snapshots::snapshot(&outage).room.seconds.unwrap();
        assert!(page.contains(&format!("\nedge_queue_room_seconds {room}\n")), "{page}");
    }

    #[test]
    fn wear_is_told_where_the_device_tells_it() {
        let page_of = |flash| {
            let mut page = Page::default();
            render(&Facts { flash, ..facts() }, &figures(), &Recorder::new(0), &mut page);
            page.into_text()
        };
        assert!(!page_of(None).contains("edge_flash_"));
        let told = page_of(Some(FlashWear { life_used_tenths: Some(11), pre_eol: Some(PreEol::Warning) }));
        for line in [
            "edge_flash_life_used 1.1",
            "edge_flash_pre_eol{state=\"normal\"} 0",
            "edge_flash_pre_eol{state=\"warning\"} 1",
        ] {
            assert!(told.lines().any(|found| found == line), "{line} is missing in\n{told}");
        }
    }

    /// A number would be a promise, and no series would look like a gateway that is away.
    #[test]
    fn room_that_is_not_known_is_no_number() {
        let mut page = Page::default();
        render(&facts(), &figures(), &Recorder::new(0), &mut page);
        assert!(page.into_text().contains("\nedge_queue_room_seconds NaN\n"));
    }

    #[test]
    fn a_store_that_fails_is_told() {
        let mut figures = figures();
        figures.queue.fault = Some("no space left on device".to_owned());
        assert!(page(&figures).contains("\nedge_store_failing 1\n"));
    }
}
