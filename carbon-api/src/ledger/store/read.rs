//! What the ledger tells back: sessions, slots, results of runs.

use jiff::Timestamp;
use redb::{ReadableDatabase, ReadableTable};

use super::{Ledger, RUNS, SEPARATOR, SESSIONS, SLOTS, from_tuple, sort, timestamp};
use crate::ledger::{LedgerError, SlotValue};
use crate::units::Microjoules;

/// One life of the daemon, as recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// First instant.
    pub since: Timestamp,
    /// The watermark: everything before it is on disk.
    pub until: Timestamp,
    /// Energy of the host in it.
    pub host: Microjoules,
}

/// One slot, as recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct SlotRow {
    /// Start of the minute.
    pub minute: Timestamp,
    /// Kind, workload, class, provenance, zone, provider.
    pub key: [String; 6],
    /// What it holds.
    pub value: SlotValue,
}

impl Ledger {
    /// Results of `treehouse run`, oldest first.
    ///
    /// # Errors
    /// The disk refused.
    pub fn runs(&self) -> Result<Vec<(Timestamp, String)>, LedgerError> {
        let work = || -> Result<Vec<(i64, String)>, redb::Error> {
            let table = self.database.begin_read()?.open_table(RUNS)?;
            let rows = table.iter()?.map(|row| row.map(|(k, v)| (k.value(), v.value().to_owned())));
            rows.map(|r| r.map_err(Into::into)).collect()
        };
        let rows = work().map_err(|e| sort(&self.path, &e))?;
        Ok(rows.into_iter().map(|(at, report)| (timestamp(at), report)).collect())
    }

    /// Every session, oldest first.
    ///
    /// # Errors
    /// The disk refused.
    pub fn sessions(&self) -> Result<Vec<Session>, LedgerError> {
        let work = || -> Result<Vec<(i64, i64, u64)>, redb::Error> {
            let table = self.database.begin_read()?.open_table(SESSIONS)?;
            table.iter()?.map(|row| row.map(|(_, v)| v.value()).map_err(Into::into)).collect()
        };
        let rows = work().map_err(|e| sort(&self.path, &e))?;
        let session =
            |(since, until, host)| Session { since: timestamp(since), until: timestamp(until), host: Microjoules(host) };
        Ok(rows.into_iter().map(session).collect())
    }

    /// Every slot, oldest first.
    ///
    /// # Errors
    /// The disk refused.
    pub fn slots(&self) -> Result<Vec<SlotRow>, LedgerError> {
        let work = || -> Result<Vec<SlotRow>, redb::Error> {
            let table = self.database.begin_read()?.open_table(SLOTS)?;
            let mut rows = Vec::new();
            for row in table.iter()? {
                let (key, value) = row?;
                let (minute, text) = key.value();
                let mut parts = text.split(SEPARATOR).map(str::to_owned);
                let key = std::array::from_fn(|_| parts.next().unwrap_or_default());
                rows.push(SlotRow { minute: timestamp(minute.saturating_mul(1_000_000)), key, value: from_tuple(value.value()) });
            }
            Ok(rows)
        };
        work().map_err(|e| sort(&self.path, &e))
    }
}
