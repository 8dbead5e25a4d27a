use std::sync::{Arc, Mutex};

use tokio::time::advance;

use super::*;

/// A disk in memory, that can refuse.
#[derive(Clone, Default)]
struct Disk(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    content: Vec<u8>,
    writes: usize,
    refuses: bool,
    /// Set to refuse the last sync of a save alone, when the new bytes are there.
    refuses_sync: bool,
    aside: Vec<u8>,
}

impl ClientStore for Disk {
    fn load(&mut self) -> io::Result<Option<Vec<u8>>> {
        Ok(Some(self.0.lock().unwrap().content.clone()))
    }

    fn save(&mut self, saved: &[u8]) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        if state.refuses {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.content = saved.to_vec();
        if state.refuses_sync {
            return Err(io::ErrorKind::Other.into());
        }
        state.writes += 1;
        Ok(())
    }

    fn set_aside(&mut self) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        if state.refuses {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        state.aside = std::mem::take(&mut state.content);
        Ok(())
    }
}

/// State after so many changes.
fn mark(changes: u64) -> Mark {
    Mark { changes, ..Mark::default() }
}

fn saved(bytes: usize, left_out: usize) -> Saved {
    Saved { bytes: vec![1; bytes], left_out }
}

/// Makes a change every 100 ms, and saves when it is due. Returns the bytes that were written.
async fn change_for(seconds: u64, saving: &mut ClientSaving, disk: &Disk, size: usize) -> usize {
    let before = disk.0.lock().unwrap().writes;
    for changes in 1..=seconds * 10 {
        if saving.due(mark(changes)).is_some_and(|due| due <= Instant::now()) {
            saving.begin(mark(changes), saved(size, 0));
            assert!(saving.due(mark(changes + 1)).is_none(), "one at a time");
            assert!(saving.ended().await.is_none());
        }
        advance(Duration::from_millis(100)).await;
    }
    (disk.0.lock().unwrap().writes - before) * size
}

#[tokio::test(start_paused = true)]
async fn a_change_is_on_disk_after_a_second_and_what_does_not_change_is_not_written() {
    let disk = Disk::default();
    let mut saving = ClientSaving::new(Box::new(disk.clone()), mark(7));
    assert_eq!(saving.due(mark(7)), None);
    let due = saving.due(mark(8)).unwrap();
    assert_eq!(due, Instant::now() + Duration::from_secs(1));
    advance(Duration::from_millis(900)).await;
    assert_eq!(saving.due(mark(9)), Some(due), "later changes do not put it off");
    assert_eq!(saving.begin(mark(9), saved(10, 0)), None);
    assert!(saving.ended().await.is_none());
    assert_eq!((saving.due(mark(9)), disk.0.lock().unwrap().content.len()), (None, 10));
    assert_eq!(ClientSaving::none().due(mark(1)), None);
}

/// Damaged bytes are replaced by what was whole in them, so that they are told of once.
#[tokio::test(start_paused = true)]
async fn what_was_damaged_is_written_anew_without_a_change() {
    let disk = Disk::default();
    let mut saving = ClientSaving::outdated(Box::new(disk.clone()), mark(0));
    assert_eq!(saving.due(mark(0)), Some(Instant::now() + Duration::from_secs(1)));
    saving.begin(mark(0), saved(10, 0));
    assert!(saving.ended().await.is_none());
    assert_eq!((saving.due(mark(0)), disk.0.lock().unwrap().writes), (None, 1));
}

