//! What is written stands whole, or is cut with a sign: choices, help, sentences, answered questions.

use crate::tests::{press, state, text};
use bartizan_config::View;

#[test]
fn a_choice_stands_whole_at_every_size() {
    for (width, height) in [(80, 24), (60, 20), (40, 10), (120, 40)] {
        let mut state = state(View::Overview, width, height);
        press(&mut state, "m");
        for mode in bartizan_model::Mode::ALL {
            // The inside of the box, without what stands beside it.
            let shown = text(&state);
            let inside = shown.lines().filter_map(|line| line.split('│').nth(1)).collect::<Vec<_>>().join(" ");
            let flat = inside.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(flat.contains(&mode.to_string()) && flat.contains(mode.meaning()), "{width}x{height}: {mode}\n{}", text(&state));
            assert!(flat.contains("enter chooses"), "{}", text(&state));
            press(&mut state, "j");
        }
    }
    let mut small = state(View::Overview, 40, 10);
    press(&mut small, "m j j");
    insta::assert_snapshot!("mode_40x10", text(&small));
}

#[test]
fn the_keys_in_help_stand_apart_from_what_they_do() {
    let mut state = state(View::Approvals, 80, 70);
    press(&mut state, "?");
    let shown = text(&state);
    assert!(shown.contains("ctrl-d  ") && shown.contains("ctrl-u  "), "{shown}");
    assert!(shown.contains(":contain "), "{shown}");
}

#[test]
fn a_sentence_is_never_cut_without_a_sign() {
    let long = format!("{}ends here.", "word after word ".repeat(60));
    for view in [View::Timeline, View::Alerts] {
        for (width, height) in [(80, 24), (120, 40), (60, 20)] {
            let mut state = state(view, width, height);
            state.mirror.incidents.values_mut().for_each(|row| row.sentence = long.clone());
            state.mirror.alerts.values_mut().for_each(|row| row.sentence = long.clone());
            state.mirror.signals.iter_mut().for_each(|row| row.sentence = long.clone());
            press(&mut state, "g");
            let shown = text(&state);
            let last = |line: &&str| line.contains("word after") && !line.contains('\u{258c}');
            let cut = shown.lines().rfind(last).unwrap();
            assert!(cut.ends_with('…') || shown.contains("ends here."), "{view} {width}x{height}\n{shown}");
        }
    }
    let mut state = state(View::Alerts, 80, 24);
    let three = format!("{}ends here.", "word after word ".repeat(12));
    state.mirror.alerts.values_mut().for_each(|row| row.sentence = three.clone());
    assert!(text(&state).contains("ends here."), "free rows are used: {}", text(&state));
}

#[test]
fn an_answered_question_is_no_longer_offered() {
    let mut state = state(View::Approvals, 80, 24);
    press(&mut state, "G");
    let shown = text(&state);
    assert!(shown.contains("Q4 was rejected") && shown.contains("Answered"), "{shown}");
    for gone in ["for 10m", "at any time", "before it asks", "Stays"] {
        assert!(!shown.contains(gone), "{gone}: {shown}");
    }
}
