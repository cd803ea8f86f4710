//! The file: an embedded transactional store (`redb`), one process at a time.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use redb::{Builder, Database, DatabaseError, Durability, ReadableDatabase, ReadableTable, TableDefinition};

use super::{Batch, LedgerError, SCHEMA, SlotValue};
use crate::snapshot::Recorded;
use crate::units::Microjoules;

pub use read::{Session, SlotRow};

mod read;

/// Name of the file in the state folder.
pub const FILE: &str = "ledger.redb";
/// Cache of the store; its own default of a gigabyte would outgrow the daemon many times.
const CACHE_BYTES: usize = 1024 * 1024;

/// Single numbers: `schema`, `host_uj`, `since_us`, `until_us`.
const META: TableDefinition<'_, &str, i128> = TableDefinition::new("meta");
/// One row for each life of the daemon: begin and end in microseconds since the epoch, energy in microjoules.
const SESSIONS: TableDefinition<'_, u64, (i64, i64, u64)> = TableDefinition::new("sessions");
/// Minute, then kind, workload, class, provenance, zone and provider, parted by unit separators.
const SLOTS: TableDefinition<'_, (i64, &str), (u64, f64, u64)> = TableDefinition::new("slots");
/// Results of `treehouse run`: microseconds since the epoch, and the report as JSON.
const RUNS: TableDefinition<'_, i64, &str> = TableDefinition::new("runs");

/// An open ledger.
#[derive(Debug)]
pub struct Ledger {
    database: Database,
    path: PathBuf,
    session: Option<u64>,
    pruned: Option<i64>,
}

impl Ledger {
    /// Opens the ledger in `folder`, or begins a new one.
    ///
    /// # Errors
    /// Held by another process, written by a newer version, damaged, or not writable; nothing is changed then.
    pub fn open(folder: &Path) -> Result<Self, LedgerError> {
        let path = folder.join(FILE);
        std::fs::create_dir_all(folder).map_err(|e| LedgerError::Io { path: folder.into(), reason: e.to_string() })?;
        if is_absent(&path) {
            return Self::create(path);
        }
        // looked at before anything can be written: a file of a newer version stays as it is, to the byte
        if let Some(found) = newer_layout(&path) {
            return Err(LedgerError::Newer { path, found });
        }
        let database = builder().create(&path).map_err(|e| sort_open(&path, e))?;
        let ledger = Self { database, path, session: None, pruned: None };
        let found = ledger.meta("schema")?;
        match found {
            Some(found) if found == i128::from(SCHEMA) => Ok(ledger),
            Some(found) if found > i128::from(SCHEMA) => {
                Err(LedgerError::Newer { path: ledger.path, found: u64::try_from(found).unwrap_or(u64::MAX) })
            }
            _ => Err(LedgerError::Corrupt { path: ledger.path, reason: "it names no layout".into() }),
        }
    }

