//! An order as it grows from what the caller says. It knows nothing of messages or tools.

use super::menu::{Item, is_topping};
use super::words::{Words, number};

/// The most of one item that the waiter writes down; a larger number is a mistake of the transcription.
const MOST_OF_ONE_ITEM: u32 = 20;

/// What has been ordered so far.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) lines: Vec<Line>,
    pub(super) fulfilment: Option<Fulfilment>,
}

/// One item of an order, any number of times.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    item: &'static Item,
    quantity: u32,
    /// For example `no onions`.
    pub(super) details: Vec<String>,
}

/// How the food reaches the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fulfilment {
    Pickup,
    Delivery { address: Option<String> },
}

/// What an order still needs, in the order in which the waiter asks.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Missing {
    Items,
    Fulfilment,
    Address,
}

/// What the caller's words meant.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Something was ordered, left out, or said about where it goes.
    Order,
    /// The caller said yes to an order that was complete by then.
    Agreed,
    Declined,
    AskedForMenu,
    Nothing,
}

impl Order {
    /// Takes in what the caller says.
    pub(super) fn hear(&mut self, text: &str) -> Heard {
        let words = Words::of(text);
        if self.awaits_address() && is_street(&words) {
            self.fulfilment = Some(Fulfilment::Delivery { address: Some(clean(text)) });
            return Heard::Order;
        }
        if asks_for_menu(&words) {
            return Heard::AskedForMenu;
        }
        let was_complete = self.missing().is_none();
        let ordered = self.hear_items(&words);
        let placed = self.hear_fulfilment(&words, text);
        match (ordered || placed, answer_of(&words)) {
            (true, _) => Heard::Order,
            (false, Some(true)) if was_complete || self.lines.is_empty() => Heard::Agreed,
            (false, Some(false)) => Heard::Declined,
            (false, None) if self.hear_loose_address(&words, text) => Heard::Order,
            (false, Some(true) | None) => Heard::Nothing,
        }
    }

    /// The first thing to ask for; none when the order can be placed.
    pub(super) fn missing(&self) -> Option<Missing> {
        if self.lines.is_empty() {
            return Some(Missing::Items);
        }
        match &self.fulfilment {
            None => Some(Missing::Fulfilment),
            Some(Fulfilment::Delivery { address: None }) => Some(Missing::Address),
            Some(_) => None,
        }
    }

    /// In whole dollars.
    pub(super) fn total(&self) -> u32 {
        self.lines.iter().map(Line::amount).sum()
    }

    /// The items as a caller would say them.
    pub(super) fn describe(&self) -> String {
        let lines = self.lines.iter().map(|line| {
            let details: Vec<String> = line.details.iter().map(|detail| format!(" with {detail}")).collect();
            format!("{}{}", line.describe(), details.concat())
        });
        lines.collect::<Vec<_>>().join(" and ")
    }

    /// The order read back, with the question whether to place it.
    pub(super) fn confirmation(&self) -> String {
        let place = match &self.fulfilment {
            Some(Fulfilment::Delivery { address: Some(address) }) => format!("for delivery to {address}"),
            Some(Fulfilment::Delivery { address: None }) => "for delivery".to_owned(),
            Some(Fulfilment::Pickup) | None => "for pickup".to_owned(),
        };
        let (items, total) = (self.describe(), self.total());
        format!("That is {items}, {place}. The total is {total} dollars. Shall I place the order?")
    }

    fn awaits_address(&self) -> bool {
        self.missing() == Some(Missing::Address)
    }

    fn hear_items(&mut self, words: &Words) -> bool {
        let mut heard = false;
        let mut quantity = 1;
        let mut latest: Option<&'static Item> = None;
        let mut leaving_out = false;
        for (index, word) in words.iter().enumerate() {
            if let Some(number) = number(word) {
                quantity = number.clamp(1, MOST_OF_ONE_ITEM);
            } else if is_topping(word) {
                heard |= self.hear_topping(words, index);
            } else if latest.take().is_some_and(|item| item.is_of_kind(word)) {
                // The kind of the item before, which is written down already.
            } else if let Some(item) = Item::named(word) {
                heard |= if leaving_out { self.remove(item) } else { self.add(item, quantity) };
                (latest, quantity, leaving_out) = (Some(item), 1, false);
            } else {
                leaving_out = leaves_out(word) || (leaving_out && word == "the");
            }
        }
        heard
    }

    /// `extra cheese`, `no onions` and the like belong to the item named last.
    fn hear_topping(&mut self, words: &Words, index: usize) -> bool {
        let Some(before) = index.checked_sub(1).and_then(|before| words.get(before)) else {
            return false;
        };
        let (Some(line), Some(topping)) = (self.lines.last_mut(), words.get(index)) else {
            return false;
        };
        let detail = match before {
            "no" | "without" => format!("no {topping}"),
            "extra" | "with" => format!("extra {topping}"),
            _ => return false,
        };
        if !line.details.contains(&detail) {
            line.details.push(detail);
        }
        true
    }

    fn add(&mut self, item: &'static Item, quantity: u32) -> bool {
        let same = self.lines.iter_mut().find(|line| line.item == item && line.details.is_empty());
        match same {
            Some(line) => line.quantity = (line.quantity + quantity).min(MOST_OF_ONE_ITEM),
            None => self.lines.push(Line { item, quantity, details: Vec::new() }),
        }
        true
    }

    fn remove(&mut self, item: &'static Item) -> bool {
        let before = self.lines.len();
        self.lines.retain(|line| line.item != item);
        self.lines.len() < before
    }

