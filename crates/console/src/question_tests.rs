//! Questions at every size: what must be known before a yes is on screen, or nobody can say yes.

use std::time::Duration;

use super::fixtures::{key, now};
use super::input::{Effect, Input, Question};
use super::state::{Dialog, State};
use super::tests::{press, state, text};
use super::update::{painted, sent, update};
use bartizan_config::{Key, View};
use bartizan_model::{ActionKind, ActionPlan, HostText, Preview, ProcessKey, Target};
use bartizan_protocol::{Reply, Request};

const SIZES: [(u16, u16); 8] = [(200, 60), (80, 24), (80, 12), (60, 15), (40, 24), (40, 15), (40, 10), (120, 10)];

/// As the responder previews containment on a host that keeps so many addresses.
fn containment(kept: usize) -> Preview {
    let mut steps = vec![
        "nft add element inet bartizan contain_out4 { 0.0.0.0/0 timeout 2m }".to_owned(),
        "nft add element inet bartizan contain_in { tcp timeout 1m30s }".to_owned(),
        "once confirmed: the same timeouts for 10m in all".to_owned(),
    ];
    steps.extend((0..kept).map(|n| format!("kept: 2001:db8::{n:x} (packages from mirror{n}.example.org)")));
    Preview {
        steps,
        blast_radius: format!(
            "new outbound TCP connections and UDP packets to anybody but the {kept} kept addresses are dropped, of this host and of what it forwards; new inbound TCP connections pass 20 a second, UDP packets 200 a second; new SSH logins (port 22) only from the kept addresses. What is established, answers by UDP, ICMP, loopback and tunnels pass"
        ),
        undo: vec![
            "nft delete element inet bartizan (all that the steps added); with the last element: nft delete table inet bartizan".to_owned(),
            "the kernel does it by itself: SSH logins two steps of 30s before the end, inbound one step, all after 2m".to_owned(),
        ],
        stays: format!("your access from 198.51.100.7; what is open now; {kept} kept addresses"),
        confirm_within: Some(Duration::from_secs(120)),
    }
}

fn asked(plan: &ActionPlan, preview: Preview, width: u16, height: u16) -> State {
    let mut state = state(View::Overview, width, height);
    let question = Question { request: Request::Preview { plan: plan.clone() }, what: String::new(), plan: Some(plan.clone()) };
    sent(&mut state, 9, question);
    update(&mut state, Input::Reply { ticket: 9, reply: Box::new(Reply::Preview(preview)) }, now());
    state
}

fn contain() -> ActionPlan {
    ActionPlan::new(ActionKind::ContainHost, Target::Host, Duration::from_secs(600)).unwrap()
}

fn acts(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::Ask(question) if matches!(question.request, Request::Act { .. })))
}

/// The words of the box, however they are broken into lines.
fn words(state: &State) -> String {
    let inside = text(state);
    let is_framed = inside.contains('╰');
    let within = |line: &str| -> Option<String> {
        if is_framed { Some(line.split_once('│')?.1.rsplit_once('│')?.0.trim().to_owned()) } else { Some(line.trim().to_owned()) }
    };
    let rows = inside.lines().filter_map(within);
    rows.collect::<Vec<_>>().join(" ").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn what_how_long_what_stays_and_how_it_is_undone_are_on_screen_at_every_size() {
    for (width, height) in SIZES {
        for kept in [0, 1, 12, 400] {
            let mut state = asked(&contain(), containment(kept), width, height);
            for scroll in ["", "j", "G", "pgdn"] {
                if !scroll.is_empty() {
                    press(&mut state, scroll);
                }
                let seen = words(&state);
                for word in ["What contain this host", "10m", "2m", "confirm", "Stays your access", "what is open now", "Undo u in Actions"]
                {
                    assert!(seen.contains(word), "{width}x{height}, {kept} kept, {scroll}: {word} is not in\n{}", text(&state));
                }
                assert!(seen.contains(&format!("{kept} kept")), "{}", text(&state));
            }
            assert!(acts(&press(&mut state, "y")));
        }
    }
    assert!(words(&asked(&contain(), containment(12), 80, 24)).contains("your access from 198.51.100.7"));
    insta::assert_snapshot!("question_contain_80x24", text(&asked(&contain(), containment(12), 80, 24)));
    insta::assert_snapshot!("question_contain_60x15", text(&asked(&contain(), containment(12), 60, 15)));
    insta::assert_snapshot!("question_contain_40x10", text(&asked(&contain(), containment(12), 40, 10)));
}

#[test]
fn every_detail_can_be_scrolled_to_and_the_question_says_that_there_is_more() {
    for (width, height) in SIZES {
        let mut state = asked(&contain(), containment(12), width, height);
        let all = words(&state);
        let is_whole = all.contains("mirror11.example.org");
        assert!(is_whole || all.contains("j k:"), "{width}x{height}:\n{}", text(&state));
        let mut seen = all;
        for _ in 0..200 {
            press(&mut state, "j");
            seen.push_str(&words(&state));
        }
        for n in 0..12 {
            assert!(seen.contains(&format!("2001:db8::{n:x} ")), "{width}x{height}: {n} is never seen");
        }
    }
}

#[test]
fn nobody_can_say_yes_to_what_does_not_fit() {
    for (width, height) in [(40, 5), (20, 6), (12, 3), (10, 24), (1, 1), (80, 1), (80, 0), (0, 24), (0, 0)] {
        let mut small = asked(&contain(), containment(3), width, height);
        assert!(!acts(&press(&mut small, "y")), "{width}x{height}:\n{}", text(&small));
        assert!(matches!(&small.dialog, Some(Dialog::Confirm(_))), "the question stays open");
        update(&mut small, Input::Resize(80, 24), now());
        painted(&mut small, now());
        let soon = now() + chrono::TimeDelta::milliseconds(100);
        assert!(!acts(&update(&mut small, Input::Key(Key::char('y')), soon)), "it was never read at this size");
        let later = now() + chrono::TimeDelta::milliseconds(400);
        assert!(acts(&update(&mut small, Input::Key(Key::char('y')), later)));
    }
    let mut small = asked(&contain(), containment(3), 40, 5);
    press(&mut small, "y");
    assert!(text(&small).contains("too small"), "{}", text(&small));
    press(&mut small, "n");
    assert!(small.dialog.is_none(), "no always works");
}

#[test]
fn a_long_hostile_name_takes_no_essential_off_the_screen() {
    for exe in ["/".repeat(4_000), format!("/tmp/{}", "a b".repeat(1_300)), "/opt/\u{202e}\u{1b}[2J".repeat(300)] {
        let target = Target::ProcessTree { root: ProcessKey { pid: 4_194_000, ..key(1) }, exe: HostText::from(exe.as_str()) };
        let plan = ActionPlan::new(ActionKind::FreezeTree, target, Duration::from_secs(600)).unwrap();
        let preview =
            Preview { stays: "your access from 2001:db8:ffff:ffff:ffff:ffff:ffff:ffff; every other program".to_owned(), ..containment(9) };
        for (width, height) in SIZES {
            let mut state = asked(&plan, preview.clone(), width, height);
            let seen = words(&state);
            for word in ["freeze", "(pid 4194000)", "Lasts 10m, then", "every other program", "Undo u in Actions"] {
                assert!(seen.contains(word), "{width}x{height}: {word}\n{}", text(&state));
            }
            assert!(acts(&press(&mut state, "y")));
        }
    }
}
