//! Query parameters by Go's rules: the first value wins, an empty one is none.
use std::collections::BTreeMap;

use url::form_urlencoded;

use super::Time;
use super::pin::mode_name;
use crate::model::PinOptions;

/// Most parameters that are kept; the head's size bounds them too.
const PARAMETERS_MAX: usize = 1024;

/// The parameters of a request, decoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query(BTreeMap<String, String>);

impl Query {
    /// Reads what follows the `?`.
    ///
    /// Pairs with a `;` are passed over, as Go does.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut map = BTreeMap::new();
        for pair in text.split('&').filter(|pair| !pair.contains(';')).take(PARAMETERS_MAX) {
            for (key, value) in form_urlencoded::parse(pair.as_bytes()) {
                map.entry(key.into_owned()).or_insert_with(|| value.into_owned());
            }
        }
        Self(map)
    }

    /// The value of `key`; `None` when absent or empty.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Whether `key` is the literal `true`, which is the only yes that some parameters know.
    #[must_use]
    pub fn is_true(&self, key: &str) -> bool {
        self.get(key) == Some("true")
    }

    /// The parameters whose key begins with `prefix`, in key order, with the rest of the key; empty values count.
    pub fn with_prefix<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let pairs = self.0.iter().filter_map(move |(key, value)| Some((key.strip_prefix(prefix)?, value.as_str())));
        pairs.filter(|(rest, _)| !rest.is_empty())
    }
}

/// Writes options as Go's client sends them: sorted, all but a few always present.
#[must_use]
pub fn options_to_query(options: &PinOptions) -> String {
    let list = |texts: Vec<String>| texts.join(",");
    let mut pairs: BTreeMap<String, String> = BTreeMap::from([
        ("name".into(), options.name.clone()),
        ("mode".into(), mode_name(options.mode).into()),
        ("replication-min".into(), options.replication_min.to_string()),
        ("replication-max".into(), options.replication_max.to_string()),
        ("shard-size".into(), options.shard_size.to_string()),
        ("user-allocations".into(), list(options.user_allocations.iter().map(ToString::to_string).collect())),
    ]);
    if let Some(expire_at) = options.expire_at {
        pairs.insert("expire-at".into(), Time::from(expire_at).to_string());
    }
    for (key, value) in &options.metadata {
        pairs.insert(format!("meta-{key}"), value.clone());
    }
    if let Some(old) = options.pin_update {
        pairs.insert("pin-update".into(), old.to_string());
    }
    if !options.origins.is_empty() {
        pairs.insert("origins".into(), list(options.origins.iter().map(ToString::to_string).collect()));
    }
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_wins_and_an_empty_one_is_none() {
        let query = Query::parse("name=first&name=second&mode=&a+b=%26&c;d=1&meta-x=&meta-=y");
        assert_eq!(query.get("name"), Some("first"));
        assert_eq!(query.get("mode"), None);
        assert_eq!(query.get("a b"), Some("&"));
        assert_eq!(query.get("c;d"), None);
        assert_eq!(query.with_prefix("meta-").collect::<Vec<_>>(), [("x", "")]);
    }

    #[test]
    fn only_the_literal_is_true() {
        assert!(Query::parse("local=true").is_true("local"));
        assert!(!Query::parse("local=1").is_true("local"));
    }

    #[test]
    fn options_are_written_as_go_writes_them() {
        let text = "mode=recursive&name=&replication-max=0&replication-min=0&shard-size=0&user-allocations=";
        assert_eq!(options_to_query(&PinOptions::default()), text);
        let options =
            PinOptions { name: "a b&c".into(), metadata: [("k".into(), "v=".into())].into(), ..PinOptions::default() };
        assert!(
            options_to_query(&options).contains("&meta-k=v%3D&")
                || options_to_query(&options).starts_with("meta-k=v%3D&")
        );
        assert!(options_to_query(&options).contains("name=a+b%26c"));
    }
}
