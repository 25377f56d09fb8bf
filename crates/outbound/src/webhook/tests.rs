//! A webhook against a real HTTP server of the test's own.

use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use bartizan_model::{Alert, AlertId, AlertState, IncidentId, Severity, Timestamp};

fn alert(id: u64) -> Alert {
    let at = Timestamp::from_timestamp(1_700_000_000, 0).unwrap();
    Alert {
        id: AlertId(id),
        incident: IncidentId(1),
        at,
        updated: at,
        severity: Severity::High,
        sentence: "nginx ran a shell".to_owned(),
        count: 1,
        state: AlertState::New,
        by: None,
    }
}

fn notice(id: u64) -> Notice {
    Notice::alert("web-1", &alert(id), &[])
}

fn question() -> Notice {
    use bartizan_model::{ActionKind, ActionPlan, Approval, ApprovalId, ApprovalState, Confidence, Preview, Target};
    let at = Timestamp::from_timestamp(1_700_000_000, 0).unwrap();
    let approval = Approval {
        id: ApprovalId(5),
        incident: IncidentId(1),
        action: ActionPlan::new(ActionKind::ContainHost, Target::Host, Duration::from_secs(600)).unwrap(),
        reason: "nginx ran a shell".to_owned(),
        held_because: "mode PARANOID".to_owned(),
        confidence: Confidence::new(0.9),
        preview: Preview::default(),
        blast_radius: String::new(),
        asked_at: at,
        expires_at: at,
        state: ApprovalState::Pending,
        answered_by: None,
    };
    Notice::question("web-1", &approval, Severity::High)
}

/// A server that reads one request a connection and answers with these statuses in turn; returns the requests.
async fn serve(listener: TcpListener, answers: &[&str]) -> Vec<String> {
    let mut requests = Vec::new();
    for answer in answers {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (mut request, mut buffer) = (String::new(), [0; 4096]);
        let is_whole = |request: &str| {
            let (head, body) = request.split_once("\r\n\r\n")?;
            let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok())?;
            (body.len() >= length).then_some(())
        };
        while is_whole(&request).is_none() {
            let length = stream.read(&mut buffer).await.unwrap();
            assert!(length > 0, "cut: {request}");
            request.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
        }
        requests.push(request);
        stream
            .write_all(
                format!("HTTP/1.1 {answer}\r\nLocation: http://127.0.0.1:1/\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").as_bytes(),
            )
            .await
            .unwrap();
    }
    requests
}

async fn local() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook/SECRET", listener.local_addr().unwrap());
    (listener, url)
}

const QUICK: [Duration; 2] = [Duration::from_millis(10); 2];

