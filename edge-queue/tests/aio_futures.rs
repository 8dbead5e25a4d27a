//! Promises 3 and 4 for async programs: every future is dropped at every moment it can be in (never polled, waiting for a
//! place at the worker thread, handed over and not begun, answered and not looked at); afterwards rows come in order,
//! each at most once, and the ledger adds up.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

#[path = "common/watchdog.rs"]
mod watchdog;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use edge_queue::testing::{Call, SimDir};
use edge_queue::transfer::ExportError;
use edge_queue::{
    Chunk, Config, Consumer, Event, Gap, Lease, ManualClock, Now, OpenError, Pending, Queue, Row, Stats,
    StoreKind, aio,
};
use watchdog::must_end;

const BACKLOG: u32 = 40;
/// Bytes of rows that together leave no room in RAM for another one.
const FILLERS: [usize; 3] = [15_000, 3_000, 1_000];
const UNWRITTEN_MAX: u64 = 20_700;
/// Commands the worker thread's channel holds, as its documentation says.
const COMMANDS: usize = 64;

/// Time of the future's drop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    NeverPolled,
    /// The worker thread is busy and its channel full.
    NoPlace,
    /// A place came free between two polls.
    PlaceFound,
    /// In the channel.
    HandedOver,
    /// The answer is there; nobody took it.
    Answered,
}

const MOMENTS: [Moment; 5] =
    [Moment::NeverPolled, Moment::NoPlace, Moment::PlaceFound, Moment::HandedOver, Moment::Answered];

type Operation = for<'a> fn(&'a aio::Queue, &'a mut aio::Consumer) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

const OPERATIONS: [(&str, Operation); 8] = [
    ("push", |q, _| Box::pin(async { drop(q.push(row(1_000)).await) })),
    ("push_batch", |q, _| Box::pin(async { drop(q.push_batch((1_000..1_030).map(row).collect()).await) })),
    ("commit", |q, _| Box::pin(async { drop(q.commit().await) })),
    ("consumer", |q, _| Box::pin(async { drop(q.consumer("another").await) })),
    ("forget", |q, _| Box::pin(async { drop(q.forget("other").await) })),
    ("stats", |q, _| Box::pin(async { drop(q.stats().await) })),
    ("lease", |_, hub| Box::pin(async { drop(hub.lease(7).await) })),
    ("close", |q, _| Box::pin(async { drop(q.clone().close().await) })),
];

fn row(n: u32) -> Row {
    Row::new(n.to_be_bytes().to_vec())
}

fn value(lease: &Lease) -> u32 {
    u32::from_be_bytes(lease.payload()[..4].try_into().unwrap())
}

fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Waits without a runtime's help.
fn finish<F: Future>(future: F) -> F::Output {
    let mut future = Box::pin(future);
    loop {
        match poll(future.as_mut()) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::yield_now(),
        }
    }
}

fn open(dir: &SimDir) -> Queue {
    let clock = Arc::new(ManualClock::new(Now { boot_id: 1, up_ms: 1_000, ..Now::default() }));
    let config = Config::default()
        .max_bytes(1024 * 1024)
        .row_bytes_max(16 * 1024)
        .segment_bytes(256 * 1024)
        .max_unwritten_bytes(UNWRITTEN_MAX)
        .store(StoreKind::Ring);
    Queue::open_in(Box::new(dir.clone()), config, clock).unwrap()
}

/// A backlog that must be read, RAM full of rows that wait, and a registered consumer to forget.
fn prepare() -> (SimDir, aio::Queue, aio::Consumer) {
    let dir = SimDir::new();
    let q = open(&dir);
    drop((q.consumer("hub").unwrap(), q.consumer("other").unwrap()));
    q.push_batch((0..BACKLOG).map(row)).unwrap().into_iter().for_each(drop);
    q.close().unwrap();
    let q = aio::Queue::of(open(&dir)).unwrap();
    let hub = finish(q.consumer("hub"));
    for (n, len) in (BACKLOG..).zip(FILLERS) {
        let mut payload = n.to_be_bytes().to_vec();
        payload.resize(len, 0);
        let _receipt = finish(q.push(Row::new(payload))).unwrap();
    }
    (dir, q, hub.unwrap())
}

