//! What the caller's words do to an order. It knows nothing of messages or tools.

use super::menu::{Item, Size, is_topping};
use super::order::{Fulfilment, Line, MOST_OF_ONE_ITEM, Order, Wish};
use super::words::{Words, number};

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

    fn hear_items(&mut self, words: &Words) -> bool {
        let mut heard = false;
        let mut quantity = 1;
        let mut index = 0;
        while let Some(word) = words.get(index) {
            let mut taken = 1;
            if self.hear_wish(words, index) {
                heard = true;
            } else if let Some((item, length)) = Item::at(words, index) {
                let size = index.checked_sub(1).and_then(|before| Size::named(words.get(before)?));
                heard |= if is_left_out(words, index) {
                    self.remove(item)
                } else {
                    self.add(item, quantity, size)
                };
                (taken, quantity) = (length, 1);
            } else if let Some(number) = number(word) {
                quantity = number.clamp(1, MOST_OF_ONE_ITEM);
            } else if let Some(size) = Size::named(word) {
                heard |= Item::at(words, index + 1).is_none() && self.resize(size);
            }
            index += taken;
        }
        heard
    }

    /// `extra cheese`, `no olives` and the like belong to the pizza named last. False when this is no wish.
    fn hear_wish(&mut self, words: &Words, index: usize) -> bool {
        let Some(topping) = words.get(index).filter(|word| is_topping(word)) else { return false };
        let joins = |word: &str| {
            matches!(word, "and" | "or" | "any" | "some" | "the" | "spicy" | "roasted" | "chili")
        };
        let wish = match before(words, index, |word| joins(word) || is_topping(word)) {
            Some("no" | "without") => Wish::Without(topping.to_owned()),
            Some("extra" | "with") => Wish::Extra(topping.to_owned()),
            _ => return false,
        };
        // `No pepperoni` takes back a pizza rather than what is on it.
        let named = Item::at(words, index).map(|(item, _)| item);
        if matches!(wish, Wish::Without(_)) && self.lines.iter().any(|line| Some(line.item) == named) {
            return false;
        }
        let Some(line) = self.lines.iter_mut().rev().find(|line| line.item.has_sizes()) else { return false };
        if !line.wishes.contains(&wish) {
            line.wishes.push(wish);
        }
        true
    }

    fn add(&mut self, item: &'static Item, quantity: u32, size: Option<Size>) -> bool {
        let same = |line: &Line| line.item == item && line.size == size && line.wishes.is_empty();
        let known = self.lines.iter().position(same);
        // The line named last is the last one, to which wishes and sizes belong.
        let mut line =
            known.map_or(Line { item, quantity: 0, size, wishes: Vec::new() }, |at| self.lines.remove(at));
        line.quantity = (line.quantity + quantity).min(MOST_OF_ONE_ITEM);
        self.lines.push(line);
        true
    }

    fn remove(&mut self, item: &'static Item) -> bool {
        let before = self.lines.len();
        self.lines.retain(|line| line.item != item);
        self.lines.len() < before
    }

    /// A size by itself is that of the pizza named last.
    fn resize(&mut self, size: Size) -> bool {
        let pizza = self.lines.iter_mut().rev().find(|line| line.item.has_sizes());
        pizza.is_some_and(|line| {
            line.size = Some(size);
            true
        })
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

/// Whether the item at `index` is taken back: `no water`, `remove the two waters`. `No, two waters` orders them.
fn is_left_out(words: &Words, index: usize) -> bool {
    let is_article = |word: &str| word == "the" || Size::named(word).is_some();
    match before(words, index, is_article) {
        Some("no" | "without") => true,
        _ => matches!(
            before(words, index, |word| is_article(word) || number(word).is_some()),
            Some("remove" | "cancel" | "drop")
        ),
    }
}

/// The last word before `index` that is not to be skipped.
fn before(words: &Words, index: usize, skip: impl Fn(&str) -> bool) -> Option<&str> {
    (0..index).rev().filter_map(|at| words.get(at)).find(|word| !skip(word))
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
    use super::super::order::Missing;
    use super::*;

    fn after(utterances: &[&str]) -> (Order, Heard) {
        let mut order = Order::default();
        let mut heard = Heard::Nothing;
        for utterance in utterances {
            heard = order.hear(utterance);
        }
        (order, heard)
    }

    #[track_caller]
    fn assert_order(utterances: &[&str], description: &str, total: u32) {
        let (order, _) = after(utterances);
        assert_eq!((order.describe().as_str(), order.total()), (description, total));
    }

    #[test]
    fn items_come_with_quantities_sizes_and_wishes() {
        assert_order(
            &["I'd like two large pepperoni pizzas with extra cheese, no olives, and a lemonade please."],
            "2 large Pepperoni pizzas with extra cheese without olives and 1 lemonade",
            2 * (1800 + 150) + 350,
        );
        assert_order(
            &["two four cheese pizzas, a calzone, garlic knots and three waters"],
            "2 medium Four cheese pizzas and 1 ham calzone and 1 portion of garlic knots and 3 mineral waters",
            2 * 1450 + 1300 + 600 + 3 * 300,
        );
        assert_order(
            &["an Ember with extra olives and mushrooms, and a tiramisu"],
            "1 medium Ember pizza with extra olives with extra mushrooms and 1 tiramisu",
            1500 + 2 * 150 + 700,
        );
    }

    #[test]
    fn what_follows_something_left_out_is_ordered() {
        assert_order(
            &["a margherita without basil, a rocket salad and a water"],
            "1 medium Margherita pizza without basil and 1 rocket salad and 1 mineral water",
            1250 + 850 + 300,
        );
        for text in ["without basil, a rocket salad and a water", "No, a rocket salad and a water."] {
            assert_order(&[text], "1 rocket salad and 1 mineral water", 1150);
        }
    }

    #[test]
    fn a_size_belongs_to_the_pizza_beside_it() {
        assert_order(
            &["a garden, large, and a medium ember"],
            "1 large Garden pizza and 1 medium Ember pizza",
            1850 + 1500,
        );
        let (order, _) = after(&["a garden"]);
        assert!(order.assumes_a_size());
        let (order, heard) = after(&["a garden and a lemonade", "make it a large one"]);
        assert_eq!((order.describe().as_str(), heard), ("1 large Garden pizza and 1 lemonade", Heard::Order));
        assert!(!order.assumes_a_size());
    }

    #[test]
    fn an_item_can_be_added_to_and_removed() {
        assert_order(
            &["a water and a garden", "another water"],
            "1 medium Garden pizza and 2 mineral waters",
            2050,
        );
        let taken_back = ["remove the water", "cancel the two waters", "no water after all"];
        for words in taken_back {
            let (order, heard) = after(&["two waters and a garden", words]);
            assert_eq!(
                (order.describe().as_str(), heard),
                ("1 medium Garden pizza", Heard::Order),
                "{words}"
            );
        }
        assert_order(&["a pepperoni and a garden", "no pepperoni"], "1 medium Garden pizza", 1450);
    }

    #[test]
    fn a_delivery_needs_an_address() {
        let (order, _) = after(&["one garden for delivery"]);
        assert_eq!(order.missing(), Some(Missing::Address));
        let (order, _) = after(&["one garden for delivery", "12 Garden Street, Springfield."]);
        let address = Some("12 Garden Street, Springfield".to_owned());
        assert_eq!(order.fulfilment, Some(Fulfilment::Delivery { address }));
        assert_eq!((order.describe().as_str(), order.total()), ("1 medium Garden pizza", 1850));
        let (order, _) = after(&["one garden", "please deliver it to 5 Elm Road"]);
        assert_eq!(order.missing(), None);
    }

    #[test]
    fn a_yes_counts_only_once_the_order_is_complete() {
        assert_eq!(after(&["a garden", "yes"]).1, Heard::Nothing);
        assert_eq!(after(&["a garden for pickup, that's all"]).1, Heard::Order);
        for yes in ["yes", "No, that's all.", "that is right", "go ahead"] {
            assert_eq!(after(&["a garden for pickup", yes]).1, Heard::Agreed, "{yes}");
        }
        for no in ["no", "that is not right", "wait"] {
            assert_eq!(after(&["a garden for pickup", no]).1, Heard::Declined, "{no}");
        }
    }

    #[test]
    fn a_question_orders_nothing() {
        let (order, heard) = after(&["What is on the Garden?"]);
        assert_eq!((order, heard), (Order::default(), Heard::AskedForMenu));
    }

    #[test]
    fn a_misheard_quantity_is_bounded() {
        let total = after(&["4000000000 gardens", "4000000000 gardens"]).0.total();
        assert_eq!(total, 1450 * MOST_OF_ONE_ITEM);
    }
}
