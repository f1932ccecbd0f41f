//! A wrapper for what must not reach a log: phone numbers, names, words of a call.

use std::fmt;

/// Holds a value and refuses to print it. `Debug` and `Display` show `<private>`.
///
/// Reading the value is always spelled out with [`Private::expose`], so a review can find each place that does.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Private<T>(T);

impl<T> Private<T> {
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    pub const fn expose(&self) -> &T {
        &self.0
    }

    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> From<T> for Private<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl<T> fmt::Debug for Private<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("<private>")
    }
}

impl<T> fmt::Display for Private<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("<private>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_value_is_never_printed() {
        let number = Private::new("+14155550100");
        assert_eq!(format!("{number} {number:?} {:?}", Some(&number)), "<private> <private> Some(<private>)");
        assert_eq!(*number.expose(), "+14155550100");
    }
}
