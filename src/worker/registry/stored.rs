//! Workers that an earlier server has stored, loaded several at once.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::available_parallelism;

use super::Registry;
use crate::thread::Thread;
use crate::worker::run::worker::Worker;

/// Most threads that load workers.
const LOADERS_MAX: usize = 8;
/// Workers for which another thread is worth its start.
const WORKERS_PER_LOADER: usize = 64;

/// Loads the workers in these folders. One that cannot be loaded is left alone.
pub(super) fn load_all(registry: &Arc<Registry>, dirs: Vec<PathBuf>) -> Vec<Arc<Worker>> {
    let cores = available_parallelism().map_or(1, usize::from);
    let others = cores.min(LOADERS_MAX).min(dirs.len() / WORKERS_PER_LOADER).saturating_sub(1);
    let loading = Arc::new(LoadQueue { waiting: Mutex::new(dirs), loaded: Mutex::default() });
    let loaders: Vec<_> = (0..others)
        .filter_map(|_| {
            let (registry, loading) = (Arc::clone(registry), Arc::clone(&loading));
            let started = Thread::spawn("loader", move || loading.run(&registry));
            started.inspect_err(|error| log::warn!("workers are loaded by fewer threads: {error}")).ok()
        })
        .collect();
    loading.run(registry);
    // Waits for them.
    drop(loaders);
    std::mem::take(&mut *loading.loaded.lock().unwrap_or_else(PoisonError::into_inner))
}

/// The folders that wait, and the workers of the others.
struct LoadQueue {
    waiting: Mutex<Vec<PathBuf>>,
    loaded: Mutex<Vec<Arc<Worker>>>,
}

impl LoadQueue {
    fn run(&self, registry: &Registry) {
        let mut loaded = Vec::new();
        while let Some(dir) = self.next() {
            match registry.load(&dir) {
                Ok(worker) => loaded.push(worker),
                Err(error) => log::error!("{} cannot be loaded and is left alone: {error}", dir.display()),
            }
        }
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).append(&mut loaded);
    }

    fn next(&self) -> Option<PathBuf> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }
}
