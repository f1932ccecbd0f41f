//! What the waiter sells, for how much, and by which words a caller asks for it.

/// Something that can be ordered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Item {
    /// The word that names it, in the singular.
    word: &'static str,
    kind: Kind,
    /// In whole dollars.
    pub(super) price: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Pizza,
    Salad,
    Drink,
}

/// An item that is named by its kind alone, such as the plain `pizza`, comes last of its kind.
const MENU: [Item; 12] = [
    Item { word: "margherita", kind: Kind::Pizza, price: 12 },
    Item { word: "pepperoni", kind: Kind::Pizza, price: 14 },
    Item { word: "vegetarian", kind: Kind::Pizza, price: 13 },
    Item { word: "hawaiian", kind: Kind::Pizza, price: 14 },
    Item { word: "pizza", kind: Kind::Pizza, price: 11 },
    Item { word: "caesar", kind: Kind::Salad, price: 9 },
    Item { word: "greek", kind: Kind::Salad, price: 9 },
    Item { word: "salad", kind: Kind::Salad, price: 8 },
    Item { word: "cola", kind: Kind::Drink, price: 3 },
    Item { word: "lemonade", kind: Kind::Drink, price: 3 },
    Item { word: "tea", kind: Kind::Drink, price: 3 },
    Item { word: "water", kind: Kind::Drink, price: 2 },
];

/// What can be asked for as extra, or be left out.
const TOPPINGS: [&str; 7] = ["cheese", "onion", "olive", "mushroom", "garlic", "basil", "anchovy"];

impl Item {
    /// The item that a word names, in singular or plural.
    pub(super) fn named(word: &str) -> Option<&'static Self> {
        let word = match singular(word) {
            "coke" | "soda" => "cola",
            "veggie" => "vegetarian",
            other => other,
        };
        MENU.iter().find(|item| item.word == word)
    }

    /// Whether `word` only repeats what kind of thing this is, like `pizza` after `pepperoni`.
    pub(super) fn is_of_kind(&self, word: &str) -> bool {
        self.kind.word() == Some(singular(word))
    }

    /// How it is called, for example `2 pepperoni pizzas`.
    pub(super) fn describe(&self, quantity: u32) -> String {
        let name = match self.kind.word() {
            Some(kind) if kind != self.word => format!("{} {kind}", self.word),
            _ => self.word.to_owned(),
        };
        if quantity == 1 { format!("1 {name}") } else { format!("{quantity} {name}s") }
    }
}

impl Kind {
    /// The word that callers add to the name; drinks have none.
    fn word(self) -> Option<&'static str> {
        match self {
            Self::Pizza => Some("pizza"),
            Self::Salad => Some("salad"),
            Self::Drink => None,
        }
    }
}

/// Whether a word names a topping, in singular or plural.
pub(super) fn is_topping(word: &str) -> bool {
    TOPPINGS.contains(&singular(word))
}

/// The menu as a sentence.
pub(super) fn recital() -> String {
    let of = |kind: Kind| {
        let items = MENU.iter().filter(|item| item.kind == kind && kind.word() != Some(item.word));
        items.map(|item| format!("{} for {}", item.word, item.price)).collect::<Vec<_>>().join(", ")
    };
    format!(
        "Pizzas are {}. Salads are {}. Drinks are {}. All prices are in dollars. What would you like?",
        of(Kind::Pizza),
        of(Kind::Salad),
        of(Kind::Drink)
    )
}

fn singular(word: &str) -> &str {
    word.strip_suffix('s').unwrap_or(word)
}
