//! The shell's job control in a real terminal: a guard is never stopped by it, a console comes and goes with it, and whatever
//! ends a console, the terminal is as it was.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test fails by panic

mod support;

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::agent::{Home, signal};
use support::network::Network;
use support::terminal::Terminal;
use support::{can_run, wait_until};

const TOOLS: &[&str] = &["ip", "nsenter", "tmux", "bash"];

/// A job-control shell that says `prompt>`.
fn shell() -> Terminal {
    let terminal = Terminal::new(80, 24);
    terminal.type_line("exec bash --norc --noprofile -i");
    terminal.type_line("echo is-$((6 * 7))");
    terminal.wait_for("is-42");
    terminal
}

/// `bartizan` without a namespace between it and its shell: the shell's own child, as its owner starts it.
fn line(home: &Home, arguments: &[&str]) -> String {
    home.shell_line(arguments)
}

/// Field 3 of /proc/PID/stat: `T` is stopped by job control.
fn state_of(pid: u32) -> char {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit(") ").next().unwrap().chars().next().unwrap()
}

fn group_of(pid: u32) -> Pid {
    nix::unistd::getpgid(Some(Pid::from_raw(pid as i32))).unwrap()
}

fn answers_soon(home: &Home) {
    let begun = Instant::now();
    assert!(home.run(&["status"]).status.success());
    assert!(begun.elapsed() < Duration::from_secs(5), "status took {:?}", begun.elapsed());
}

/// The prompt is there, on the main screen, with a cursor, and the terminal edits lines and echoes.
fn is_whole(terminal: &Terminal, after: &str) {
    wait_until(&format!("the main screen after {after}"), Duration::from_secs(20), || terminal.flag("alternate_on") == "0");
    terminal.type_line("clear");
    terminal.type_line("stty -a | grep -o -w -e echo -e icanon -e isig | tr '\\n' '+'; echo whole");
    terminal.wait(&format!("a whole terminal after {after}"), |screen| screen.contains("isig+icanon+echo+whole"));
    assert_eq!(terminal.flag("cursor_flag"), "1", "the cursor is hidden after {after}");
    assert_eq!(terminal.flag("mouse_any_flag"), "0", "the mouse is taken after {after}");
}

fn is_alive_with_keys(terminal: &Terminal, after: &str) {
    terminal.wait(&format!("the console after {after}"), |screen| screen.contains("PARANOID"));
    assert_eq!(terminal.flag("alternate_on"), "1", "{after}: the console paints on the main screen");
    terminal.press(&["8"]);
    terminal.wait(&format!("keys to work after {after}"), |screen| screen.contains("Health ") && screen.contains("self-test"));
    terminal.press(&["1"]);
    terminal.wait(&format!("keys to work after {after}"), |screen| screen.contains("Incidents"));
}

#[test]
fn a_guard_started_in_the_background_watches_at_once_and_its_console_comes_with_fg() {
    if !can_run(TOOLS) {
        return;
    }
    let network = Network::new();
    let home = Home::new(Some(&network));
    let terminal = shell();
    terminal.type_line("stty tostop");
    terminal.type_line(&format!("{} &", line(&home, &[])));
    wait_until("the agent to answer", Duration::from_secs(30), || home.answers());
    let pid = home.pid();
    assert_eq!(terminal.flag("alternate_on"), "0", "a background job touched the terminal:\n{}", terminal.screen());
    // Whatever the terminal sends to its jobs, the guard is not stopped by it.
    for each in [Signal::SIGTTIN, Signal::SIGTTOU, Signal::SIGTSTP] {
        signal(pid, each);
        std::thread::sleep(Duration::from_millis(300));
        assert_ne!(state_of(pid), 'T', "{each} stops the guard");
    }
    answers_soon(&home);
    terminal.type_line("fg");
    is_alive_with_keys(&terminal, "fg");
    terminal.press(&["d"]);
    is_whole(&terminal, "detaching");
    assert_eq!(home.pid(), pid, "the guard goes on");
    home.end_agent();
}

