//! Reading what is logged on one thread, while other tests run on others.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex, Once},
};

use tracing::subscriber::{DefaultGuard, set_default};
use tracing_subscriber::registry;

/// Lets `subscriber` hear what this thread logs, for as long as the guard is kept.
///
/// Whether anybody listens to a line of the program is remembered for the whole process, by the first thread that comes to
/// it. So that no thread without a subscriber decides this for all, every thread has one that takes everything and keeps
/// nothing.
pub(crate) fn listen(subscriber: impl tracing::Subscriber + Send + Sync) -> DefaultGuard {
    static EVERYWHERE: Once = Once::new();
    EVERYWHERE.call_once(|| {
        let _ = tracing::subscriber::set_global_default(registry());
    });
    set_default(subscriber)
}

/// Where lines of the log are written to, to be read again. Cloning shares it.
#[derive(Clone, Default)]
pub(crate) struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Written {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// How many lines hold this.
    pub(crate) fn count(&self, words: &str) -> usize {
        self.text().lines().filter(|line| line.contains(words)).count()
    }
}