fn drop_at(name: &str, moment: Moment, operation: Operation) -> (SimDir, aio::Queue, aio::Consumer) {
    let (dir, q, mut hub) = prepare();
    let mut future = operation(&q, &mut hub);
    if moment == Moment::NeverPolled {
        drop(future);
        return (dir, q, hub);
    }
    let hold = dir.hold(Call::Sync);
    let mut others: Vec<_> = vec![Box::pin(q.commit())];
    assert!(poll(others[0].as_mut()).is_pending());
    hold.wait_until_held();
    if matches!(moment, Moment::NoPlace | Moment::PlaceFound) {
        others.extend((0..COMMANDS).map(|_| Box::pin(q.commit())));
        others.iter_mut().skip(1).for_each(|other| assert!(poll(other.as_mut()).is_pending()));
    }
    // Figures come at once; everything else waits for the worker.
    assert_eq!(poll(future.as_mut()).is_ready(), name == "stats", "{name}");
    if matches!(moment, Moment::PlaceFound | Moment::Answered) {
        drop(hold);
        others.into_iter().for_each(|other| finish(other).unwrap());
        if moment == Moment::PlaceFound && name != "stats" {
            let _handed_over = poll(future.as_mut());
        }
        // What was handed over before this is done when this is.
        finish(q.commit()).ok();
        drop(future);
    } else {
        drop(future);
        drop(hold);
        // A close was handed over before some of them.
        others.into_iter().for_each(|other| drop(finish(other)));
    }
    (dir, q, hub)
}

/// All that is there: in order, without a hole but at the end, each once.
fn judge(name: &str, moment: Moment, (dir, mut q, mut hub): (SimDir, aio::Queue, aio::Consumer)) {
    if finish(q.commit()).is_err() {
        // Closed: by the operation only.
        assert_eq!(name, "close", "{moment:?}");
        drop((q, hub));
        q = aio::Queue::of(open(&dir)).unwrap();
        hub = finish(q.consumer("hub")).unwrap();
    }
    let _receipt = finish(q.push(row(2_000))).unwrap();
    let mut got = Vec::new();
    while got.last() != Some(&2_000) {
        for lease in finish(hub.lease(9)).unwrap() {
            got.push(value(&lease));
            lease.ack();
        }
    }
    let sure = BACKLOG as usize + FILLERS.len();
    assert!(got[..sure].iter().copied().eq((0..).take(sure)), "{name}, {moment:?}: {got:?}");
    let pushed = &got[sure..got.len() - 1];
    assert!(pushed.iter().copied().eq((1_000..).take(pushed.len())), "{name}, {moment:?}: {got:?}");
    let handed_over = !matches!(moment, Moment::NeverPolled | Moment::NoPlace);
    let allowed = match name {
        "push" if handed_over => 1..=1,
        "push_batch" if handed_over => 1..=30,
        _ => 0..=0,
    };
    assert!(allowed.contains(&pushed.len()), "{name}, {moment:?}: {pushed:?}");
    let ledger = q.ledger();
    assert!(ledger.iter().all(edge_queue::Ledger::balanced), "{name}, {moment:?}: {ledger:?}");
    let of_hub = ledger.iter().filter(|ledger| ledger.consumer == "hub");
    assert!(of_hub.clone().all(|ledger| ledger.queued == 0 && ledger.leased == 0));
    assert_eq!(of_hub.map(|ledger| ledger.accepted).sum::<u64>(), got.len() as u64);
    finish(q.close()).unwrap();
    // And the same after a restart.
    let q = open(&dir);
    assert!(q.ledger().iter().all(|ledger| ledger.consumer != "hub" || ledger.queued == 0));
}

#[test]
fn every_future_may_be_dropped_at_every_moment() {
    must_end(|| {
        let mut cases = 0;
        for (name, operation) in OPERATIONS {
            for moment in MOMENTS {
                judge(name, moment, drop_at(name, moment, operation));
                cases += 1;
            }
        }
        println!("executed aio_futures: {cases} cases");
    });
}

/// A receipt is a future too: whoever waits for it may go after any poll, before its commit is begun or inside it.
#[test]
fn a_receipt_may_be_dropped_at_every_poll() {
    must_end(|| {
        for (polls, inside) in (0..4).flat_map(|polls| [(polls, false), (polls, true)]) {
            let (dir, q, hub) = prepare();
            finish(q.commit()).unwrap();
            let mut receipt = Box::pin(finish(q.push(row(1_000))).unwrap());
            let hold = dir.hold(Call::Sync);
            let mut commit = Box::pin(q.commit());
            if inside {
                assert!(poll(commit.as_mut()).is_pending());
                hold.wait_until_held();
            }
            assert!((0..polls).all(|_| poll(receipt.as_mut()).is_pending()));
            drop(receipt);
            drop(hold);
            finish(commit).unwrap();
            judge("push", Moment::HandedOver, (dir, q, hub));
        }
    });
}