    fn hear_fulfilment(&mut self, words: &Words, text: &str) -> bool {
        if words.has_any(&["pickup", "collect"])
            || words.has_phrase("pick up")
            || words.has_phrase("pick it up")
        {
            self.fulfilment = Some(Fulfilment::Pickup);
            return true;
        }
        if !words.has_any(&["delivery", "deliver", "delivered"]) {
            return false;
        }
        let address = text.split_once(" to ").map(|(_, place)| clean(place));
        let address = address.filter(|place| place.contains(|character: char| character.is_ascii_digit()));
        let known = match self.fulfilment.take() {
            Some(Fulfilment::Delivery { address }) => address,
            Some(Fulfilment::Pickup) | None => None,
        };
        self.fulfilment = Some(Fulfilment::Delivery { address: address.or(known) });
        true
    }

    /// Anything said in reply to the question for the address, unless it was a yes, a no or an order.
    fn hear_loose_address(&mut self, words: &Words, text: &str) -> bool {
        let is_address = self.awaits_address() && words.len() >= 2;
        if is_address {
            self.fulfilment = Some(Fulfilment::Delivery { address: Some(clean(text)) });
        }
        is_address
    }
}

impl Line {
    /// For example `2 pepperoni pizzas`.
    pub(super) fn describe(&self) -> String {
        self.item.describe(self.quantity)
    }

    /// In whole dollars.
    pub(super) fn amount(&self) -> u32 {
        self.item.price * self.quantity
    }
}

/// An utterance that names a street with a number is an address, even if a word of it is on the menu.
fn is_street(words: &Words) -> bool {
    let streets =
        ["street", "st", "avenue", "ave", "road", "rd", "lane", "drive", "boulevard", "square", "court"];
    words.has_any(&streets) && words.iter().any(|word| number(word).is_some())
}

fn asks_for_menu(words: &Words) -> bool {
    let asks = matches!(words.get(0), Some("what" | "which" | "whats")) && !words.has_phrase("what about");
    asks || words.has("menu") || words.has_phrase("how much") || words.has_phrase("do you have")
}

fn leaves_out(word: &str) -> bool {
    matches!(word, "no" | "without" | "remove" | "cancel" | "drop")
}

/// Yes, no, or neither. `No, that's all` is a yes to the order.
fn answer_of(words: &Words) -> Option<bool> {
    let phrases =
        ["thats all", "that is all", "thats it", "go ahead", "sounds good", "nothing else", "please do"];
    let yes =
        words.has_any(&["yes", "yeah", "yep", "yup", "sure", "correct", "right", "ok", "okay", "perfect"]);
    if (yes || phrases.iter().any(|phrase| words.has_phrase(phrase))) && !words.has("not") {
        return Some(true);
    }
    words.has_any(&["no", "nope", "not", "wrong", "change", "wait"]).then_some(false)
}

/// Without the punctuation that a transcription puts around it.
fn clean(text: &str) -> String {
    text.trim_matches(|character: char| !character.is_alphanumeric()).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(utterances: &[&str]) -> (Order, Heard) {
        let mut order = Order::default();
        let mut heard = Heard::Nothing;
        for utterance in utterances {
            heard = order.hear(utterance);
        }
        (order, heard)
    }

    #[test]
    fn items_come_with_quantities_and_details() {
        let (order, _) =
            after(&["I'd like two pepperoni pizzas with extra cheese, no onions, and a coke please."]);
        assert_eq!(order.describe(), "2 pepperoni pizzas with extra cheese with no onions and 1 cola");
        assert_eq!(order.total(), 31);
        assert_eq!(order.missing(), Some(Missing::Fulfilment));
    }

    #[test]
    fn a_kind_alone_is_an_item_too() {
        let (order, _) = after(&["a pizza, a greek salad and three waters"]);
        assert_eq!(order.describe(), "1 pizza and 1 greek salad and 3 waters");
    }

    #[test]
    fn an_item_can_be_added_to_and_removed() {
        let (order, _) = after(&["a cola and a pizza", "another cola"]);
        assert_eq!(order.describe(), "2 colas and 1 pizza");
        let (order, heard) = after(&["a cola and a pizza", "remove the cola"]);
        assert_eq!((order.describe().as_str(), heard), ("1 pizza", Heard::Order));
    }

    #[test]
    fn a_delivery_needs_an_address() {
        let (order, _) = after(&["one pizza for delivery"]);
        assert_eq!(order.missing(), Some(Missing::Address));
        let (order, _) = after(&["one pizza for delivery", "12 Cola Street, Springfield."]);
        let address = Some("12 Cola Street, Springfield".to_owned());
        assert_eq!(order.fulfilment, Some(Fulfilment::Delivery { address }));
        assert_eq!(order.describe(), "1 pizza");
        let (order, _) = after(&["one pizza", "please deliver it to 5 Elm Road"]);
        assert_eq!(order.missing(), None);
    }

    #[test]
    fn a_yes_counts_only_once_the_order_is_complete() {
        assert_eq!(after(&["a pizza", "yes"]).1, Heard::Nothing);
        assert_eq!(after(&["a pizza for pickup, that's all"]).1, Heard::Order);
        for yes in ["yes", "No, that's all.", "that is right", "go ahead"] {
            assert_eq!(after(&["a pizza for pickup", yes]).1, Heard::Agreed, "{yes}");
        }
        for no in ["no", "that is not right", "wait"] {
            assert_eq!(after(&["a pizza for pickup", no]).1, Heard::Declined, "{no}");
        }
    }

    #[test]
    fn a_question_orders_nothing() {
        let (order, heard) = after(&["What pizzas do you have?"]);
        assert_eq!((order, heard), (Order::default(), Heard::AskedForMenu));
    }

    #[test]
    fn a_misheard_quantity_is_bounded() {
        assert_eq!(after(&["4000000000 pizzas", "4000000000 pizzas"]).0.total(), 11 * MOST_OF_ONE_ITEM);
    }
}
