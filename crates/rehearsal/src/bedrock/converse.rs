//! The `Converse` operation: a plan performed in silence and answered with one JSON document.

use axum::Json;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::answer::{Answer, Part};
use super::exchange::Exchange;
use super::performance::{stall, wait};
use super::plan::{Cue, stop_reason};
use super::server::{Accepted, cut_response, refuse};

/// Takes as long as the stream would, and then answers at once. Faults inside the stream become HTTP errors.
pub(super) async fn perform(accepted: Accepted) -> Response {
    let Accepted { mut exchange, answer, cues } = accepted;
    for cue in &cues {
        match cue {
            Cue::Event { .. } | Cue::Token { .. } => {}
            Cue::Wait(length) => {
                if wait(*length, &exchange).await.is_err() {
                    return cut_response();
                }
            }
            Cue::Exception { name, message } => return fail(&mut exchange, name, message),
            Cue::Stall => {
                stall(&exchange).await;
                return cut_response();
            }
            Cue::Cut => {
                exchange.complete();
                return cut_response();
            }
        }
    }
    let metadata = cues.last().map_or(&Value::Null, |cue| match cue {
        Cue::Event { payload, .. } => payload,
        _ => &Value::Null,
    });
    match reply(&answer, metadata) {
        Ok(reply) => {
            exchange.complete();
            Json(reply).into_response()
        }
        Err(error) => fail(&mut exchange, "modelErrorException", &error.to_string()),
    }
}

/// The whole reply, or why a tool's input is not JSON.
fn reply(answer: &Answer, metadata: &Value) -> serde_json::Result<Value> {
    let mut content: Vec<Value> = Vec::new();
    let mut text = String::new();
    for part in &answer.parts {
        match part {
            Part::Text(tokens) => text.push_str(&tokens.concat()),
            Part::Tool { id, name, input } => {
                push_text(&mut content, &mut text);
                let input: Value = serde_json::from_str(input)?;
                content.push(json!({"toolUse": {"toolUseId": id, "name": name, "input": input}}));
            }
            Part::Pause(_) | Part::Stall | Part::Exception { .. } | Part::Cut => {}
        }
    }
    push_text(&mut content, &mut text);
    let mut reply = json!({
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": stop_reason(answer),
        "usage": metadata["usage"],
        "metrics": metadata["metrics"],
    });
    if let Some(trace) = metadata.get("trace") {
        reply["trace"] = trace.clone();
    }
    Ok(reply)
}

fn push_text(content: &mut Vec<Value>, text: &mut String) {
    if !text.is_empty() {
        content.push(json!({"text": std::mem::take(text)}));
    }
}

/// Before the response has begun, an exception is an HTTP error under its name in upper camel case.
fn fail(exchange: &mut Exchange, name: &str, message: &str) -> Response {
    let status = match name {
        "validationException" => 400,
        "modelTimeoutException" => 408,
        "modelErrorException" | "modelStreamErrorException" => 424,
        "throttlingException" => 429,
        "serviceUnavailableException" => 503,
        _ => 500,
    };
    let (first, rest) = name.split_at(name.chars().next().map_or(0, char::len_utf8));
    refuse(exchange, status, &format!("{}{rest}", first.to_uppercase()), message)
}