/// A queue that nobody waits for any more is closed again, and the directory is free.
#[test]
fn an_open_that_is_dropped_gives_the_directory_back() {
    must_end(|| {
        let home = tempfile::tempdir().unwrap();
        let config = || Config::default().max_bytes(1024 * 1024);
        for polls in 0..4 {
            let mut opening = Box::pin(aio::Queue::open(home.path(), config()));
            let opened = (0..polls).any(|_| {
                std::thread::yield_now();
                poll(opening.as_mut()).is_ready()
            });
            drop(opening);
            let q = loop {
                match finish(aio::Queue::open(home.path(), config())) {
                    Ok(q) => break q,
                    Err(OpenError::Busy) => std::thread::yield_now(),
                    Err(error) => panic!("after {polls} polls, opened {opened}: {error}"),
                }
            };
            finish(q.close()).unwrap();
        }
    });
}

/// A program that asks with a time limit, each time in a new task, on a queue in which nothing happens.
#[test]
fn leases_that_time_out_leave_nothing_behind_and_the_next_is_woken() {
    must_end(|| {
        let (_dir, q, hub) = prepare();
        let mut hub = hub;
        while finish(q.stats()).unwrap().messages > 0
            && q.ledger().iter().any(|l| l.consumer == "hub" && l.queued > 0)
        {
            finish(hub.lease(100)).unwrap().ack();
        }
        let wakers: Vec<Arc<Counting>> = (0..1_000).map(|_| Arc::default()).collect();
        for counting in &wakers {
            let waker = Waker::from(counting.clone());
            let mut lease = Box::pin(hub.lease(1));
            assert!(lease.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        }
        // The queue holds the last waker only.
        let held = wakers.iter().filter(|waker| Arc::strong_count(waker) > 1).count();
        assert_eq!(held, 1);
        let _receipt = finish(q.push(row(1))).unwrap();
        assert_eq!(wakers[999].0.load(std::sync::atomic::Ordering::SeqCst), 1);
        drop(hub);
        assert!(wakers.iter().all(|waker| Arc::strong_count(waker) == 1));
    });
}

#[derive(Default)]
struct Counting(std::sync::atomic::AtomicU32);

impl std::task::Wake for Counting {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    }
}

/// Whatever may cross threads or be shared says so at compile time.
#[test]
fn handles_futures_and_rows_go_where_a_program_puts_them() {
    fn shared<T: Send + Sync + 'static>() {}
    fn sent<T: Send>(_: T) {}
    shared::<(Queue, Consumer, Pending, Lease, Chunk, Row)>();
    shared::<(aio::Queue, aio::Consumer, Stats, Event, Gap, Config)>();
    shared::<(OpenError, edge_queue::PushError, edge_queue::CommitError, edge_queue::ConsumerError)>();
    shared::<(edge_queue::BatchError, edge_queue::WaitError, SimDir)>();
    // Not run, only typed.
    let _futures = |q: aio::Queue, mut hub: aio::Consumer| {
        sent(aio::Queue::open("spool", Config::default()));
        sent(q.push(row(1)));
        sent(q.push_batch(Vec::new()));
        sent(q.commit());
        sent(q.consumer("hub"));
        sent(q.forget("hub"));
        sent(q.stats());
        sent(hub.lease(1));
        sent(hub.next_chunk(1));
        sent(q.close());
    };
}

struct PanickingWriter;

impl std::io::Write for PanickingWriter {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        panic!("own writer")
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn an_export_whose_writer_panics_is_a_failed_write_and_the_queue_goes_on() {
    let q = aio::Queue::open("", Config::default().store(StoreKind::Memory)).await.unwrap();
    drop(q.push(row(1)).await.unwrap());
    let exported = q.export(PanickingWriter).await;
    assert!(matches!(exported, Err(ExportError::Write(_))), "{exported:?}");
    drop(q.push(row(2)).await.unwrap());
    q.commit().await.unwrap();
    q.close().await.unwrap();
}
