//! One thread that drives a current-thread tokio runtime until it is dropped.
//!
//! Connections of tonic and hyper live as tasks: they must move on between two exports too, or a peer's goodbye would only be
//! noticed by the next request failing.

use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::ExportError;

/// The thread, and the way in.
#[derive(Debug)]
pub(super) struct Runtime {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Runtime {
    pub(super) fn start() -> Result<Self, ExportError> {
        let (started, starting) = mpsc::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        // made and dropped on its own thread: a runtime must not be dropped inside another one
        let drive = move || match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => {
                if started.send(Ok(runtime.handle().clone())).is_ok() {
                    // an error means that the sender is gone, which is the same wish
                    let _ = runtime.block_on(stopped);
                }
            }
            Err(error) => drop(started.send(Err(error))),
        };
        let thread = thread::Builder::new().name("treehouse-otlp".into()).spawn(drive)?;
        let handle = starting.recv().map_err(|error| ExportError::Build(error.to_string()))??;
        Ok(Self { handle, stop: Some(stop), thread: Some(thread) })
    }

    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // it does not panic; and if it did, there is nothing left to do
            let _ = thread.join();
        }
    }
}
