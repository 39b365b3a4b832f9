//! What is kept, and by whom it is seen.

use super::*;

fn intake(root: &Path) -> Intake {
    Intake::new(Arc::new(Engine::builder(root).threads(1).open().unwrap()))
}

fn record(name: &str) -> Record {
    Record::new(name.into(), "desk".into(), vec![Handle([1; 16])], 1e9)
}

#[test]
fn what_is_kept_is_there_for_the_next_service_which_waits_for_its_turn() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (intake(folder.path()), intake(folder.path()));
    assert!(!one.is_begun().unwrap());
    assert!(matches!(one.receive(record("a")).unwrap(), Received::New));
    assert!(matches!(one.receive(record("a")).unwrap(), Received::Before(_)));
    assert!(matches!(one.receive(record("A")).unwrap(), Received::New), "names differ by case");
    assert!(matches!(two.take(), Err(IntakeError::Elsewhere)));
    assert!(two.find("a").unwrap().is_some(), "whoever has it not can look");
    assert_eq!(one.due("a"), Some(1e9));
    one.change("a", |record| record.comes_to(Stage::Cancelled, None)).unwrap();
    assert_eq!(one.open().len(), 1, "it is closed, as nobody is to be told");
    assert_eq!(one.find("a").unwrap().unwrap().stage, Stage::Cancelled);
    assert!(matches!(one.receive(record("a")).unwrap(), Received::Before(_)), "its name is taken for good");
    drop(one);
    two.take().unwrap();
    assert_eq!(two.open().iter().map(|r| r.request.clone()).collect::<Vec<_>>(), ["A"]);
}

#[test]
fn holds_are_seen_by_other_services_too() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (intake(folder.path()), intake(folder.path()));
    let handles = vec![Handle([1; 16]).to_string()];
    let hold =
        Hold { name: "h".into(), reason: "r".into(), until: None, made_at: String::new(), made_by: "boss".into(), handles };
    one.hold(hold).unwrap();
    for intake in [&one, &two] {
        assert_eq!(intake.held_by(&[Handle([1; 16])]).unwrap().as_deref(), Some("h"));
        assert_eq!(intake.held_by(&[Handle([2; 16])]).unwrap(), None);
    }
    assert!(one.release("h").unwrap() && !one.release("h").unwrap());
    assert_eq!(two.held_by(&[Handle([1; 16])]).unwrap(), None);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test damages a file by hand")]
fn a_file_that_is_none_of_ours_is_named_and_nothing_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let one = intake(folder.path());
    one.receive(record("a")).unwrap();
    let path = one.open_file("a");
    drop(one);
    let whole = std::fs::read_to_string(&path).unwrap();
    for wrong in ["{", "{}", &whole.replace("\"format\":1", "\"format\":2")] {
        std::fs::write(&path, wrong).unwrap();
        let error = intake(folder.path()).take().unwrap_err();
        assert!(matches!(error, IntakeError::Damaged { .. }), "{error}");
    }
}
