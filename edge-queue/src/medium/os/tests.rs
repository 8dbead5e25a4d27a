use super::*;

#[test]
fn files_keep_what_is_written_and_names_move_into_a_subdirectory() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = OsDir::new(tmp.path().join("a/b")).unwrap();
    let mut file = dir.create("x").unwrap();
    file.allocate(0, 8192).unwrap();
    assert_eq!(file.len().unwrap(), 8192);
    file.write_at(4096, b"hello").unwrap();
    file.sync().unwrap();
    drop(file);
    dir.rename("x", "bad/x.1").unwrap();
    dir.sync().unwrap();
    assert_eq!(dir.open("x").err().unwrap().kind(), io::ErrorKind::NotFound);
    let file = dir.open("bad/x.1").unwrap();
    let mut buf = [0; 5];
    file.read_at(4096, &mut buf).unwrap();
    assert_eq!(&buf, b"hello");
    let short = file.read_at(8190, &mut buf).unwrap_err();
    assert_eq!(short.kind(), io::ErrorKind::UnexpectedEof);
    assert!(dir.free_bytes().unwrap().unwrap() > 0);
    assert_eq!(dir.device().unwrap(), Some(file.id().unwrap().unwrap().device));
}

/// Counting system calls without tracing them: a device has nothing to sync, and the system says so (EINVAL).
#[cfg(target_os = "linux")]
#[test]
fn a_sync_is_a_system_call_and_its_refusal_is_told() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = OsDir::new(tmp.path()).unwrap();
    let mut device = OsDir::read_only("/dev").unwrap().open("null").unwrap();
    let refused = |done: io::Result<()>| done.err().and_then(|e| e.raw_os_error()) == Some(22);
    assert!(refused(device.sync()), "a file");
    assert!(dir.sync().is_ok());
    std::os::unix::fs::symlink("/proc/self", tmp.path().join("bad")).unwrap();
    assert!(refused(dir.sync()), "the directory of what was set aside");
    assert!(refused(OsDir::new("/proc/self").unwrap().sync()), "the directory");
}

#[test]
fn a_second_lock_is_refused_until_the_first_is_dropped() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = OsDir::new(tmp.path()).unwrap();
    let held = dir.lock("lock").unwrap();
    assert_eq!(dir.lock("lock").err().unwrap().kind(), io::ErrorKind::WouldBlock);
    drop(held);
    assert!(dir.lock("lock").is_ok());
}

/// A forked process has every descriptor until it runs its own program; a second descriptor is the same to the lock.
#[test]
fn a_lock_ends_with_its_holder_although_a_forked_process_still_has_the_file() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = OsDir::new(tmp.path()).unwrap();
    let file = File::create(tmp.path().join("lock")).unwrap();
    let forked = file.try_clone().unwrap();
    let held = LockableFile::new(file, tmp.path().join("lock"));
    held.lock(File::try_lock).unwrap();
    assert_eq!(dir.lock("lock").err().unwrap().kind(), io::ErrorKind::WouldBlock);
    drop(held);
    assert!(dir.lock("lock").is_ok());
    drop(forked);
}

/// Names come and go; the file is what two writers would spoil.
#[test]
fn the_lock_of_a_file_goes_with_it_under_every_name_and_readers_share_it() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = OsDir::new(tmp.path()).unwrap();
    let reader = OsDir::read_only(tmp.path()).unwrap();
    let lock = |dir: &OsDir, name| {
        let mut file = dir.open(name).unwrap();
        file.lock().map(|()| file).map_err(|e| e.kind())
    };
    let mut first = dir.create("new").unwrap();
    first.lock().unwrap();
    first.lock().unwrap();
    dir.rename("new", "x").unwrap();
    for second in [&dir, &reader] {
        assert_eq!(lock(second, "x").err(), Some(io::ErrorKind::WouldBlock));
    }
    drop(first);
    let readers = [lock(&reader, "x").unwrap(), lock(&reader, "x").unwrap()];
    assert_eq!(lock(&dir, "x").err(), Some(io::ErrorKind::WouldBlock));
    drop(readers);
    assert!(lock(&dir, "x").is_ok());
}

