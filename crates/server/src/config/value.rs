//! Values that several sections have in common: durations, numbers in a range, sizes, lists.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};

/// Reads a value from text, or says what is wrong with it.
pub(super) type Parse<T> = fn(&str) -> Result<T, String>;

/// A whole number from `MIN` to `MAX`.
pub(super) fn whole<'de, D, T, const MIN: u64, const MAX: u64>(source: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<u64>,
{
    let number = i64::deserialize(source)?;
    u64::try_from(number)
        .ok()
        .filter(|number| (MIN..=MAX).contains(number))
        .and_then(|number| T::try_from(number).ok())
        .ok_or_else(|| D::Error::custom(format!("must be {MIN} to {MAX}, not {number}")))
}

/// A duration with its unit, from `MIN` to `MAX` milliseconds.
pub(super) fn duration<'de, D, const MIN: u64, const MAX: u64>(
    source: D,
) -> Result<Duration, D::Error>
where
    D: Deserializer<'de>,
{
    let duration = source.deserialize_any(DurationVisitor)?;
    let (min, max) = (Duration::from_millis(MIN), Duration::from_millis(MAX));
    if (min..=max).contains(&duration) {
        return Ok(duration);
    }
    let [min, max, duration] = [min, max, duration].map(humantime::format_duration);
    Err(D::Error::custom(format!("must be {min} to {max}, not {duration}")))
}

struct DurationVisitor;

impl Visitor<'_> for DurationVisitor {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration such as 50ms")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Duration, E> {
        let text = text.trim();
        if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
            return Err(bare_number(text));
        }
        humantime::parse_duration(text)
            .map_err(|_| E::custom(format!("{text:?} is no duration; write 50ms, 10s or 5m")))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Duration, E> {
        Err(bare_number(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Duration, E> {
        Err(bare_number(number))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Duration, E> {
        Err(bare_number(number))
    }
}

fn bare_number<E: Error>(number: impl fmt::Display) -> E {
    E::custom(format!("a duration carries a unit; write {number}ms or {number}s, not {number}"))
}

/// A setting that may be absent; empty text counts as absent.
pub(super) fn optional<'de, D, T>(source: D, parse: Parse<T>) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
{
    let text = String::deserialize(source)?;
    match text.trim() {
        "" => Ok(None),
        text => parse(text).map(Some).map_err(D::Error::custom),
    }
}

/// A setting of text that is read by `parse`.
pub(super) fn parsed<'de, D, T>(source: D, parse: Parse<T>) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
{
    parse(String::deserialize(source)?.trim()).map_err(D::Error::custom)
}

/// A list whose items are read by `parse`; a fault is that of the item.
pub(super) fn list<'de, D, T>(source: D, parse: Parse<T>) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
{
    source.deserialize_seq(List(parse))
}

struct List<T>(Parse<T>);
struct Item<T>(Parse<T>);

impl<'de, T> Visitor<'de> for List<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Item(self.0))? {
            list.push(item);
        }
        Ok(list)
    }
}

impl<'de, T> DeserializeSeed<'de> for Item<T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<T, D::Error> {
        parsed(source, self.0)
    }
}

/// One word of a few.
pub(super) fn word<T: Copy>(text: &str, known: &[(&str, T)]) -> Result<T, String> {
    if let Some((_, value)) = known.iter().find(|(word, _)| *word == text) {
        Ok(*value)
    } else {
        let words: Vec<_> = known.iter().map(|(word, _)| *word).collect();
        Err(format!("{text:?} is not one of {}", words.join(", ")))
    }
}

/// A path; empty text counts as absent.
pub(super) fn path<'de, D, T>(source: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: for<'a> From<&'a str>,
{
    optional(source, |text| Ok(T::from(text)))
}

/// A number of bytes with its unit, such as `10MiB`.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    if unit.is_empty() {
        return Err(format!("a size carries a unit; write {text}KiB or {text}MiB, not {text}"));
    }
    let scale: u64 = match unit.trim_start() {
        "B" => 1,
        "KB" | "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(format!("{text:?} is no size; write 512KiB, 10MiB or 1GB")),
    };
    match u64::from_str(number).ok().and_then(|number| number.checked_mul(scale)) {
        Some(0) => Err("must be at least 1B".to_owned()),
        Some(bytes) => Ok(bytes),
        None => Err(format!("{text:?} is no size; write 512KiB, 10MiB or 1GB")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_carries_its_unit() {
        assert_eq!(size("1B"), Ok(1));
        assert_eq!(size("10 MiB"), Ok(10 << 20));
        assert_eq!(size("2GB"), Ok(2_000_000_000));
        assert_eq!(size("10").unwrap_err(), "a size carries a unit; write 10KiB or 10MiB, not 10");
        for text in ["MiB", "-1MiB", "1.5MiB", "10mib", "99999999999GiB", "0KiB"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
