//! The small deterministic waiter who answers in development: takes an order, places it with the tools on offer, and
//! chats when there is nothing to order. It is no model, and says so.
//!
//! It remembers nothing: where a call stands follows from the messages of the request alone, so that an interruption
//! or a resumed call changes its mind as it would a model's.

use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::brain::Brain;
use super::request::{ConverseRequest, blocks, is_role, list, text_of};

mod chat;
mod errand;
mod hearing;
mod menu;
mod order;
mod words;

#[cfg(test)]
mod tests;

use hearing::Heard;
use order::{Fulfilment, Missing, Order, Wish};
use words::Words;

/// Takes orders for the sample restaurant when its tools are on offer, and chats otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiter;

const PLACE_ORDER: &str = "PlaceOrderFunction";
const PICKUP_TIME: &str = "CheckRestaurantPickUpTime";
const DELIVERY_TIME: &str = "CheckRestaurantDeliveryTime";
const END_CALL: &str = "end_call";
const TRANSFERS: [&str; 2] = ["transfer_to_human", "support"];

const INTRODUCTION: &str = "I am a stand-in for a real model.";

impl Brain for Waiter {
    fn answer(&self, request: &ConverseRequest) -> Answer {
        let visit = Visit::read(request);
        let reply = visit.reply(request);
        if visit.introduced || reply.full_text().contains(INTRODUCTION) {
            return reply;
        }
        introduce(&reply)
    }
}

/// The same reply, after saying what is speaking.
fn introduce(reply: &Answer) -> Answer {
    let text = reply.full_text();
    let spoken = if text.is_empty() { INTRODUCTION.to_owned() } else { format!("{INTRODUCTION} {text}") };
    let calls = reply.tool_calls().into_iter();
    calls.fold(Answer::text(spoken), |answer, (id, name, input)| answer.then_raw_tool(id, name, input))
}

/// Where a call stands after its messages.
struct Visit {
    order: Order,
    /// What the last words of the caller did to the order.
    heard: Heard,
    /// The last order that was placed in this call.
    placed: Option<Fulfilment>,
    /// Whether the caller has heard that this is a stand-in.
    introduced: bool,
    /// How many tools were called so far, for ids that are new in this call.
    calls: usize,
}

impl Visit {
    fn read(request: &ConverseRequest) -> Self {
        let mut visit = Self {
            order: Order::default(),
            heard: Heard::Nothing,
            placed: None,
            introduced: false,
            calls: 0,
        };
        for message in request.messages() {
            if is_role(message, "assistant") {
                visit.introduced |= text_of(message).contains(INTRODUCTION);
                visit.calls += blocks(message, "toolUse").count();
            } else {
                visit.read_caller(request, message);
            }
        }
        visit
    }

    fn read_caller(&mut self, request: &ConverseRequest, message: &Value) {
        let accepted = blocks(message, "toolResult")
            .any(|result| called_tool(request, result) == Some(PLACE_ORDER) && !is_error(result));
        if accepted {
            self.placed = std::mem::take(&mut self.order).fulfilment;
        }
        let text = text_of(message);
        if !text.is_empty() && chat::pressed_keys(&text).is_none() {
            self.heard = self.order.hear(&text);
        }
    }

    fn reply(&self, request: &ConverseRequest) -> Answer {
        let last_text = request.messages().last().map(text_of).unwrap_or_default();
        let results = request.tool_results_of_last_message();
        if let Some(result) = results.last().filter(|_| last_text.is_empty()) {
            return self.reply_to_result(request, result);
        }
        if let Some(keys) = chat::pressed_keys(&last_text) {
            return Answer::text(format!("You pressed {keys}. Thank you."));
        }
        let own_tools = [PLACE_ORDER, PICKUP_TIME, DELIVERY_TIME];
        let takes_orders = request.tool_names().contains(&PLACE_ORDER);
        let words = Words::of(&last_text);
        if let Some((tool, input)) = errand::choose(request, &words, &last_text)
            && !(takes_orders && own_tools.contains(&tool))
        {
            return self.call(Answer::text("One moment, please."), tool, &input);
        }
        if takes_orders {
            return self.serve(&words);
        }
        let transfer = TRANSFERS.iter().find(|tool| request.tool_names().contains(tool));
        if let Some(tool) = transfer
            && chat::wants_a_person(&words)
        {
            let said: Vec<&str> = words.iter().collect();
            let summary = format!("The caller said: {}.", said.join(" "));
            let input = json!({ "reason": "The caller asked for a person.", "summary": summary });
            return self.call(Answer::text("I will get you somebody."), tool, &input);
        }
        let reply = Answer::text(chat::reply(&words));
        if chat::is_farewell(&words) && request.tool_names().contains(&END_CALL) {
            return self.call(reply, END_CALL, &json!({"reason": "The caller said goodbye."}));
        }
        reply
    }

    /// The next step of taking an order.
    fn serve(&self, words: &Words) -> Answer {
        match (&self.heard, self.order.missing()) {
            (Heard::Agreed, None) => {
                let input = order_input(&self.order);
                self.call(Answer::text("I am placing your order now."), PLACE_ORDER, &input)
            }
            (Heard::AskedForMenu, _) => Answer::text(menu::recital()),
            (Heard::Declined, None) => Answer::text("What would you like to change?"),
            (_, Some(Missing::Items)) => self.ask_for_items(words),
            (_, Some(Missing::Fulfilment)) => Answer::text(self.ask_for_fulfilment()),
            (_, Some(Missing::Address)) => Answer::text("What is the address for the delivery?"),
            (_, None) => Answer::text(self.order.confirmation()),
        }
    }

