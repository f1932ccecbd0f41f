//! An order as it grows: its lines, where it goes, what it costs and what is still missing. How it follows from what
//! the caller says is in [`super::hearing`].

use super::menu::{DELIVERY, EXTRA_TOPPING, Item, Size, dollars};

/// The most of one item that the waiter writes down; a larger number is a mistake of the transcription.
pub(super) const MOST_OF_ONE_ITEM: u32 = 20;

/// What has been ordered so far.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) lines: Vec<Line>,
    pub(super) fulfilment: Option<Fulfilment>,
}

/// One item of an order, any number of times.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) item: &'static Item,
    pub(super) quantity: u32,
    /// As the caller named it. A pizza without one is medium.
    pub(super) size: Option<Size>,
    pub(super) wishes: Vec<Wish>,
}

/// What is different from the menu.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Extra(String),
    Without(String),
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

impl Order {
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

    /// In cents, with the delivery.
    pub(super) fn total(&self) -> u32 {
        let delivery = if self.is_delivered() { DELIVERY } else { 0 };
        self.lines.iter().map(Line::amount).sum::<u32>() + delivery
    }

    /// The items as a caller would say them.
    pub(super) fn describe(&self) -> String {
        let lines = self.lines.iter().map(|line| {
            let wishes = line.wishes.iter().map(|wish| match wish {
                Wish::Extra(_) => format!(" with {}", wish.describe()),
                Wish::Without(topping) => format!(" without {topping}"),
            });
            line.describe() + &wishes.collect::<String>()
        });
        lines.collect::<Vec<_>>().join(" and ")
    }

    /// Whether a pizza is medium only because nobody said otherwise.
    pub(super) fn assumes_a_size(&self) -> bool {
        self.lines.iter().any(|line| line.item.has_sizes() && line.size.is_none())
    }

    /// The order read back, with the question whether to place it.
    pub(super) fn confirmation(&self) -> String {
        let place = match &self.fulfilment {
            Some(Fulfilment::Delivery { address: Some(address) }) => format!("for delivery to {address}"),
            Some(Fulfilment::Delivery { address: None }) => "for delivery".to_owned(),
            Some(Fulfilment::Pickup) | None => "for pickup".to_owned(),
        };
        let delivery = if self.is_delivered() { ", delivery included" } else { "" };
        let (items, total) = (self.describe(), dollars(self.total()));
        format!("That is {items}, {place}. The total is {total} dollars{delivery}. Shall I place the order?")
    }

    pub(super) fn awaits_address(&self) -> bool {
        self.missing() == Some(Missing::Address)
    }

    fn is_delivered(&self) -> bool {
        matches!(self.fulfilment, Some(Fulfilment::Delivery { .. }))
    }
}

impl Line {
    /// For example `2 large Pepperoni pizzas`, without the wishes.
    pub(super) fn describe(&self) -> String {
        self.item.describe(self.quantity, self.priced_size())
    }

    /// In cents.
    pub(super) fn amount(&self) -> u32 {
        let extras = self.wishes.iter().filter(|wish| matches!(wish, Wish::Extra(_)));
        let each = extras.fold(self.item.price(self.priced_size()), |price, _| price + EXTRA_TOPPING);
        each * self.quantity
    }

    fn priced_size(&self) -> Size {
        self.size.unwrap_or(Size::Medium)
    }
}

impl Wish {
    /// For example `no olives`.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Extra(topping) => format!("extra {topping}"),
            Self::Without(topping) => format!("no {topping}"),
        }
    }
}