    /// Makes an empty ledger beside its place and moves it there whole: a kill leaves none, or a complete one.
    fn create(path: PathBuf) -> Result<Self, LedgerError> {
        let draft = path.with_extension("new");
        let database = match builder().create(&draft) {
            Ok(database) => database,
            Err(DatabaseError::DatabaseAlreadyOpen) => return Err(LedgerError::Busy { path }),
            // left behind by a kill
            Err(_) => {
                let _ = std::fs::remove_file(&draft);
                builder().create(&draft).map_err(|e| sort_open(&path, e))?
            }
        };
        // whoever makes one holds the draft, so nobody else can have come in between; before that somebody may have
        if !is_absent(&path) {
            drop(database);
            let _ = std::fs::remove_file(&draft);
            return path.parent().map_or(Err(LedgerError::Busy { path: path.clone() }), Self::open);
        }
        let ledger = Self { database, path, session: None, pruned: None }.begin()?;
        match std::fs::rename(&draft, &ledger.path) {
            Ok(()) => Ok(ledger),
            Err(error) => Err(LedgerError::Io { path: ledger.path, reason: error.to_string() }),
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes one batch and moves the watermark to its end, in one durable transaction.
    ///
    /// # Errors
    /// The disk refused; the batch is then not in the ledger at all.
    pub fn commit(&mut self, batch: &Batch) -> Result<Recorded, LedgerError> {
        let path = self.path.clone();
        let session = self.session;
        let work = || -> Result<(u64, Recorded), redb::Error> {
            let mut transaction = self.database.begin_write()?;
            transaction.set_durability(Durability::Immediate)?;
            let (id, recorded);
            {
                let mut slots = transaction.open_table(SLOTS)?;
                for (key, value) in &batch.slots {
                    let text = slot_text(key);
                    let place = (key.minute_s, text.as_str());
                    let mut sum = slots.get(place)?.map_or(SlotValue::default(), |v| from_tuple(v.value()));
                    sum.add(value);
                    slots.insert(place, (sum.energy, sum.grams, sum.unpriced))?;
                }
                let mut sessions = transaction.open_table(SESSIONS)?;
                id = match session {
                    Some(id) => id,
                    None => sessions.last()?.map_or(0, |(k, _)| k.value() + 1),
                };
                let (since, host) = sessions.get(id)?.map_or((batch.from.as_microsecond(), 0), |v| (v.value().0, v.value().2));
                sessions.insert(id, (since, batch.until.as_microsecond(), host + batch.host))?;
                let mut meta = transaction.open_table(META)?;
                let number = |m: &redb::Table<'_, &str, i128>, name: &str| m.get(name).map(|v| v.map(|v| v.value()));
                let total = number(&meta, "host_uj")?.unwrap_or(0) + i128::from(batch.host);
                let first = number(&meta, "since_us")?.unwrap_or_else(|| i128::from(since));
                meta.insert("host_uj", total)?;
                meta.insert("since_us", first)?;
                meta.insert("until_us", i128::from(batch.until.as_microsecond()))?;
                recorded = recorded_of(Some(first), Some(i128::from(batch.until.as_microsecond())), total);
            }
            transaction.commit()?;
            Ok((id, recorded))
        };
        let (id, recorded) = work().map_err(|e| sort(&path, &e))?;
        self.session = Some(id);
        Ok(recorded)
    }

    /// Removes slots older than `days`, at most once a day; totals and sessions stay.
    ///
    /// # Errors
    /// The disk refused.
    pub fn prune(&mut self, now: Timestamp, days: u32) -> Result<(), LedgerError> {
        let today = now.as_second().div_euclid(86_400);
        if self.pruned.replace(today) == Some(today) {
            return Ok(());
        }
        let oldest = (today - i64::from(days)) * 86_400;
        let work = || -> Result<(), redb::Error> {
            let transaction = self.database.begin_write()?;
            transaction.open_table(SLOTS)?.retain_in(..(oldest, ""), |_, _| false)?;
            transaction.commit()?;
            Ok(())
        };
        work().map_err(|e| sort(&self.path, &e))
    }

    /// Keeps the result of one `treehouse run`.
    ///
    /// # Errors
    /// The disk refused.
    pub fn record_run(&self, at: Timestamp, report: &str) -> Result<(), LedgerError> {
        let work = || -> Result<(), redb::Error> {
            let transaction = self.database.begin_write()?;
            transaction.open_table(RUNS)?.insert(at.as_microsecond(), report)?;
            transaction.commit()?;
            Ok(())
        };
        work().map_err(|e| sort(&self.path, &e))
    }

    /// Totals over all sessions.
    ///
    /// # Errors
    /// The disk refused.
    pub fn recorded(&self) -> Result<Recorded, LedgerError> {
        let host = self.meta("host_uj")?.unwrap_or(0);
        Ok(recorded_of(self.meta("since_us")?, self.meta("until_us")?, host))
    }

    fn begin(self) -> Result<Self, LedgerError> {
        let work = || -> Result<(), redb::Error> {
            let transaction = self.database.begin_write()?;
            transaction.open_table(META)?.insert("schema", i128::from(SCHEMA))?;
            transaction.open_table(SESSIONS)?;
            transaction.open_table(SLOTS)?;
            transaction.open_table(RUNS)?;
            transaction.commit()?;
            Ok(())
        };
        work().map_err(|e| sort(&self.path, &e))?;
        Ok(self)
    }

    fn meta(&self, name: &str) -> Result<Option<i128>, LedgerError> {
        let work = || -> Result<Option<i128>, redb::Error> {
            let transaction = self.database.begin_read()?;
            match transaction.open_table(META) {
                Ok(table) => Ok(table.get(name)?.map(|v| v.value())),
                Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
                Err(error) => Err(error.into()),
            }
        };
        work().map_err(|e| sort(&self.path, &e))
    }
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

/// The layout of a file that a newer version wrote; `None` where it is not newer, or cannot be told without a repair.
fn newer_layout(path: &Path) -> Option<u64> {
    let database = builder().open_read_only(path).ok()?;
    let table = database.begin_read().ok()?.open_table(META).ok()?;
    let found = table.get("schema").ok()??.value();
    (found > i128::from(SCHEMA)).then(|| u64::try_from(found).unwrap_or(u64::MAX))
}

fn is_absent(path: &Path) -> bool {
    std::fs::metadata(path).map_or(true, |m| m.len() == 0)
}

const SEPARATOR: char = '\u{1f}';

fn slot_text(key: &super::SlotKey) -> String {
    let parts = [key.kind.name(), &key.workload, key.class.name(), key.provenance.name(), &key.zone, key.provider];
    parts.join("\u{1f}")
}

fn from_tuple((energy, grams, unpriced): (u64, f64, u64)) -> SlotValue {
    SlotValue { energy, grams, unpriced }
}

fn timestamp(microseconds: i64) -> Timestamp {
    Timestamp::from_microsecond(microseconds).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn recorded_of(since: Option<i128>, until: Option<i128>, host: i128) -> Recorded {
    let instant = |us: i128| timestamp(i64::try_from(us).unwrap_or(0));
    Recorded {
        since: since.map(instant),
        durable_until: until.map(instant),
        host_energy: Microjoules(u64::try_from(host).unwrap_or(0)),
    }
}

fn sort_open(path: &Path, error: DatabaseError) -> LedgerError {
    match error {
        DatabaseError::DatabaseAlreadyOpen => LedgerError::Busy { path: path.into() },
        DatabaseError::UpgradeRequired(found) => LedgerError::Newer { path: path.into(), found: u64::from(found) },
        other => sort(path, &other.into()),
    }
}

fn sort(path: &Path, error: &redb::Error) -> LedgerError {
    let (path, reason) = (path.to_path_buf(), error.to_string());
    let denied = |e: &std::io::Error| !matches!(e.kind(), std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof);
    match error {
        redb::Error::Io(e) if denied(e) => LedgerError::Io { path, reason },
        _ => LedgerError::Corrupt { path, reason },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::tests::key;

    fn batch(from: i64, until: i64, energy: u64) -> Batch {
        let at = |s| Timestamp::from_second(s).unwrap();
        let mut batch = Batch::new(at(from));
        batch.book(key("x:1"), SlotValue { energy, grams: 1.5, unpriced: 0 }, at(from), at(until));
        batch.until = at(until);
        batch
    }

    #[test]
    fn a_commit_is_there_after_reopening_and_sessions_follow_each_other() {
        let dir = tempfile::tempdir().unwrap();
        for life in 0..2 {
            let mut ledger = Ledger::open(dir.path()).unwrap();
            ledger.commit(&batch(life * 100, life * 100 + 10, 7)).unwrap();
            ledger.commit(&batch(life * 100 + 10, life * 100 + 20, 5)).unwrap();
        }
        let ledger = Ledger::open(dir.path()).unwrap();
        let sessions = ledger.sessions().unwrap();
        assert_eq!(sessions.len(), 2);
        assert_eq!(sessions[1].since.as_second(), 100);
        assert_eq!(sessions[1].host, Microjoules(12));
        let recorded = ledger.recorded().unwrap();
        assert_eq!((recorded.host_energy, recorded.durable_until), (Microjoules(24), Some(sessions[1].until)));
        let slots = ledger.slots().unwrap();
        assert_eq!(slots.iter().map(|s| s.value.energy).sum::<u64>(), 24, "slots add up to the sessions");
        assert_eq!(slots[0].key[1], "x:1");
    }

    #[test]
    fn a_second_process_is_told_who_holds_it() {
        let dir = tempfile::tempdir().unwrap();
        let _held = Ledger::open(dir.path()).unwrap();
        assert!(matches!(Ledger::open(dir.path()), Err(LedgerError::Busy { .. })));
    }

    #[test]
    fn a_damaged_file_is_named_and_left_as_it_is() {
        for bytes in [&b"this is no ledger"[..], &[0_u8; 8192], &[0xff_u8; 100]] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join(FILE);
            std::fs::write(&path, bytes).unwrap();
            let error = Ledger::open(dir.path()).unwrap_err();
            assert!(matches!(error, LedgerError::Corrupt { .. }), "{error}");
            assert!(error.to_string().contains("ledger.redb"));
            assert_eq!(std::fs::read(&path).unwrap(), bytes);
        }
    }

    #[test]
    fn what_a_kill_left_of_a_first_start_is_made_anew() {
        for bytes in [&b""[..], b"half a led", &[0_u8; 8192]] {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join("ledger.new"), bytes).unwrap();
            std::fs::write(dir.path().join(FILE), b"").unwrap();
            let mut ledger = Ledger::open(dir.path()).unwrap();
            ledger.commit(&batch(0, 10, 7)).unwrap();
            drop(ledger);
            assert_eq!(Ledger::open(dir.path()).unwrap().recorded().unwrap().host_energy, Microjoules(7));
            assert!(!dir.path().join("ledger.new").exists());
        }
    }

    #[test]
    fn a_file_of_a_newer_version_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(dir.path()).unwrap();
        let transaction = ledger.database.begin_write().unwrap();
        transaction.open_table(META).unwrap().insert("schema", 99).unwrap();
        transaction.commit().unwrap();
        drop(ledger);
        let before = std::fs::read(dir.path().join(FILE)).unwrap();
        assert!(matches!(Ledger::open(dir.path()), Err(LedgerError::Newer { found: 99, .. })));
        assert!(std::fs::read(dir.path().join(FILE)).unwrap() == before, "the file was changed");
    }

    #[test]
    fn old_slots_are_pruned_and_totals_stay() {
        let dir = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::open(dir.path()).unwrap();
        ledger.commit(&batch(0, 10, 7)).unwrap();
        ledger.commit(&batch(100 * 86_400, 100 * 86_400 + 5, 5)).unwrap();
        ledger.prune(Timestamp::from_second(100 * 86_400).unwrap(), 90).unwrap();
        assert_eq!(ledger.slots().unwrap().len(), 1);
        assert_eq!(ledger.recorded().unwrap().host_energy, Microjoules(12));
    }

    #[test]
    fn a_run_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(dir.path()).unwrap();
        ledger.record_run(Timestamp::from_second(5).unwrap(), "{}").unwrap();
        assert_eq!(ledger.runs().unwrap(), [(Timestamp::from_second(5).unwrap(), "{}".to_owned())]);
    }
}
