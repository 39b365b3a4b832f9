//! Whom records are about is told from what the columns hold where no name says so, and from nothing that only looks like it.
#![expect(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests make their tables by hand")]

use std::fs;

use sisa::engine::{Engine, Overrides, Proposal};

/// Numbers that look like chance: SplitMix64 (Steele, Lea and Flood, 2014).
fn chance(seed: u64, below: u64) -> u64 {
    let mut z = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x1234_5678);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)) % below
}

/// A proposal for `rows` rows.
fn proposed(header: &str, rows: u64, row: impl Fn(u64) -> String) -> Proposal {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.csv");
    fs::write(&path, (0..rows).fold(format!("{header}\n"), |text, at| text + &row(at) + "\n")).unwrap();
    let engine = Engine::builder(dir.path()).threads(1).open().unwrap();
    engine.propose(&path.into(), &dir.path().join("sisa.toml"), &Overrides::default()).unwrap()
}

fn assert_subject(proposal: &Proposal, column: &str, why: &[&str]) {
    assert!(proposal.text.contains(&format!("\nsubject = \"{column}\"\n")), "{}", proposal.text);
    for why in why {
        assert!(proposal.notes.iter().any(|note| note.contains(why)), "{why}: {:?}", proposal.notes);
    }
}

fn assert_none(proposal: &Proposal) {
    assert!(!proposal.text.contains("\nsubject = "), "{}", proposal.text);
    assert!(!proposal.has_ids);
}

#[test]
fn numbers_within_which_attributes_stay_the_same_are_people() {
    // A panel: a person's plan, race and birth year stay, the year tells the rows apart, the cost is anything.
    let row = |at: u64| {
        let (person, year) = (chance(at / 4, 90_000) + 100_000, at % 4 + 1);
        let attribute = |which: u64, of: u64| chance(person * 10 + which, of);
        let cost = chance(at, 1000) as f64 / 7.0;
        format!(
            "{},{},{person},{},{year},{cost:.2},{}",
            attribute(1, 5),
            attribute(2, 3),
            1900 + attribute(3, 60),
            ["few", "many"][(chance(at + 7, 2)) as usize]
        )
    };
    assert_subject(
        &proposed("plan,race,zper,born,period,cost,visits", 2000, row),
        "zper",
        &["`zper`", "stay the same", "`period` never repeat"],
    );
}

#[test]
fn codes_need_one_attribute_and_visits_alone_are_enough() {
    let row = |at: u64| {
        let plane = chance(at, 300);
        let carrier = ["UA", "AA", "DL", "B6"][chance(plane + 5, 4) as usize];
        let hour = chance(at + 1_000_000, 24);
        format!(
            "N{}{},{carrier},{hour},{},{}",
            100 + plane,
            ["AB", "UA", "SW"][(plane % 3) as usize],
            chance(at + 2_000_000, 2000),
            ["no", "yes"][chance(at + 3, 2) as usize]
        )
    };
    assert_subject(&proposed("tailnum,carrier,hour,distance,late", 6000, row), "tailnum", &["`carrier` stay the same"]);
    let row = |at: u64| {
        let marker = chance(at, 10_000) as f64 / 100.0;
        format!("{},{},{marker},{}", 4000 + at / 3, at % 3 + 1, ["ill", "well"][chance(at + 9, 2) as usize])
    };
    assert_subject(&proposed("Matrikel,besuch,marker,outcome", 300, row), "Matrikel", &["`besuch` never repeat"]);
}

#[test]
fn an_id_of_rows_does_not_hide_people() {
    let row = |at: u64| {
        let person = chance(at / 3, 50_000);
        format!(
            "{at},{person},{},{},{},{}",
            chance(person + 1, 2),
            chance(person + 2, 40),
            chance(at, 500),
            ["no", "yes"][chance(at + 3, 2) as usize]
        )
    };
    let proposal = proposed("id,matrikel,sex,home,dose,outcome", 1500, row);
    assert_subject(&proposal, "matrikel", &["stay the same"]);
    assert!(proposal.text.contains("record = [\"id\"]"), "{}", proposal.text);
}

#[test]
fn measures_places_and_what_is_worked_out_are_nobody() {
    // A city has a country, an age its decade and its square, a weight repeats by chance, a price is high or low.
    let row = |at: u64| {
        let (city, age, weight) = (chance(at, 60), 18 + chance(at + 1_000_000, 70), 10_000 + chance(at + 2_000_000, 1500));
        let cents = chance(at + 3_000_000, 400);
        format!(
            "City {},Country {},{age},{},{},{weight},{cents},{},{}",
            ["A", "B", "C", "D"][(city % 4) as usize].repeat(city as usize / 4 + 1),
            ["X", "Y", "Z"][(city % 3) as usize],
            age / 10 * 10,
            age * age,
            if cents > 200 { "high" } else { "low" },
            ["no", "yes"][chance(at + 4, 2) as usize]
        )
    };
    let proposal = proposed("city,country,age,decade,square,weight,cents,level,outcome", 5000, row);
    assert_none(&proposal);
    assert!(proposal.candidates.contains(&"weight".to_owned()), "{:?}", proposal.candidates);
    // Nobody is guessed for whoever says that there is none, or that another is.
}

#[test]
fn columns_that_tell_all_rows_apart_are_named_as_what_could_be_ids() {
    let row = |at: u64| {
        format!("{},{},{}", chance(at, 900_000) + 100_000, chance(at + 1, 50), ["no", "yes"][chance(at + 2, 2) as usize])
    };
    let proposal = proposed("Vorgang,dose,outcome", 400, row);
    assert_none(&proposal);
    assert_eq!(proposal.candidates.first().map(String::as_str), Some("Vorgang"), "{:?}", proposal.candidates);
}