#[tokio::test]
async fn an_alert_arrives_as_json_also_after_a_failure() {
    let (listener, url) = local().await;
    let (hook, delivery) = Webhook::with(&url, WebhookFormat::Json, TIMEOUT, &QUICK).unwrap();
    hook.offer(notice(6));
    let watcher = hook.clone();
    drop(hook);
    let server = tokio::spawn(async move { serve(listener, &["500 Internal Server Error", "204 No Content"]).await });
    let running = tokio::spawn(delivery.run());
    let requests = server.await.unwrap();
    let (head, body) = requests[1].split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /hook/SECRET HTTP/1.1") && head.to_lowercase().contains("content-type: application/json"), "{head}");
    assert_eq!(serde_json::from_str::<Alert>(body).unwrap(), alert(6));
    let begun = Instant::now();
    while watcher.report().sent == 0 && begun.elapsed() < TIMEOUT {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(watcher.report(), WebhookReport { sent: 1, ..WebhookReport::default() });
    drop(watcher);
    running.await.unwrap();
}

#[tokio::test]
async fn failures_are_told_without_the_secret_and_redirects_are_not_followed() {
    let (listener, url) = local().await;
    let (hook, delivery) = Webhook::with(&url, WebhookFormat::Json, TIMEOUT, &[]).unwrap();
    hook.offer(notice(1));
    let tally = Arc::clone(&hook.tally);
    drop(hook);
    let server = tokio::spawn(async move { serve(listener, &["307 Temporary Redirect"]).await });
    delivery.run().await;
    server.await.unwrap();
    let told = tally.last_error.lock().unwrap().clone().unwrap();
    assert!(told.contains("answered 307") && !told.contains("SECRET"), "{told}");
    assert_eq!((tally.failed.load(Ordering::Relaxed), tally.sent.load(Ordering::Relaxed)), (1, 0));
}

#[tokio::test]
async fn a_silent_or_absent_server_is_given_up_and_too_many_alerts_are_counted() {
    let (listener, url) = local().await;
    let (hook, delivery) = Webhook::with(&url, WebhookFormat::Json, Duration::from_millis(100), &[]).unwrap();
    for id in 0..QUEUE as u64 + 3 {
        hook.offer(notice(id));
    }
    assert_eq!(hook.report().dropped, 3);
    let running = tokio::spawn(delivery.run());
    let begun = Instant::now();
    while hook.report().failed == 0 && begun.elapsed() < TIMEOUT {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(hook.report().last_error.unwrap().starts_with("no answer in time"));
    drop(listener);
    while !hook.report().last_error.is_some_and(|why| why.starts_with("cannot connect")) {
        assert!(begun.elapsed() < TIMEOUT, "{:?}", hook.report());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    running.abort();
}

#[test]
fn an_address_that_is_none_is_one_line() {
    let error = Webhook::new("https://", WebhookFormat::Json).unwrap_err().to_string();
    assert!(error.starts_with("webhook (no address): ") && !error.contains('\n'), "{error}");
}

#[tokio::test]
async fn a_question_is_pushed_in_the_form_that_each_receiver_takes() {
    for format in [WebhookFormat::Json, WebhookFormat::Slack, WebhookFormat::Discord, WebhookFormat::Ntfy] {
        let (listener, url) = local().await;
        let (hook, delivery) = Webhook::with(&url, format, TIMEOUT, &[]).unwrap();
        hook.offer(question());
        drop(hook);
        let server = tokio::spawn(async move { serve(listener, &["200 OK"]).await });
        delivery.run().await;
        let request = server.await.unwrap().remove(0);
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        for word in ["nginx ran a shell", "contain this host", "bartizan approve Q5", "bartizan reject Q5", "Answer until"] {
            assert!(body.contains(word), "{format:?}: {word} is not in {body}");
        }
        let json = serde_json::from_str::<serde_json::Value>(body);
        match format {
            WebhookFormat::Json => assert_eq!(json.unwrap()["approval"]["id"], "Q5"),
            WebhookFormat::Slack => assert!(json.unwrap()["text"].as_str().unwrap().starts_with("QUESTION Q5 on web-1")),
            WebhookFormat::Discord => assert!(json.unwrap()["content"].as_str().unwrap().starts_with("QUESTION Q5 on web-1")),
            WebhookFormat::Ntfy => {
                assert!(
                    head.to_lowercase().contains("title: question q5 on web-1") && head.to_lowercase().contains("priority: 5"),
                    "{head}"
                );
                assert!(json.is_err() && body.starts_with("QUESTION Q5 on web-1"));
            }
        }
    }
}

#[tokio::test]
async fn a_flood_of_alerts_is_limited_and_counted_and_holds_back_no_question() {
    let (listener, url) = local().await;
    let (hook, delivery) = Webhook::with(&url, WebhookFormat::Slack, TIMEOUT, &[]).unwrap();
    for id in 0..100 {
        hook.offer(notice(id));
    }
    hook.offer(question());
    let watcher = Arc::clone(&hook.tally);
    drop(hook);
    let answers = vec!["200 OK"; BURST as usize + 1];
    let server = tokio::spawn(async move { serve(listener, &answers).await });
    delivery.run().await;
    let requests = server.await.unwrap();
    assert!(requests[0].contains("QUESTION Q5"), "the question goes first: {}", requests[0]);
    assert_eq!(watcher.sent.load(Ordering::Relaxed), u64::from(BURST) + 1);
    assert_eq!(watcher.limited.load(Ordering::Relaxed), 100 - u64::from(BURST));
    let mut bucket = Bucket { left: 0, at: tokio::time::Instant::now() };
    assert!(!bucket.take(bucket.at) && bucket.take(bucket.at + PAUSE) && !bucket.take(bucket.at));
}

#[tokio::test]
async fn too_many_requests_is_tried_again_when_the_other_side_asked_for_it_and_a_refusal_is_not() {
    let (listener, url) = local().await;
    let (hook, delivery) = Webhook::with(&url, WebhookFormat::Json, TIMEOUT, &QUICK).unwrap();
    hook.offer(notice(1));
    hook.offer(notice(2));
    hook.offer(notice(3));
    let tally = Arc::clone(&hook.tally);
    drop(hook);
    let begun = Instant::now();
    let answers = ["429 Too Many Requests\r\nRetry-After: 0.7", "204 No Content", "404 Not Found", "204 No Content"];
    let server = tokio::spawn(async move { serve(listener, &answers).await });
    delivery.run().await;
    let requests = server.await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(700), "{:?}", begun.elapsed());
    for (request, id) in requests.iter().zip(["L1", "L1", "L2", "L3"]) {
        assert!(request.contains(&format!("\"id\":\"{id}\"")), "{id}: {request}");
    }
    assert_eq!((tally.sent.load(Ordering::Relaxed), tally.failed.load(Ordering::Relaxed)), (2, 1));
}

#[test]
fn nobody_can_ask_for_more_than_a_minute() {
    let asked = |value: &str| asked(&[(reqwest::header::RETRY_AFTER, value.parse().unwrap())].into_iter().collect());
    assert_eq!(asked("1.5"), Some(Duration::from_millis(1500)));
    assert_eq!(asked("86400"), Some(LONGEST_ASKED));
    for nonsense in ["-1", "inf", "NaN", "1e400"] {
        assert!(asked(nonsense).is_some_and(|asked| asked <= LONGEST_ASKED), "{nonsense}");
    }
    assert_eq!(asked("Wed, 21 Oct 2026 07:28:00 GMT"), None);
}
