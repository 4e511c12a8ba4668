//! Alerts: a ring, and how far the webhook has been told of it.
use redb::ReadableTable;

use super::commit::append;
use super::db::LedgerDb;
use super::news;
use super::row::damaged;
use super::tables::{ALERTS, ALERTS_MAX, META};
use crate::model::Alert;
use crate::store::StoreError;

/// The row of META that says which alert the webhook is told next.
const WEBHOOK: &str = "webhook";

impl LedgerDb {
    /// Keeps alerts, oldest first; the oldest of all go when there are too many.
    ///
    /// # Errors
    /// [`StoreError`]; none of them is kept.
    pub fn add_alerts(&self, alerts: &[Alert]) -> Result<(), StoreError> {
        let rows: Vec<Vec<u8>> = alerts.iter().map(news::encode_alert).collect();
        self.write(|tx| append(tx, ALERTS, &rows, ALERTS_MAX))
    }

    /// The alerts, newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn alerts(&self) -> Result<Vec<Alert>, StoreError> {
        self.read(|tx| {
            let alerts = tx.open_table(ALERTS)?;
            alerts.iter()?.rev().map(|row| news::decode_alert(row?.1.value()).ok_or_else(damaged)).collect()
        })
    }

    /// The oldest alert that is kept of those from number `from` on, with its number.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn alert_from(&self, from: u64) -> Result<Option<(u64, Alert)>, StoreError> {
        self.read(|tx| {
            let Some(row) = tx.open_table(ALERTS)?.range(from..)?.next() else { return Ok(None) };
            let (number, alert) = row?;
            Ok(Some((number.value(), news::decode_alert(alert.value()).ok_or_else(damaged)?)))
        })
    }

    /// The number of the alert that the webhook is told next. One that was not told of any before begins with the next
    /// alert: what is old is no news.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn begin_webhook(&self) -> Result<u64, StoreError> {
        let known = self.read(|tx| Ok(tx.open_table(META)?.get(WEBHOOK)?.map(|number| number.value())))?;
        if let Some(number) = known {
            return Ok(number);
        }
        let end = self.read(|tx| Ok(tx.open_table(ALERTS)?.last()?.map_or(0, |(number, _)| number.value() + 1)))?;
        self.told_webhook(end)?;
        Ok(end)
    }

    /// Keeps that the webhook was told all alerts before number `next`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn told_webhook(&self, next: u64) -> Result<(), StoreError> {
        self.write(|tx| {
            tx.open_table(META)?.insert(WEBHOOK, next)?;
            Ok(())
        })
    }

    /// Forgets how far the webhook was told.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn forget_webhook(&self) -> Result<(), StoreError> {
        self.write(|tx| {
            tx.open_table(META)?.remove(WEBHOOK)?;
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Metric, PeerId, UnixMillis};

    fn alert(at: i64) -> Alert {
        let metric = Metric {
            name: "ping".into(),
            peer: PeerId::random(),
            value: String::new(),
            expire_nanos: 1,
            valid: true,
            weight: 0,
            partitionable: false,
            received_nanos: 0,
        };
        Alert { metric, triggered: UnixMillis(at) }
    }

    fn triggered(ledger: &LedgerDb) -> Vec<i64> {
        ledger.alerts().unwrap().iter().map(|alert| alert.triggered.0).collect()
    }

    #[test]
    fn alerts_come_newest_first_and_are_there_when_the_file_is_opened_again() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = LedgerDb::open(dir.path()).unwrap();
        ledger.add_alerts(&[alert(0), alert(1)]).unwrap();
        drop(ledger);
        let ledger = LedgerDb::open(dir.path()).unwrap();
        ledger.add_alerts(&[alert(2)]).unwrap();
        assert_eq!(triggered(&ledger), [2, 1, 0]);
    }

    #[test]
    fn alerts_are_a_ring_whose_numbers_go_on() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = LedgerDb::open(dir.path()).unwrap();
        let max = i64::try_from(ALERTS_MAX).unwrap();
        ledger.add_alerts(&(0..max + 5).map(alert).collect::<Vec<_>>()).unwrap();
        let kept = triggered(&ledger);
        assert_eq!((kept.len(), kept[0], kept[kept.len() - 1]), (1_000, max + 4, 5));
        assert_eq!(ledger.alert_from(0).unwrap().map(|(number, alert)| (number, alert.triggered.0)), Some((5, 5)));
        assert_eq!(ledger.alert_from(ALERTS_MAX + 5).unwrap(), None);
    }

    #[test]
    fn a_webhook_begins_with_the_next_alert_and_goes_on_where_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = LedgerDb::open(dir.path()).unwrap();
        ledger.add_alerts(&[alert(0), alert(1)]).unwrap();
        assert_eq!(ledger.begin_webhook().unwrap(), 2);
        ledger.add_alerts(&[alert(2), alert(3)]).unwrap();
        ledger.told_webhook(3).unwrap();
        drop(ledger);
        let ledger = LedgerDb::open(dir.path()).unwrap();
        assert_eq!(ledger.begin_webhook().unwrap(), 3);
        ledger.forget_webhook().unwrap();
        assert_eq!(ledger.begin_webhook().unwrap(), 4);
    }
}
