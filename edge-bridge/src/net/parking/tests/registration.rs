//! Registration of the consumer in a queue of parked rows that is new.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Instant;

use edge_queue::SystemClock;
use edge_queue::medium::{Call, Hooked, Verdict};

use super::*;

const HANGS: Duration = Duration::from_secs(9);

/// A disk on which the first sync of a call fails once a queue is open, and the next ones hang.
fn failing(armed: &Arc<AtomicBool>, syncs: &Arc<AtomicU32>) -> Box<dyn edge_queue::medium::Dir> {
    let (armed, syncs) = (armed.clone(), syncs.clone());
    let hooked = Hooked::new(SimDir::new(), move |call| {
        // The queue's other thread prepares its file meanwhile.
        let is_caller = std::thread::current().name() == Some("edge-queue-aio");
        if call != Call::Sync || !is_caller || !armed.load(Ordering::SeqCst) {
            return Verdict::Make;
        }
        if syncs.fetch_add(1, Ordering::SeqCst) == 0 {
            return Verdict::Fail(std::io::Error::from_raw_os_error(5));
        }
        std::thread::sleep(HANGS);
        Verdict::Make
    });
    Box::new(hooked)
}

/// The queue was closed where its last handle was dropped: on the thread that all tasks share.
#[tokio::test]
async fn a_disk_that_fails_and_then_hangs_holds_up_no_other_task() {
    let (armed, syncs) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let disk = Arc::new(std::sync::Mutex::new(Some(failing(&armed, &syncs))));
    let open: Open = {
        let armed = armed.clone();
        Box::new(move || {
            let disk = disk.lock().unwrap().take();
            let queue = match disk {
                Some(disk) => Queue::open_in(disk, parked_config(), Arc::new(SystemClock::new())),
                None => Err(edge_queue::OpenError::Busy),
            };
            armed.store(true, Ordering::SeqCst);
            Box::pin(async move { queue.map(|queue| aio::Queue::of(queue).unwrap()) })
        })
    };
    let mut rig = Rig::new(on(&SimDir::new(), config(), still()), false, open).await;
    rig.push([row(1)]).await;
    let rows = rig.lease(false, 1).await;
    rig.park(&rows);
    let (began, mut last, mut longest) = (Instant::now(), Instant::now(), Duration::ZERO);
    while began.elapsed() < HANGS + Duration::from_secs(2) {
        tokio::time::sleep(Duration::from_millis(10)).await;
        longest = longest.max(last.elapsed());
        last = Instant::now();
    }
    assert!(syncs.load(Ordering::SeqCst) >= 2, "it failed, and hung");
    assert!(longest < HANGS / 2, "{longest:?}");
}