    fn ask_for_fulfilment(&self) -> String {
        let size = if self.order.assumes_a_size() { " Pizzas are medium unless you say large." } else { "" };
        format!("That is {}.{size} Is it for pickup or for delivery?", self.order.describe())
    }

    fn ask_for_items(&self, words: &Words) -> Answer {
        let farewell =
            self.heard == Heard::Declined || self.heard == Heard::Agreed || words.has_any(&FAREWELLS);
        if self.placed.is_some() && farewell {
            return Answer::text("Thank you for calling. Goodbye.");
        }
        if words.has_any(&["pizza", "pizzas"]) {
            return Answer::text(format!("Which pizza would you like? We have {}.", menu::PIZZAS));
        }
        let nothing_understood = self.introduced && self.heard == Heard::Nothing;
        let sorry = if nothing_understood { "I did not find that on the menu. " } else { "" };
        Answer::text(format!(
            "{sorry}What would you like to order? We have pizzas, a salad, sweets and drinks."
        ))
    }

    fn reply_to_result(&self, request: &ConverseRequest, result: &Value) -> Answer {
        let tool = called_tool(request, result);
        if is_error(result) {
            let failed = if tool == Some(PLACE_ORDER) { "place the order" } else { "do that" };
            return Answer::text(format!("I am sorry, I could not {failed}. Shall I try again?"));
        }
        match tool {
            Some(PLACE_ORDER) => self.check_time(request),
            Some(PICKUP_TIME | DELIVERY_TIME) => Answer::text(format!(
                "Your order will be ready in {}. {INTRODUCTION} Is there anything else?",
                time_of(result)
            )),
            _ => Answer::text(format!("This is what I found: {}", said_by(result))),
        }
    }

    /// After an order was placed: asks when it is ready, if there is a tool for that.
    fn check_time(&self, request: &ConverseRequest) -> Answer {
        let delivered = matches!(self.placed, Some(Fulfilment::Delivery { .. }));
        let (tool, order_type) =
            if delivered { (DELIVERY_TIME, "delivery") } else { (PICKUP_TIME, "pickup") };
        if request.tool_names().contains(&tool) {
            return self.call(Answer::empty(), tool, &json!({"order_type": order_type}));
        }
        Answer::text(format!("Your order has been accepted. {INTRODUCTION} Is there anything else?"))
    }

    fn call(&self, answer: Answer, tool: &str, input: &Value) -> Answer {
        answer.then_tool(format!("tooluse_stand-in-{}", self.calls + 1), tool, input.clone())
    }
}

const FAREWELLS: [&str; 4] = ["bye", "goodbye", "thanks", "thank"];

/// The input of the tool that places orders. `additonal_details` is how that tool spells it.
fn order_input(order: &Order) -> Value {
    let lines = order.lines.iter().map(|line| {
        let mut fields = Map::new();
        fields.insert("line_item".to_owned(), json!(line.describe()));
        if !line.wishes.is_empty() {
            let wishes: Vec<String> = line.wishes.iter().map(Wish::describe).collect();
            fields.insert("additonal_details".to_owned(), json!(wishes.join(", ")));
        }
        fields.insert("line_amount".to_owned(), json!(in_dollars(line.amount())));
        Value::Object(fields)
    });
    let mut input =
        json!({"current_order": lines.collect::<Vec<_>>(), "order_total": in_dollars(order.total())});
    match &order.fulfilment {
        Some(Fulfilment::Delivery { address }) => {
            input["order_type"] = json!("delivery");
            if let Some(address) = address {
                input["delivery_address"] = json!(address);
            }
        }
        Some(Fulfilment::Pickup) | None => input["order_type"] = json!("pickup"),
    }
    input
}

fn in_dollars(cents: u32) -> f64 {
    f64::from(cents) / 100.0
}

/// The name of the tool whose call this result answers.
fn called_tool<'a>(request: &'a ConverseRequest, result: &Value) -> Option<&'a str> {
    let id = result.get("toolUseId")?;
    let calls = request.messages().iter().flat_map(|message| blocks(message, "toolUse"));
    calls.filter(|call| call.get("toolUseId") == Some(id)).find_map(|call| call.get("name")?.as_str())
}

fn is_error(result: &Value) -> bool {
    result.get("status").and_then(Value::as_str) == Some("error")
}

/// The content of a result as values: `json` blocks, and text that may itself be JSON.
fn contents(result: &Value) -> impl Iterator<Item = Value> {
    list(result, "content").iter().filter_map(|block| {
        let text = || block.get("text").and_then(Value::as_str);
        let parsed = || text().and_then(|text| serde_json::from_str(text).ok());
        block.get("json").cloned().or_else(parsed).or_else(|| text().map(Value::from))
    })
}

/// When an order is ready, from the result of a tool that tells; a bare number is minutes.
fn time_of(result: &Value) -> String {
    let times = contents(result).find_map(|content| {
        let time = content.get("pickupTime").or_else(|| content.get("deliveryTime"))?;
        Some(match time {
            Value::String(text) if text.parse::<u32>().is_err() => text.clone(),
            Value::String(minutes) => format!("{minutes} minutes"),
            other => format!("{other} minutes"),
        })
    });
    times.unwrap_or_else(|| "a while".to_owned())
}

/// What a result has to say: its `message`, its text, or else its JSON.
fn said_by(result: &Value) -> String {
    let said = contents(result).map(|content| {
        let text = content.get("message").unwrap_or(&content);
        text.as_str().map_or_else(|| text.to_string(), str::to_owned)
    });
    said.collect::<Vec<_>>().join(" ")
}
