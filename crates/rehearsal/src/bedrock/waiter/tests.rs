//! Whole conversations with the waiter, its tool calls answered by the test, without HTTP.

use serde_json::{Value, json};

use super::super::rules;
use super::*;

/// A call in which the test plays the caller and the tools.
struct Call {
    messages: Vec<Value>,
    tools: Vec<Value>,
    /// What the tools were called with.
    called: Vec<(String, Value)>,
    place_order_fails: bool,
}

impl Call {
    fn with_tools(names: &[&str]) -> Self {
        let tool =
            |name: &&str| json!({"toolSpec": {"name": name, "inputSchema": {"json": {"type": "object"}}}});
        let tools = names.iter().map(tool).collect();
        Self { messages: Vec::new(), tools, called: Vec::new(), place_order_fails: false }
    }

    fn at_the_restaurant() -> Self {
        Self::with_tools(&[PLACE_ORDER, PICKUP_TIME, DELIVERY_TIME])
    }

    /// Says something and lets the waiter run its tools until it only speaks; returns all that it said.
    fn say(&mut self, text: &str) -> String {
        self.messages.push(json!({"role": "user", "content": [{"text": text}]}));
        let mut said = String::new();
        for _ in 0..5 {
            let answer = self.ask();
            said.push_str(&answer.full_text());
            if !self.run_tools(&answer) {
                return said;
            }
        }
        panic!("the waiter does not stop calling tools: {:?}", self.called);
    }

    fn ask(&self) -> Answer {
        let mut body = json!({"system": [{"text": "Be a pirate."}], "messages": self.messages});
        if !self.tools.is_empty() {
            body["toolConfig"] = json!({"tools": self.tools});
        }
        rules::check(&body).unwrap();
        let request = ConverseRequest::new("m", body);
        let answer = Waiter.answer(&request);
        assert_eq!(answer, Waiter.answer(&request), "the same request gets the same answer");
        answer
    }

    /// Puts the answer in the history, with results for its tool calls; false when it had none.
    fn run_tools(&mut self, answer: &Answer) -> bool {
        let mut content = Vec::new();
        let mut results = Vec::new();
        if !answer.full_text().is_empty() {
            content.push(json!({"text": answer.full_text()}));
        }
        for (id, name, input) in answer.tool_calls() {
            let input: Value = serde_json::from_str(input).unwrap();
            content.push(json!({"toolUse": {"toolUseId": id, "name": name, "input": input}}));
            results.push(json!({"toolResult": self.run(id, name)}));
            self.called.push((name.to_owned(), input));
        }
        self.messages.push(json!({"role": "assistant", "content": content}));
        if results.is_empty() {
            return false;
        }
        self.messages.push(json!({"role": "user", "content": results}));
        true
    }

    fn run(&self, id: &str, name: &str) -> Value {
        let (status, result) = match name {
            PLACE_ORDER if self.place_order_fails => ("error", json!({"message": "The kitchen is on fire."})),
            PLACE_ORDER => ("success", json!({"message": "Your order has been accepted."})),
            PICKUP_TIME => ("success", json!({"pickupTime": 15})),
            DELIVERY_TIME => ("success", json!({"deliveryTime": "1 hour"})),
            _ => ("success", json!({"message": "It is sunny."})),
        };
        json!({"toolUseId": id, "content": [{"text": result.to_string()}], "status": status})
    }
}

#[test]
fn takes_an_order_for_delivery_from_hello_to_goodbye() {
    let mut call = Call::at_the_restaurant();
    assert!(call.say("Hello").starts_with(INTRODUCTION));
    assert!(
        call.say("Two pepperoni pizzas with extra cheese and a lemonade").contains("pickup or for delivery")
    );
    assert!(call.say("Delivery please").contains("address"));
    assert_eq!(
        call.say("12 Main Street"),
        "That is 2 medium Pepperoni pizzas with extra cheese and 1 lemonade, for delivery to 12 Main Street. \
         The total is 38.50 dollars, delivery included. Shall I place the order?"
    );
    assert!(call.called.is_empty());
    let said = call.say("Yes");
    assert!(said.contains("ready in 1 hour") && said.contains("stand-in"), "{said}");
    assert_eq!(
        call.called,
        [
            (
                PLACE_ORDER.to_owned(),
                json!({
                    "current_order": [
                        {
                            "line_item": "2 medium Pepperoni pizzas",
                            "additonal_details": "extra cheese",
                            "line_amount": 31.0,
                        },
                        {"line_item": "1 lemonade", "line_amount": 3.5},
                    ],
                    "order_type": "delivery",
                    "order_total": 38.5,
                    "delivery_address": "12 Main Street",
                })
            ),
            (DELIVERY_TIME.to_owned(), json!({"order_type": "delivery"})),
        ]
    );
    assert_eq!(call.say("No, thank you"), "Thank you for calling. Goodbye.");
}

