//! What a follower gives.
use super::*;

#[test]
fn a_followers_budget_is_a_size_and_none_by_default() {
    let of = |value| config(&with("follower.max_bytes", value)).follower.max_bytes.map(std::num::NonZeroU64::get);
    assert_eq!(config(&new_file()).follower.max_bytes, None);
    assert_eq!(
        (of(json!("500GB")), of(json!(1_048_576)), of(json!("none"))),
        (Some(500_000_000_000), Some(1 << 20), None)
    );
    assert_eq!(config(&new_file()).follower.copies.get(), 3);
    assert_eq!(config(&with("follower.copies", json!(2))).follower.copies.get(), 2);
    for (key, value, cause) in [
        ("max_bytes", json!("1 byte"), "unknown unit"),
        ("max_bytes", json!("1kB"), "out of range"),
        ("max_bytes", json!("16 EiB"), "unknown unit"),
        ("copies", json!(-1), "is invalid"),
        ("copies", json!(10_001), "above 10000"),
    ] {
        let message = fault(&with(&format!("follower.{key}"), value));
        assert!(message.contains(cause) && message.contains(key), "{message}");
    }
}
