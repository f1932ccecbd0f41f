//! What the waiter sells, for how much, and by which words a caller asks for it: the menu of the sample use case.

use super::words::Words;

/// Something that can be ordered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Item {
    /// The words that name it, in the singular. Any of them is enough; those of two words are said in a row.
    names: &'static [&'static str],
    one: &'static str,
    many: &'static str,
    price: Price,
}

/// In cents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Price {
    BySize { medium: u32, large: u32 },
    Fixed(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    Medium,
    Large,
}

/// What each extra topping costs, in cents.
pub(super) const EXTRA_TOPPING: u32 = 150;
/// What a delivery costs, in cents.
pub(super) const DELIVERY: u32 = 400;

const MENU: [Item; 11] = [
    Item {
        names: &["margherita", "margarita"],
        one: "Margherita pizza",
        many: "Margherita pizzas",
        price: Price::BySize { medium: 1250, large: 1600 },
    },
    Item {
        names: &["ember"],
        one: "Ember pizza",
        many: "Ember pizzas",
        price: Price::BySize { medium: 1500, large: 1950 },
    },
    Item {
        names: &["garden"],
        one: "Garden pizza",
        many: "Garden pizzas",
        price: Price::BySize { medium: 1450, large: 1850 },
    },
    Item {
        names: &["four cheese", "4 cheese"],
        one: "Four cheese pizza",
        many: "Four cheese pizzas",
        price: Price::BySize { medium: 1450, large: 1850 },
    },
    Item {
        names: &["pepperoni"],
        one: "Pepperoni pizza",
        many: "Pepperoni pizzas",
        price: Price::BySize { medium: 1400, large: 1800 },
    },
    Item { names: &["calzone"], one: "ham calzone", many: "ham calzones", price: Price::Fixed(1300) },
    Item {
        names: &["rocket", "arugula", "salad"],
        one: "rocket salad",
        many: "rocket salads",
        price: Price::Fixed(850),
    },
    Item {
        names: &["garlic knot", "knot"],
        one: "portion of garlic knots",
        many: "portions of garlic knots",
        price: Price::Fixed(600),
    },
    Item { names: &["tiramisu"], one: "tiramisu", many: "tiramisus", price: Price::Fixed(700) },
    Item {
        names: &["water", "pellegrino"],
        one: "mineral water",
        many: "mineral waters",
        price: Price::Fixed(300),
    },
    Item { names: &["lemonade"], one: "lemonade", many: "lemonades", price: Price::Fixed(350) },
];

/// What can be asked for as extra, or be left out, in the singular.
const TOPPINGS: [&str; 16] = [
    "artichoke",
    "basil",
    "cheese",
    "fontina",
    "gorgonzola",
    "ham",
    "honey",
    "mozzarella",
    "mushroom",
    "olive",
    "pecorino",
    "pepper",
    "pepperoni",
    "salami",
    "tomato",
    "zucchini",
];

impl Item {
    /// The item that the words at `index` name, in singular or plural, and how many words they are. `salad` after
    /// `rocket`, or `pizza` after `pepperoni`, belongs to the name.
    pub(super) fn at(words: &Words, index: usize) -> Option<(&'static Self, usize)> {
        let is_said = |name: &&str| {
            name.split(' ')
                .zip(index..)
                .all(|(word, at)| words.get(at).is_some_and(|own| singular(own) == word))
        };
        let named = |item: &'static Self| Some((item, item.names.iter().find(|name| is_said(name))?));
        let (item, name) = MENU.iter().find_map(named)?;
        let length = name.split(' ').count();
        let repeats_kind = words.get(index + length).is_some_and(|word| item.one.ends_with(singular(word)));
        Some((item, length + usize::from(repeats_kind)))
    }

    pub(super) fn has_sizes(&self) -> bool {
        matches!(self.price, Price::BySize { .. })
    }