#[test]
fn takes_an_order_for_pickup_and_then_another() {
    let mut call = Call::at_the_restaurant();
    call.say("a rocket salad for pickup");
    assert!(call.say("that's all").contains("ready in 15 minutes"));
    call.say("another large garden to pick up");
    call.say("yes");
    let totals: Vec<&Value> = call.called.iter().filter_map(|(_, input)| input.get("order_total")).collect();
    assert_eq!(totals, [8.5, 18.5]);
}

#[test]
fn an_order_that_failed_can_be_tried_again() {
    let mut call = Call::at_the_restaurant();
    call.place_order_fails = true;
    call.say("an ember for pickup");
    assert!(call.say("yes").contains("could not place the order"));
    call.place_order_fails = false;
    assert!(call.say("yes please").contains("ready in 15 minutes"));
}

#[test]
fn an_order_without_tools_for_the_time_is_accepted() {
    let mut call = Call::with_tools(&[PLACE_ORDER]);
    call.say("an ember for pickup");
    assert!(call.say("yes").contains("has been accepted"));
}

#[test]
fn tells_the_menu_and_reacts_to_keys() {
    let mut call = Call::at_the_restaurant();
    assert!(call.say("What do you have?").contains("Pepperoni for 14 or 18"));
    assert_eq!(call.say("(The caller pressed 4 5 6 on the keypad.)"), "You pressed 4 5 6. Thank you.");
    call.say("A margherita");
    assert!(call.say("Delivery").contains("address"));
    call.say("(The caller pressed 1 2 on the keypad.)");
    assert!(call.say("As I said, delivery").contains("address"), "keys are no address");
}

#[test]
fn asks_which_pizza_and_says_which_size() {
    let mut call = Call::at_the_restaurant();
    assert!(call.say("I'd like a pizza").contains("Which pizza would you like?"));
    assert_eq!(
        call.say("A Garden"),
        "That is 1 medium Garden pizza. Pizzas are medium unless you say large. Is it for pickup or for delivery?"
    );
    assert_eq!(call.say("Large."), "That is 1 large Garden pizza. Is it for pickup or for delivery?");
}

#[test]
fn says_goodbye_and_ends_the_call_when_it_can() {
    let mut call = Call::with_tools(&[END_CALL]);
    call.say("What is gravity?");
    call.messages.push(json!({"role": "user", "content": [{"text": "Thank you, that's all."}]}));
    let answer = call.ask();
    assert!(answer.full_text().starts_with("Goodbye"), "{}", answer.full_text());
    assert_eq!(answer.tool_calls()[0].1, END_CALL);
    assert!(
        Call::with_tools(&[]).say("Goodbye").contains("Goodbye"),
        "nothing is called that is not on offer"
    );
}

#[test]
fn chats_when_there_is_nothing_to_order() {
    let mut call = Call::with_tools(&[]);
    assert!(call.say("Hello").starts_with(INTRODUCTION));
    let said = call.say("What is relativity?");
    assert!(said.contains("relativity") && !said.contains(INTRODUCTION), "{said}");
}

#[test]
fn runs_an_errand_with_an_unknown_tool() {
    let mut call = Call::with_tools(&["LookUpWeather"]);
    let said = call.say("please look up the weather");
    assert!(said.ends_with("This is what I found: It is sunny."), "{said}");
    assert_eq!(call.called[0].0, "LookUpWeather");
}
