//! Remains of redb's file after a power cut, when its sync failed in a process that was killed.

use super::*;

/// The page cache shows what is on no disk then, and only the mark in the directory says so.
#[test]
fn rows_committed_after_a_kill_between_a_failed_sync_and_its_repair_survive_a_power_cut() {
    let mut failed = 0;
    for seed in 0..20 {
        let dir = SimDir::new();
        let mut state = fill(&dir, 400, 1);
        let (mut store, _) = open(&dir);
        state.lane[1].floor = 20 + seed * 5;
        store.commit(&[], &state).unwrap();
        store.advance(Lane(1), &DoneRows::below(state.lane[1].floor)).unwrap();
        dir.fail(Fault { call: Call::Sync, after: seed % 2, error: FaultError::Io, sticky: false });
        store.append(&(401..=430).map(row).collect::<Vec<_>>()).unwrap();
        state.lane[1].next = 431;
        failed += u64::from(store.commit(&[], &state).is_err());
        // Killed: nothing is closed.
        std::mem::forget(store);
        dir.release_locks();
        dir.heal();
        let (mut store, recovered) = open(&dir);
        let mut state = recovered.state;
        state.lane[1].next = 432;
        store.append(&[row(431)]).unwrap();
        store.commit(&[], &state).unwrap();
        let (before, _) = read_all(&mut store);
        let (mut store, recovered) = open(&dir.crash(Outcome::Lost, seed));
        assert!(recovered.damage.is_empty(), "seed {seed}: {:?}", recovered.damage);
        assert_eq!(read_all(&mut store).0, before, "seed {seed}");
    }
    assert!(failed > 5, "{failed}");
}