    /// In cents. What has no sizes costs the same whatever the size.
    pub(super) fn price(&self, size: Size) -> u32 {
        match (self.price, size) {
            (Price::BySize { medium: price, .. }, Size::Medium)
            | (Price::BySize { large: price, .. }, Size::Large)
            | (Price::Fixed(price), _) => price,
        }
    }

    /// How it is called, for example `2 large Pepperoni pizzas`.
    pub(super) fn describe(&self, quantity: u32, size: Size) -> String {
        let name = if quantity == 1 { self.one } else { self.many };
        match size {
            _ if !self.has_sizes() => format!("{quantity} {name}"),
            Size::Medium => format!("{quantity} medium {name}"),
            Size::Large => format!("{quantity} large {name}"),
        }
    }
}

impl Size {
    pub(super) fn named(word: &str) -> Option<Self> {
        match word {
            "medium" | "small" | "regular" => Some(Self::Medium),
            "large" | "big" => Some(Self::Large),
            _ => None,
        }
    }
}

/// Whether a word names a topping, in singular or plural.
pub(super) fn is_topping(word: &str) -> bool {
    let is_plural = |rest: &str| matches!(rest, "" | "s" | "es");
    TOPPINGS.iter().any(|topping| word.strip_prefix(topping).is_some_and(is_plural))
}

/// The pizzas by their first names.
pub(super) const PIZZAS: &str = "Margherita, Ember, Garden, Four cheese and Pepperoni";

/// The menu as two sentences and a question.
pub(super) fn recital() -> String {
    let of = |has_sizes: bool| {
        let items = MENU.iter().filter(|item| item.has_sizes() == has_sizes);
        let said = items.map(|item| match item.price {
            Price::BySize { medium, large } => {
                format!("{} for {} or {}", short(item), dollars(medium), dollars(large))
            }
            Price::Fixed(price) => format!("{} for {}", short(item), dollars(price)),
        });
        said.collect::<Vec<_>>().join(", ")
    };
    format!(
        "Pizzas, medium or large, are {}. Besides, there is {}. All prices are in dollars. What would you like?",
        of(true),
        of(false)
    )
}

/// An amount in cents as dollars: `14`, or `14.50`.
pub(super) fn dollars(cents: u32) -> String {
    match cents % 100 {
        0 => format!("{}", cents / 100),
        rest => format!("{}.{rest:02}", cents / 100),
    }
}

/// The name without what every item of its kind is called.
fn short(item: &Item) -> &str {
    let name = item.one.strip_suffix(" pizza").unwrap_or(item.one);
    name.strip_prefix("portion of ").unwrap_or(name)
}

fn singular(word: &str) -> &str {
    word.strip_suffix('s').unwrap_or(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str) -> Option<(&'static str, usize)> {
        Item::at(&Words::of(text), 0).map(|(item, length)| (item.one, length))
    }

    #[test]
    fn a_name_takes_all_of_its_words() {
        assert_eq!(named("Margheritas, please"), Some(("Margherita pizza", 1)));
        assert_eq!(named("four cheese pizzas and"), Some(("Four cheese pizza", 3)));
        assert_eq!(named("rocket salad"), Some(("rocket salad", 2)));
        assert_eq!(named("garlic knots"), Some(("portion of garlic knots", 2)));
        assert_eq!(named("pizza"), None);
        assert_eq!(named("four pizzas"), None);
    }

    #[test]
    fn toppings_come_in_singular_and_plural() {
        assert!(["olive", "olives", "tomatoes", "honey"].iter().all(|word| is_topping(word)));
        assert!(!["pizza", "olivia"].iter().any(|word| is_topping(word)));
    }

    #[test]
    fn amounts_are_in_dollars() {
        assert_eq!([1400, 1450, 5].map(dollars), ["14", "14.50", "0.05"]);
    }

    #[test]
    fn the_pizzas_are_those_of_the_menu() {
        let pizzas = MENU.iter().filter(|item| item.has_sizes());
        assert!(pizzas.map(short).all(|name| PIZZAS.contains(name)));
    }
}
