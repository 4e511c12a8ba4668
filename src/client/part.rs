//! Parts of lists: what matches, and no more than is wanted.
use std::collections::BTreeMap;

use futures::stream::{self, StreamExt};
use hyper::Method;
use serde::de::DeserializeOwned;

use super::calls::{Documents, value};
use super::documents::documents;
use super::error::Error;
use super::request::Client;
use crate::wire::rest::{GlobalPinInfo, Pin, Time};

/// Rows that one page may have.
const PAGE_MAX: usize = 10_000;

/// Which rows of a list are wanted; the default is all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Pins of this name.
    pub name: Option<String>,
    /// Pins that have all of these keys with these values.
    pub metadata: BTreeMap<String, String>,
    /// Pins that were made later.
    pub created_after: Option<Time>,
    /// This many at most.
    pub limit: Option<usize>,
    /// Those after this CID, in the order of the pinset.
    pub cursor: Option<String>,
}

impl Part {
    /// Returns whether that is everything.
    #[must_use]
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }

    fn query(&self) -> String {
        let mut query: Vec<String> =
            self.metadata.iter().map(|(key, text)| format!("&meta-{}={}", value(key), value(text))).collect();
        let pairs = [("name", self.name.clone()), ("created-after", self.created_after.map(|at| at.to_string()))];
        query.extend(pairs.into_iter().filter_map(|(key, text)| Some(format!("&{key}={}", value(&text?)))));
        query.concat()
    }

    /// A peer of Go's knows no parts and sends everything.
    fn has(&self, name: &str, metadata: Option<&BTreeMap<String, String>>, created: Time) -> bool {
        let has = |(key, value)| metadata.is_some_and(|metadata| metadata.get(key) == Some(value));
        self.name.as_ref().is_none_or(|wanted| wanted == name)
            && self.metadata.iter().all(has)
            && self.created_after.is_none_or(|after| created.millis() > after.millis())
    }
}

impl Client {
    /// As [`Client::allocations`], a part of it.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn allocations_of(&self, filter: &str, part: &Part) -> Result<Documents<Pin>, Error> {
        let wanted = part.clone();
        let pins = self.part::<Pin>(format!("/allocations?filter={}", value(filter)), part).await?;
        Ok(taken(pins, part, move |pin| wanted.has(&pin.name, pin.metadata.as_ref(), pin.timestamp)))
    }

    /// As [`Client::status_all`], a part of it.
    ///
    /// # Errors
    /// [`Error`], with code 400 when a filter asks for what is being unpinned.
    pub async fn status_of(&self, filter: &str, local: bool, part: &Part) -> Result<Documents<GlobalPinInfo>, Error> {
        let wanted = part.clone();
        let infos =
            self.part::<GlobalPinInfo>(format!("/pins?local={local}&filter={}&cids=", value(filter)), part).await?;
        Ok(taken(infos, part, move |info| wanted.has(&info.name, info.metadata.as_ref(), info.created)))
    }

    async fn part<T>(&self, path: String, part: &Part) -> Result<Documents<T>, Error>
    where
        T: DeserializeOwned + Send + 'static,
    {
        let path = path + &part.query();
        let mut pages = Pages { client: self.clone(), path, left: part.limit, cursor: part.cursor.clone(), page: None };
        pages.turn().await?;
        let rows = stream::try_unfold(pages, |mut pages| async { Ok(pages.next().await?.map(|row| (row, pages))) });
        Ok(rows.boxed())
    }
}

fn taken<T: Send + 'static>(
    rows: Documents<T>,
    part: &Part,
    has: impl Fn(&T) -> bool + Send + 'static,
) -> Documents<T> {
    let rows = rows.filter(move |row| std::future::ready(row.as_ref().map_or(true, &has)));
    rows.take(part.limit.unwrap_or(usize::MAX)).boxed()
}

/// A list that is asked for page by page, or at once where no limit is set.
struct Pages<T> {
    client: Client,
    path: String,
    /// Rows that are wanted still.
    left: Option<usize>,
    /// Where the next page begins.
    cursor: Option<String>,
    page: Option<Documents<T>>,
}

impl<T: DeserializeOwned + Send + 'static> Pages<T> {
    async fn turn(&mut self) -> Result<(), Error> {
        let limit = self.left.map(|left| format!("&limit={}", left.min(PAGE_MAX))).unwrap_or_default();
        let cursor = self.cursor.take().map(|cursor| format!("&cursor={}", value(&cursor))).unwrap_or_default();
        let answer = self.client.send(Method::GET, &format!("{}{limit}{cursor}", self.path)).await?;
        let next = answer.response.headers().get("x-next-cursor");
        self.cursor = next.and_then(|cursor| cursor.to_str().ok()).map(Into::into);
        self.page = Some(documents(answer).boxed());
        Ok(())
    }

    async fn next(&mut self) -> Result<Option<T>, Error> {
        while let Some(page) = &mut self.page {
            if let Some(row) = page.next().await {
                self.left = self.left.map(|left| left.saturating_sub(1));
                return row.map(Some);
            }
            self.page = None;
            if self.cursor.is_some() && self.left != Some(0) {
                self.turn().await?;
            }
        }
        Ok(None)
    }
}