/// Promise 8: flash is spared.
#[tokio::test(start_paused = true)]
async fn however_often_it_changes_no_more_than_4_kib_a_second_are_written() {
    for (size, writes_max) in [(1_000, 670), (100_000, 122), (1_000_000, 14)] {
        let disk = Disk::default();
        let mut saving = ClientSaving::new(Box::new(disk.clone()), mark(0));
        let written = change_for(3_600, &mut saving, &disk, size).await;
        let on_the_device = written + written / size * FILE_BYTES;
        assert!(
            on_the_device <= 3_600 * 4096 + size + FILE_BYTES,
            "{written} bytes an hour in pieces of {size}"
        );
        assert!(written >= size * writes_max / 2, "{written} bytes an hour in pieces of {size}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_disk_refuses_is_told_once_and_tried_again_each_minute() {
    let disk = Disk::default();
    let mut saving = ClientSaving::new(Box::new(disk.clone()), mark(0));
    disk.0.lock().unwrap().refuses = true;
    let mut told = 0;
    for at in 0..5 {
        saving.begin(mark(1), saved(10, 0));
        told += usize::from(saving.ended().await.is_some());
        let due = saving.due(mark(1)).unwrap();
        assert!(due >= Instant::now() + Duration::from_secs(59), "attempt {at}, without a further change");
        advance(due - Instant::now()).await;
    }
    assert_eq!(told, 1);
    disk.0.lock().unwrap().refuses = false;
    saving.begin(mark(1), saved(10, 0));
    assert!(saving.ended().await.is_none() && saving.due(mark(1)).is_none());
    disk.0.lock().unwrap().refuses = true;
    saving.begin(mark(2), saved(10, 0));
    assert!(saving.ended().await.is_some(), "it is news again");
}

#[tokio::test(start_paused = true)]
async fn what_has_no_room_is_told_when_it_begins() {
    let mut saving = ClientSaving::new(Box::new(Disk::default()), mark(0));
    for (changes, left_out, news) in
        [(1, 0, None), (2, 3, Some(3)), (3, 4, None), (4, 0, None), (5, 2, Some(2))]
    {
        assert_eq!(saving.begin(mark(changes), saved(1, left_out)), news);
        saving.ended().await;
    }
}

#[tokio::test]
async fn the_last_word_replaces_what_is_being_written() {
    let disk = Disk::default();
    let mut saving = ClientSaving::new(Box::new(disk.clone()), mark(0));
    saving.begin(mark(1), saved(10, 0));
    assert!(saving.finish(saved(20, 0)).await.is_none());
    {
        let mut state = disk.0.lock().unwrap();
        assert_eq!((state.content.len(), state.writes), (20, 2));
        state.refuses = true;
    }
    assert!(saving.finish(saved(30, 0)).await.is_some());
    assert!(ClientSaving::none().finish(saved(1, 0)).await.is_none());
}

/// Each minute, since they are as many as messages: what was saved and has been acknowledged long ago must not come again.
#[tokio::test(start_paused = true)]
async fn exchanges_are_on_disk_after_a_minute_and_changes_go_before_them() {
    let mut saving = ClientSaving::new(Box::new(Disk::default()), mark(0));
    let exchanged = |changes, exchanges| Mark { exchanges, ..mark(changes) };
    let due = saving.due(exchanged(0, 1)).unwrap();
    assert_eq!(due, Instant::now() + Duration::from_secs(60));
    advance(Duration::from_secs(10)).await;
    assert_eq!(saving.due(exchanged(0, 2)), Some(due), "later ones do not put it off");
    assert_eq!(saving.due(exchanged(1, 3)), Some(Instant::now() + Duration::from_secs(1)));
    saving.begin(exchanged(1, 3), saved(10, 0));
    assert!(saving.ended().await.is_none());
    assert_eq!(saving.due(exchanged(1, 3)), None);
}

/// An application lets go of a message when a session that has it is on disk, and not before.
#[tokio::test(start_paused = true)]
async fn who_asks_is_answered_when_the_present_state_is_on_disk() {
    let disk = Disk::default();
    let mut saving = ClientSaving::new(Box::new(disk.clone()), mark(0));
    let ask = |saving: &mut ClientSaving, at: Mark| {
        let (answer, mut answered) = oneshot::channel();
        saving.when_saved(at, answer, SaveWhen::Due);
        move || answered.try_recv().is_ok()
    };
    assert!(ask(&mut saving, mark(0))(), "it is there already");
    assert!(ask(&mut ClientSaving::none(), mark(1))(), "there is no store");
    let mut exchanged = ask(&mut saving, Mark { exchanges: 1, ..mark(0) });
    let mut changed = ask(&mut saving, mark(1));
    disk.0.lock().unwrap().refuses = true;
    saving.begin(mark(1), saved(10, 0));
    let (mut this, mut next) = (ask(&mut saving, mark(1)), ask(&mut saving, mark(2)));
    assert!(saving.ended().await.is_some());
    assert!(!exchanged() && !changed() && !this() && !next(), "the disk refused it");
    assert!(!ask(&mut saving, mark(1))());
    disk.0.lock().unwrap().refuses = false;
    saving.begin(mark(2), saved(10, 0));
    let mut later = ask(&mut saving, mark(3));
    assert!(!next());
    assert!(saving.ended().await.is_none());
    assert!(exchanged() && changed() && this() && next() && !later());
    assert!(saving.finish(saved(10, 0)).await.is_none());
    assert!(later(), "by the last save");
}

/// A failing supply of power leaves no time for a rest; the next save rests again.
#[tokio::test(start_paused = true)]
async fn what_is_asked_for_now_rests_from_no_write_before() {
    let disk = Disk::default();
    let mut saving = ClientSaving::new(Box::new(disk.clone()), mark(0));
    saving.begin(mark(1), saved(1 << 20, 0));
    assert!(saving.ended().await.is_none());
    let exchanged = Mark { exchanges: 1, ..mark(1) };
    assert!(saving.due(exchanged) > Some(Instant::now() + Duration::from_secs(200)), "it rests");
    let (answer, mut answered) = oneshot::channel();
    saving.when_saved(exchanged, answer, SaveWhen::Now);
    assert_eq!(saving.due(exchanged), Some(Instant::now()));
    saving.begin(exchanged, saved(10, 0));
    assert!(saving.ended().await.is_none());
    assert_eq!((answered.try_recv(), disk.0.lock().unwrap().writes), (Ok(()), 2));
    assert!(saving.due(mark(2)) > Some(Instant::now()), "the next one rests");
    let (answer, mut answered) = oneshot::channel();
    saving.when_saved(exchanged, answer, SaveWhen::Now);
    assert_eq!((answered.try_recv(), saving.due(exchanged)), (Ok(()), None), "nothing is new");
}

#[tokio::test(start_paused = true)]
async fn a_step_of_the_wall_clock_is_a_change() {
    let at = |started_ms| Mark { started_ms, ..mark(5) };
    for (started_ms, is_step) in [(1_000, false), (9_000, false), (20_000, true), (-86_400_000, true)] {
        let mut saving = ClientSaving::new(Box::new(Disk::default()), at(0));
        assert_eq!(saving.due(at(started_ms)).is_some(), is_step, "{started_ms}");
    }
}

/// As for a directory that nobody may enter when the server starts, and that is mended later.
#[tokio::test(start_paused = true)]
async fn what_could_not_be_set_aside_is_set_aside_before_the_first_write() {
    let disk = Disk::default();
    disk.0.lock().unwrap().content = b"damaged".to_vec();
    disk.0.lock().unwrap().refuses = true;
    let (store, set) = set_aside(Box::new(disk.clone())).await;
    assert_eq!(set.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    let mut saving = ClientSaving::blocked(store.unwrap(), mark(0));
    for (changes, is_refused) in (1..).zip([true, false, false]) {
        disk.0.lock().unwrap().refuses = is_refused;
        tokio::time::sleep_until(saving.due(mark(changes)).unwrap()).await;
        saving.begin(mark(changes), saved(3, 0));
        assert!(saving.ended().await.is_none(), "it was told at the start");
        let content = disk.0.lock().unwrap().content.clone();
        assert_eq!(content, if is_refused { b"damaged".to_vec() } else { vec![1; 3] });
    }
    assert_eq!(disk.0.lock().unwrap().aside, b"damaged", "set aside once");
}

/// A save that fails may have replaced what was there: set aside again, the new bytes would take the place of the damaged ones.
#[tokio::test(start_paused = true)]
async fn what_was_set_aside_before_a_save_that_failed_stays_there() {
    let disk = Disk::default();
    disk.0.lock().unwrap().content = b"damaged".to_vec();
    let mut saving = ClientSaving::blocked(Box::new(disk.clone()), mark(0));
    for refuses_sync in [true, false] {
        disk.0.lock().unwrap().refuses_sync = refuses_sync;
        tokio::time::sleep_until(saving.due(mark(1)).unwrap()).await;
        saving.begin(mark(1), saved(3, 0));
        saving.ended().await;
        assert_eq!(disk.0.lock().unwrap().aside, b"damaged");
    }
    assert_eq!(disk.0.lock().unwrap().content, vec![1; 3]);
}

/// A disk whose calls take this long.
struct SlowDisk(Duration);

impl ClientStore for SlowDisk {
    fn load(&mut self) -> io::Result<Option<Vec<u8>>> {
        std::thread::sleep(self.0);
        Ok(None)
    }

    fn save(&mut self, _: &[u8]) -> io::Result<()> {
        std::thread::sleep(self.0);
        Ok(())
    }

    fn set_aside(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The queue has to be closed behind it, within the time of a stop.
#[tokio::test]
async fn a_slow_disk_holds_up_a_stop_for_a_second_alone() {
    let mut saving = ClientSaving::new(Box::new(SlowDisk(Duration::from_secs(4))), mark(0));
    saving.begin(mark(1), saved(10, 0));
    let begin = Instant::now();
    assert_eq!(saving.finish(saved(10, 0)).await.map(|error| error.kind()), Some(io::ErrorKind::TimedOut));
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
}
