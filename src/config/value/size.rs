//! Sizes as Go's programs write them: `64MiB`, `1.5GB`, `1048576`.

/// Why a text is no size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// Not of the grammar.
    #[error("invalid size {0:?}: it is a number with a unit, such as 64MiB")]
    Invalid(String),
    /// Letters that name no unit.
    #[error("unknown unit {unit:?} in size {text:?}: units are B, KiB, MiB, GiB, TiB, and KB, MB, GB, TB")]
    UnknownUnit {
        /// The letters.
        unit: String,
        /// The whole text.
        text: String,
    },
    /// Above 64 bits.
    #[error("size {0:?} is too large")]
    TooLarge(String),
}

/// Returns the bytes that a text means: a number, also with a point, and a unit of 1,000s or 1,024s in any case; without
/// one it is bytes.
///
/// # Errors
/// [`SizeError`].
///
/// # Examples
/// ```
/// use ipfs_cluster::config::parse_size;
/// assert_eq!(parse_size("64MiB"), Ok(67_108_864));
/// assert_eq!(parse_size("1.5 gb"), Ok(1_500_000_000));
/// ```
pub fn parse_size(text: &str) -> Result<u64, SizeError> {
    let number = text.trim();
    let end = number.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(number.len());
    let (number, unit) = number.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || fraction.is_empty() || fraction.contains('.') {
        return Err(SizeError::Invalid(text.into()));
    }
    let unit = unit.trim();
    let factor = factor(unit).ok_or_else(|| SizeError::UnknownUnit { unit: unit.into(), text: text.into() })?;
    // Eighteen digits after the point are more than any factor has, and fit.
    let fraction: String = fraction.chars().take(18).collect();
    let (divisor, fraction) = (10_u128.pow(u32::try_from(fraction.len()).unwrap_or(0)), fraction.parse::<u128>());
    let whole = whole.parse::<u64>().map_err(|_| SizeError::TooLarge(text.into()))?;
    let bytes = u128::from(whole) * u128::from(factor) + fraction.unwrap_or(0) * u128::from(factor) / divisor;
    u64::try_from(bytes).map_err(|_| SizeError::TooLarge(text.into()))
}

fn factor(unit: &str) -> Option<u64> {
    Some(match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" | "k" => 1_000,
        "mb" | "m" => 1_000_000,
        "gb" | "g" => 1_000_000_000,
        "tb" | "t" => 1_000_000_000_000,
        "kib" | "ki" => 1 << 10,
        "mib" | "mi" => 1 << 20,
        "gib" | "gi" => 1 << 30,
        "tib" | "ti" => 1 << 40,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_are_read_with_their_units() {
        for (text, bytes) in [
            ("0", 0),
            ("1048576", 1 << 20),
            ("64MiB", 64 << 20),
            ("64 mib", 64 << 20),
            ("1.5KiB", 1536),
            ("2GB", 2_000_000_000),
            ("16B", 16),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_told() {
        for text in ["", "MiB", "-1", ".", "1.", ".5MB", "1.2.3"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
        assert!(matches!(parse_size("5 parsecs"), Err(SizeError::UnknownUnit { unit, .. }) if unit == "parsecs"));
        for text in ["18446744073709551616", "99999999TiB", "999999999999999999999MB"] {
            assert_eq!(parse_size(text), Err(SizeError::TooLarge(text.into())));
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[-+]?[0-9.]{0,40} ?[a-zA-Zµ]{0,4}") {
            let _ = parse_size(&text);
        }

        #[test]
        fn a_number_is_so_many_bytes(bytes: u64) {
            prop_assert_eq!(parse_size(&bytes.to_string()), Ok(bytes));
        }
    }
}
