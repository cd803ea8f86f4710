//! The thread that writes: the measuring thread hands batches over and never waits for the disk.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::store::Ledger;
use super::{Batch, LedgerError};
use crate::snapshot::Recorded;

/// What the writer did last, for snapshots.
#[derive(Clone, Debug, Default)]
pub struct WriterState {
    /// Totals on disk.
    pub recorded: Recorded,
    /// Commits that failed; their batches are tried again with the next one.
    pub errors: u64,
    /// The last failure.
    pub last_error: Option<Arc<str>>,
}

/// The measuring thread's end.
#[derive(Debug)]
pub struct Writer {
    sender: Option<SyncSender<Batch>>,
    state: Arc<Mutex<WriterState>>,
    thread: Option<JoinHandle<Ledger>>,
}

impl Writer {
    /// Starts the thread; slots older than `keep_days` are removed once a day.
    ///
    /// # Errors
    /// The ledger cannot be read, or the system gives no thread.
    pub fn start(ledger: Ledger, keep_days: u32) -> Result<Self, LedgerError> {
        let recorded = ledger.recorded()?;
        let state = Arc::new(Mutex::new(WriterState { recorded, ..WriterState::default() }));
        let (sender, receiver) = sync_channel(1);
        let path = ledger.path().to_path_buf();
        let shared = Arc::clone(&state);
        let thread = std::thread::Builder::new()
            .name("ledger".into())
            .spawn(move || write(ledger, &receiver, &shared, keep_days))
            .map_err(|e| LedgerError::Io { path, reason: e.to_string() })?;
        Ok(Self { sender: Some(sender), state, thread: Some(thread) })
    }

    /// Hands a batch over; gives it back where the one before is still waiting, to be filled further.
    ///
    /// # Errors
    /// The batch, not taken.
    pub fn offer(&self, batch: Batch) -> Result<(), Batch> {
        let Some(sender) = &self.sender else { return Err(batch) };
        sender.try_send(batch).map_err(|e| match e {
            TrySendError::Full(batch) | TrySendError::Disconnected(batch) => batch,
        })
    }

    /// Runs `look` on what the writer did last.
    pub fn state<T>(&self, look: impl FnOnce(&WriterState) -> T) -> T {
        look(&self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until the last batch is on disk, and hands the ledger back.
    pub fn finish(&mut self, last: Batch) -> Option<Ledger> {
        if let Some(sender) = self.sender.take() {
            // the thread takes what waits first: this send waits for that, not for ever
            let _ = sender.send(last);
        }
        self.thread.take().and_then(|t| t.join().ok())
    }
}

fn write(mut ledger: Ledger, batches: &Receiver<Batch>, state: &Mutex<WriterState>, keep_days: u32) -> Ledger {
    let mut waiting: Option<Batch> = None;
    while let Ok(next) = batches.recv() {
        let batch = match waiting.take() {
            Some(earlier) => join(earlier, next),
            None => next,
        };
        let result = ledger.commit(&batch).and_then(|recorded| ledger.prune(batch.until, keep_days).map(|()| recorded));
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(recorded) => state.recorded = recorded,
            Err(error) => {
                state.errors += 1;
                state.last_error = Some(error.to_string().into());
                waiting = Some(batch);
            }
        }
    }
    if let Some(batch) = waiting {
        let _ = ledger.commit(&batch);
    }
    ledger
}

fn join(mut earlier: Batch, later: Batch) -> Batch {
    earlier.until = later.until;
    earlier.host += later.host;
    for (key, value) in later.slots {
        earlier.slots.entry(key).or_default().add(&value);
    }
    earlier
}
