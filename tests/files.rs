//! What publishing, syncing and taking away do when somebody else is at work in the same folder.
#![expect(clippy::disallowed_methods, reason = "tests make and remove files by hand")]

use std::{fs, sync::Arc};

use sisa::fs::{Durability, Files, RealDisk};

fn files() -> Files {
    Files::new(Arc::new(RealDisk::new()))
}

/// A deletion may unlink a checkpoint just before its builder syncs it. That must not end the builder's run.
#[test]
fn a_file_that_is_gone_is_no_failed_sync() {
    let dir = tempfile::tempdir().unwrap();
    let files = files();
    assert!(files.sync_file(&dir.path().join("gone")).unwrap_err().is_not_found());
    let _ = files.publish(&dir.path().join("next"), &[b"x"], Durability::Now).unwrap();
}

#[test]
fn nothing_is_made_where_the_floor_was_taken_away() {
    let dir = tempfile::tempdir().unwrap();
    let floor = dir.path().join("scratch/mine");
    fs::create_dir_all(&floor).unwrap();
    let below = files().below(&floor);
    below.make_dirs(&floor.join("a/b")).unwrap();
    assert!(below.make_dirs(&dir.path().join("elsewhere")).is_err());
    files().take_away(&dir.path().join("scratch"), |_| true).unwrap();
    for path in [floor.join("a/b"), floor.clone()] {
        assert!(below.make_dirs(&path).unwrap_err().is_not_found());
    }
    assert!(below.publish(&floor.join("a/b/file"), &[b"x"], Durability::Now).is_err());
    assert!(!dir.path().join("scratch").exists());
}

/// Somebody publishes into the folder as fast as can be while it is taken away; afterwards nothing is there, and nothing comes back.
#[test]
fn a_folder_is_taken_away_from_under_a_writer() {
    for _ in 0..20 {
        let dir = tempfile::tempdir().unwrap();
        let (top, floor) = (dir.path().join("scratch"), dir.path().join("scratch/mine"));
        fs::create_dir_all(&floor).unwrap();
        fs::write(top.join("a stray file"), b"x").unwrap();
        let writer = files().below(&floor);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for n in 0.. {
                    let folder = floor.join(format!("{}", n % 7));
                    let done = writer
                        .make_dirs(&folder)
                        .and_then(|()| writer.publish(&folder.join(format!("{n}")), &[b"record"], Durability::Later).map(|_| ()));
                    if done.is_err() && !floor.exists() {
                        break;
                    }
                }
            });
            std::thread::sleep(std::time::Duration::from_millis(3));
            files().take_away(&top, |_| true).unwrap();
            assert!(!top.exists());
        });
        assert!(!top.exists());
    }
}

/// Who can put a link into a folder must not be able to aim a sweep at another one.
#[test]
fn what_is_behind_a_link_is_never_removed() {
    let dir = tempfile::tempdir().unwrap();
    let victim = dir.path().join("victim");
    fs::create_dir_all(victim.join("verify-1-0")).unwrap();
    fs::write(victim.join("precious"), b"x").unwrap();
    let link = dir.path().join("link");
    let removals: [&dyn Fn(); 3] =
        [&|| files().take_away(&link, |_| true).unwrap(), &|| files().remove_tree(&link).unwrap(), &|| {
            files().remove_tree(link.parent().unwrap().join("outer").as_path()).unwrap()
        }];
    for (at, remove) in removals.iter().enumerate() {
        let _ = fs::remove_file(&link);
        let outer = dir.path().join("outer");
        fs::create_dir_all(&outer).unwrap();
        std::os::unix::fs::symlink(&victim, if at < 2 { link.clone() } else { outer.join("inner") }).unwrap();
        remove();
        assert!(at == 2 || link.symlink_metadata().is_err(), "the link is gone");
        assert!(at < 2 || !outer.exists());
        assert!(victim.join("verify-1-0").is_dir() && victim.join("precious").is_file());
    }
}

#[test]
fn what_has_no_name_of_ours_is_never_taken_away() {
    let dir = tempfile::tempdir().unwrap();
    let top = dir.path().join("top");
    fs::create_dir_all(top.join("ours/deep")).unwrap();
    fs::create_dir_all(top.join("theirs/deep")).unwrap();
    files().take_away(&top, |name| name == "ours").unwrap();
    assert!(!top.join("ours").exists());
    assert!(top.join("theirs/deep").is_dir());
}