/// A file that was opened before another took its name has a lock that keeps nobody out.
#[test]
fn the_lock_of_a_file_that_lost_its_name_is_refused() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = OsDir::new(tmp.path()).unwrap();
    drop(dir.create("x").unwrap());
    let mut late = dir.open("x").unwrap();
    drop(dir.create("new").unwrap());
    dir.rename("new", "x").unwrap();
    assert_eq!(late.lock().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    let mut gone = dir.open("x").unwrap();
    dir.remove("x").unwrap();
    assert_eq!(gone.lock().unwrap_err().kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn names_cannot_leave_the_directory() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = OsDir::new(tmp.path()).unwrap();
    for name in ["../x", "/etc/x", "", "bad/../../x"] {
        assert_eq!(dir.create(name).err().unwrap().kind(), io::ErrorKind::InvalidInput, "{name}");
    }
}

#[test]
fn a_file_is_empty_until_something_is_in_it() {
    let tmp = tempfile::tempdir().unwrap();
    let mut file = OsDir::new(tmp.path()).unwrap().create("x").unwrap();
    assert!(file.is_empty().unwrap());
    file.write_at(0, b"x").unwrap();
    assert!(!file.is_empty().unwrap());
}

/// Content stays where space cannot be reserved.
#[test]
fn a_file_that_is_made_longer_instead_of_reserved_is_never_cut() {
    let tmp = tempfile::tempdir().unwrap();
    let file = make_file(OpenOptions::new().read(true).write(true).create(true), &tmp.path().join("x"));
    let file = LockableFile::new(file.unwrap(), tmp.path().join("x"));
    let mut file = OsFile { file, read_only: false };
    for (end, len) in [(100, 100), (50, 100), (100, 100), (101, 101)] {
        file.extend_to(end).unwrap();
        assert_eq!(file.len().unwrap(), len);
    }
}

#[test]
fn only_what_does_not_exist_counts_as_absent() {
    let tmp = tempfile::tempdir().unwrap();
    let (dir, reader) = (OsDir::new(tmp.path()).unwrap(), OsDir::read_only(tmp.path()).unwrap());
    assert!(dir.sync().is_ok() && reader.lock("lock").is_ok());
    // A name that leads to itself cannot be opened, whoever asks.
    std::os::unix::fs::symlink("lock", tmp.path().join("lock")).unwrap();
    assert!(dir.lock("lock").is_err() && reader.lock("lock").is_err());
}

#[test]
fn a_link_or_a_pipe_leads_nowhere_and_holds_nothing_up() {
    let (tmp, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let at = |name: &str| tmp.path().join(name);
    let dir = OsDir::new(tmp.path()).unwrap();
    std::os::unix::fs::symlink(other.path().join("made"), at("lock")).unwrap();
    assert!(dir.lock("lock").is_err());
    fs::write(other.path().join("kept"), "kept").unwrap();
    std::os::unix::fs::symlink(other.path().join("kept"), at("queue.ring")).unwrap();
    for dir in [&dir, &OsDir::read_only(tmp.path()).unwrap()] {
        let error = dir.open("queue.ring").err().unwrap().to_string();
        assert!(error.contains("queue.ring is a symbolic link"), "{error}");
    }
    fs::remove_file(other.path().join("kept")).unwrap();
    let pipe = std::process::Command::new("mkfifo").arg(at("bad")).status().unwrap();
    assert!(pipe.success());
    dir.sync().unwrap();
    for n in 0..2 {
        dir.create("x").unwrap();
        dir.rename("x", "bad/x").unwrap();
        assert!(fs::symlink_metadata(at("bad")).unwrap().is_dir() && at("bad/x").exists());
        assert!(n == 1 || at("bad.moved").exists());
        fs::remove_dir_all(at("bad")).unwrap();
        std::os::unix::fs::symlink(other.path(), at("bad")).unwrap();
        dir.sync().unwrap();
    }
    assert_eq!(fs::read_dir(other.path()).unwrap().count(), 0);
}

/// A link planted in the place of a file that the queue is about to make.
#[test]
fn no_new_file_is_made_through_a_link() {
    let (tmp, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let target = other.path().join("somebodys");
    let made = other.path().join("made");
    fs::write(&target, "precious").unwrap();
    fs::set_permissions(&target, Permissions::from_mode(0o644)).unwrap();
    let dir = OsDir::new(tmp.path()).unwrap();
    fs::create_dir(tmp.path().join("bad")).unwrap();
    for name in ["machine.new", "bad/record", "queue.redb.ballast", "queue.redb.unsynced"] {
        for link in [&target, &made] {
            let path = tmp.path().join(name);
            let _first_time = fs::remove_file(&path);
            std::os::unix::fs::symlink(link, &path).unwrap();
            dir.create(name).unwrap().write_at(0, b"ours").unwrap();
            assert!(fs::symlink_metadata(&path).unwrap().is_file(), "{name}");
            assert_eq!(fs::read(&path).unwrap(), b"ours", "{name}");
        }
    }
    let mode = fs::metadata(&target).unwrap().permissions().mode() & 0o777;
    assert_eq!((fs::read(&target).unwrap(), mode), (b"precious".to_vec(), 0o644));
    assert!(!made.exists());
}

#[test]
fn a_file_that_is_made_anew_is_empty_and_its_owners_alone() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("machine.new");
    fs::write(&path, "left by a crash").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    let dir = OsDir::new(tmp.path()).unwrap();
    assert!(dir.create("machine.new").unwrap().is_empty().unwrap());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    fs::create_dir(tmp.path().join("directory")).unwrap();
    dir.create("directory").err().unwrap();
}

#[test]
fn a_directory_keeps_the_mode_that_it_was_given() {
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    let tmp = tempfile::tempdir().unwrap();
    let bad = tmp.path().join("bad");
    fs::create_dir(&bad).unwrap();
    for (path, set) in [(tmp.path(), 0o2755), (&bad, 0o750)] {
        fs::set_permissions(path, Permissions::from_mode(set)).unwrap();
    }
    let dir = OsDir::new(tmp.path()).unwrap();
    drop((dir.create("x").unwrap(), dir.create("bad/x").unwrap(), dir.create("other/x").unwrap()));
    assert_eq!((mode(tmp.path()), mode(&bad)), (0o2755, 0o750));
    // Linux hands the group bit of a directory on to those made in it.
    assert!([0o700, 0o2700].contains(&mode(&tmp.path().join("other"))));
    let inherits = tmp.path().join("plain");
    fs::create_dir(&inherits).unwrap();
    let inherited = mode(&inherits) & 0o7000;
    assert_eq!(mode(&tmp.path().join("other")) & 0o7000, inherited);
}
