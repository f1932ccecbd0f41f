//! Strangers who hold connections, guess signatures or send too much, and that nobody else suffers from them.

use rehearsal::bedrock::Answer;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use trunkline::config::ConnectionSettings;
use trunkline::metrics::Counter;

use crate::bare::{Bare, Setup, http};
use crate::socket::{connected, open};
use crate::support::{
    CALLED, CALLER, DEFAULT, SOON, bedrock, dialogue, get, stage, stage_with, use_case, webhook,
};

const TOO_LARGE: u16 = 1009;
const POLICY: u16 = 1008;

#[tokio::test]
async fn a_message_of_more_than_a_mebibyte_costs_the_socket_and_not_the_call() {
    let stage = stage([use_case(DEFAULT, json!({}))]).await;
    let mut socket = connected(&stage).await;
    bedrock(&stage).script(Answer::text("I am listening."));
    socket.say("Remember me.").await;
    socket.agent_turn().await;
    socket.send("x".repeat(1024 * 1024 + 1)).await;
    assert_eq!(socket.close_code().await, TOO_LARGE);
    assert_eq!(stage.metrics.value(Counter::FramesMalformed), 1);
    let mut resumed = open(&stage, &socket.call_sid).await;
    resumed.set_up().await;
    resumed.say("Who am I?").await;
    resumed.agent_turn().await;
    let asked = bedrock(&stage).requests().pop().unwrap();
    assert!(dialogue(&asked)[0].starts_with("user: Remember me."), "{:?}", dialogue(&asked));
}

#[tokio::test]
async fn a_flood_of_messages_is_dropped_and_then_closed() {
    let stage = stage([use_case(DEFAULT, json!({}))]).await;
    let (mut flooding, mut sound) = (connected(&stage).await, connected(&stage).await);
    for _ in 0..2000 {
        flooding.send(r#"{"type":"novelty"}"#).await;
    }
    sound.say("Hello").await;
    sound.agent_turn().await;
    for _ in 0..5000 {
        flooding.send(r#"{"type":"novelty"}"#).await;
    }
    assert_eq!(flooding.close_code().await, POLICY);
    assert!(stage.metrics.value(Counter::FramesDropped) >= 5000);
    assert_eq!(stage.metrics.value(Counter::FramesMalformed), 0);
}

#[tokio::test]
async fn silent_connections_make_room_and_health_checks_are_answered() {
    let limits = [("MAX_CONNECTIONS_PER_SOURCE", "3")];
    let stage = stage_with(&limits, [use_case(DEFAULT, json!({}))]).await;
    let mut silent = TcpStream::connect(stage.address).await.unwrap();
    let mut nothing = [0];
    let closed = timeout(SOON, silent.read(&mut nothing));
    let others = async {
        let mut held = Vec::new();
        loop {
            held.push(TcpStream::connect(stage.address).await.unwrap());
            for path in ["/health", "/ready"] {
                assert_eq!(get(&format!("{}{path}", stage.public_url)).await.status, 200);
            }
            webhook(&stage, "/twiml").post().await.relay();
        }
    };
    tokio::select! {
        closed = closed => assert!(matches!(closed.expect("it is closed"), Ok(0) | Err(_))),
        () = others => {}
    }
    assert!(stage.metrics.value(Counter::ConnectionsRefused) > 0);
}

#[tokio::test]
async fn who_shows_no_signature_is_not_even_read() {
    let stage = stage([use_case(DEFAULT, json!({}))]).await;
    let mut connection = TcpStream::connect(stage.address).await.unwrap();
    let head = "POST /twiml HTTP/1.1\r\nhost: a\r\ncontent-length: 60000\r\n\r\nCallSid=";
    connection.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    // Less than the time in which a body must come.
    let read = timeout(std::time::Duration::from_secs(4), connection.read_exact(&mut answer)).await;
    read.expect("nobody waits for the body").unwrap();
    assert_eq!(&answer, b"HTTP/1.1 403");
}

/// A service behind a load balancer on this machine.
async fn behind_a_proxy() -> Bare {
    let trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let connections = ConnectionSettings { most: 1000, most_per_source: 1, trusted_proxies };
    Bare::start(Setup { connections, ..Setup::default() }).await
}

async fn status(request: reqwest::RequestBuilder, source: &str) -> u16 {
    request.header("x-forwarded-for", source).send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn who_is_refused_too_often_is_told_no_more_and_others_notice_nothing() {
    const GUESSER: &str = "203.0.113.9";
    let service = behind_a_proxy().await;
    let client = http();
    let webhook = || client.post(format!("{}/twiml", service.url));
    for _ in 0..25 {
        assert_eq!(status(webhook(), GUESSER).await, 403);
        let guess = client.get(format!("{}/api/calls/L1", service.url)).bearer_auth("a guess");
        assert_eq!(status(guess, GUESSER).await, 401);
    }
    let mut told = Vec::new();
    for _ in 0..100 {
        told.push(status(webhook(), GUESSER).await);
    }
    let throttled = told.iter().filter(|status| **status == 429).count();
    // Time makes good for some.
    assert!(throttled >= 50 && told.iter().all(|status| [403, 429].contains(status)), "{told:?}");
    assert_eq!(service.metrics.value(Counter::RequestsThrottled), throttled as u64);
    assert_eq!(status(webhook(), "203.0.113.10").await, 403, "others are told why");
    assert_eq!(status(webhook(), &format!("203.0.113.10, {GUESSER}, 127.0.0.9")).await, 429);
    for path in ["/health", "/ready"] {
        assert_eq!(status(client.get(format!("{}{path}", service.url)), GUESSER).await, 200);
    }
}

/// Anybody with an account can have Twilio send us requests that are signed for somebody else.
#[tokio::test]
async fn what_is_signed_is_answered_whatever_else_its_source_sends() {
    let service = behind_a_proxy().await;
    let fields = [("CallSid", "CA1"), ("From", CALLER), ("To", CALLED)];
    let mut refused = Vec::new();
    for _ in 0..80 {
        refused.push(service.post_signed_by("another token", "/twiml", &fields).await.0);
    }
    assert!(refused[0] == 403 && refused.contains(&429), "{refused:?}");
    let twiml = service.post("/twiml", &fields).await;
    assert!(twiml.contains("<ConversationRelay"), "{twiml}");
}
