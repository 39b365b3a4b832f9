//! Whether a bucket does what the protocol rests on.

use std::{io, sync::Barrier};

use super::Objects;

/// How many try to create one object at the same time.
const RACERS: usize = 16;

/// Tries a bucket: an object is created once, by one of several at the same time too; a condition that does not hold any more is refused;
/// what was removed is gone; and no older version stays.
///
/// # Errors
/// The bucket does not hold, with what it did, or it can't be reached.
pub fn probe(bucket: &dyn Objects, nonce: &str) -> io::Result<()> {
    let names: Vec<String> = ["once", "raced"].iter().map(|what| format!("probe/{nonce}-{what}")).collect();
    let found = tried(bucket, &names);
    let removed = bucket.delete(&names);
    found?;
    removed?;
    match names.first().map_or(Ok(None), |name| bucket.get(name, None))? {
        None => Ok(()),
        Some(_) => Err(refused("an object that was removed is still there")),
    }
}

fn tried(bucket: &dyn Objects, names: &[String]) -> io::Result<()> {
    let [once, raced] = names else { return Ok(()) };
    let first = bucket.create(once, b"first")?.ok_or_else(|| refused("it says that a new name is taken"))?;
    if bucket.keeps_versions(&first) {
        return Err(refused(
            "it keeps versions of what is removed or written over, so nothing would ever be deleted; suspend versioning",
        ));
    }
    if bucket.create(once, b"second")?.is_some() {
        return Err(refused("it creates an object whose name is taken (If-None-Match is ignored)"));
    }
    if !bucket.replace(once, &first, b"third")? {
        return Err(refused("it refuses to write over an object although it is the one that the condition names (If-Match)"));
    }
    if bucket.replace(once, &first, b"fourth")? {
        return Err(refused("it writes over an object although the condition names an older one (If-Match is ignored)"));
    }
    if bucket.get(once, None)?.as_deref() != Some(b"third") {
        return Err(refused("it does not show what was written last"));
    }
    if !bucket.list("probe", None)?.iter().any(|object| object.name == *once) {
        return Err(refused("it does not list what was written last"));
    }
    let together = Barrier::new(RACERS);
    let created = std::thread::scope(|scope| {
        let racers: Vec<_> = (0..RACERS)
            .map(|racer| {
                let together = &together;
                scope.spawn(move || {
                    together.wait();
                    bucket.create(raced, &[racer as u8])
                })
            })
            .collect();
        racers
            .into_iter()
            .map(|racer| racer.join().map_err(|_| io::Error::other("a thread of the probe panicked"))?)
            .collect::<Vec<_>>()
    });
    let mut winners = 0;
    for one in created {
        winners += usize::from(one?.is_some());
    }
    match winners {
        1 => Ok(()),
        n => Err(refused(&format!("of {RACERS} who created one object at the same time it let {n}"))),
    }
}

fn refused(what: &str) -> io::Error {
    let text = format!("this bucket can't hold a workspace: {what}");
    io::Error::new(io::ErrorKind::Unsupported, text)
}