#[test]
fn a_console_stops_and_goes_on_with_its_job_while_the_guard_watches() {
    if !can_run(TOOLS) {
        return;
    }
    let network = Network::new();
    let home = Home::new(Some(&network));
    let terminal = shell();
    terminal.type_line(&line(&home, &[]));
    terminal.wait_for("PARANOID");
    wait_until("the agent to answer", Duration::from_secs(20), || home.answers());
    let pid = home.pid();
    let ways: [(&str, bool, &dyn Fn()); 4] = [
        ("ctrl-z", true, &|| terminal.press(&["C-z"])),
        ("SIGTSTP to the job", true, &|| nix::sys::signal::killpg(group_of(pid), Signal::SIGTSTP).unwrap()),
        ("SIGTSTP to the guard", true, &|| kill(Pid::from_raw(pid as i32), Signal::SIGTSTP).unwrap()),
        ("SIGSTOP to the guard", false, &|| kill(Pid::from_raw(pid as i32), Signal::SIGSTOP).unwrap()),
    ];
    for (way, watches, stop) in ways {
        stop();
        terminal.wait(&format!("the shell after {way}"), |screen| screen.contains("Stopped"));
        is_whole(&terminal, way);
        if watches {
            assert_ne!(state_of(pid), 'T', "{way} stopped the guard");
            answers_soon(&home);
        }
        terminal.type_line("fg");
        is_alive_with_keys(&terminal, &format!("{way} and fg"));
        assert_eq!(home.pid(), pid);
    }
    // A job that was stopped as a whole with what cannot be caught.
    nix::sys::signal::killpg(group_of(pid), Signal::SIGSTOP).unwrap();
    terminal.wait("the shell", |screen| screen.contains("Stopped"));
    terminal.type_line("fg");
    is_alive_with_keys(&terminal, "SIGSTOP to the job and fg");
    // bg after ctrl-z: the guard watches, the terminal stays the shell's.
    terminal.press(&["C-z"]);
    terminal.wait_for("Stopped");
    terminal.type_line("bg");
    std::thread::sleep(Duration::from_secs(1));
    is_whole(&terminal, "bg");
    answers_soon(&home);
    terminal.type_line("fg");
    is_alive_with_keys(&terminal, "bg and fg");
    terminal.press(&["d"]);
    is_whole(&terminal, "detaching");
    home.end_agent();
}

#[test]
fn a_console_alone_stops_and_goes_on_as_any_program_does() {
    if !can_run(TOOLS) {
        return;
    }
    let network = Network::new();
    let home = Home::new(Some(&network));
    let agent = home.start();
    let terminal = shell();
    terminal.type_line(&line(&home, &["attach"]));
    is_alive_with_keys(&terminal, "the start");
    for _ in 0..2 {
        terminal.press(&["C-z"]);
        terminal.wait_for("Stopped");
        is_whole(&terminal, "ctrl-z");
        answers_soon(&home);
        terminal.type_line("fg");
        is_alive_with_keys(&terminal, "fg");
    }
    terminal.press(&["q"]);
    is_whole(&terminal, "leaving");
    agent.stop();
}

/// The pid of the program that is in the foreground of this terminal and has this argument.
fn console(home: &Home, argument: &str) -> u32 {
    let socket = home.path("agent.sock").display().to_string();
    let found = std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse::<u32>().ok());
    let is_ours = |pid: &u32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
        words.first().is_some_and(|exe| exe.ends_with(b"/bartizan"))
            && words.contains(&socket.as_bytes())
            && words.contains(&argument.as_bytes())
    };
    let found: Vec<u32> = found.filter(is_ours).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found[0]
}

#[test]
fn whatever_ends_a_console_the_terminal_is_as_it_was() {
    if !can_run(TOOLS) {
        return;
    }
    let network = Network::new();
    let home = Home::new(Some(&network));
    let terminal = shell();
    for each in [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGABRT, Signal::SIGKILL] {
        terminal.type_line("clear");
        terminal.type_line(&line(&home, &[]));
        terminal.wait(&format!("the console before {each}"), |screen| screen.contains("PARANOID"));
        wait_until("the agent to answer", Duration::from_secs(20), || home.answers());
        signal(home.pid(), each);
        is_whole(&terminal, &format!("{each} to a guard with its console"));
        home.end_agent();
    }
    let agent = home.start();
    for each in [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGHUP] {
        terminal.type_line("clear");
        terminal.type_line(&line(&home, &["attach"]));
        terminal.wait(&format!("the console before {each}"), |screen| screen.contains("PARANOID"));
        signal(console(&home, "attach"), each);
        is_whole(&terminal, &format!("{each} to a console alone"));
        assert!(home.answers(), "the guard goes on");
    }
    agent.stop();
}
