//! Many streams read by one thread, so that a bench with a thousand clients does not measure its own threads.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::stream::{Stream, number};

/// Streams that are read together.
pub(crate) struct Crowd {
    streams: Vec<Stream>,
}

impl Crowd {
    /// Takes the streams.
    pub(crate) fn new(mut streams: Vec<Stream>) -> Self {
        let many = streams.len() > 8;
        streams.iter_mut().filter(|_| many).for_each(Stream::shrink);
        Self { streams }
    }

    /// Reads until every stream has had `count` items of at least `least` bytes, and looks at each of them. Returns the
    /// numbers of the streams' last items.
    pub(crate) fn read(&mut self, count: u64, least: usize, mut look: impl FnMut(&[u8])) -> Vec<u64> {
        let mut last = vec![0; self.streams.len()];
        let deadline = Instant::now() + super::DEADLINE;
        let mut left: Vec<u64> = vec![count; self.streams.len()];
        while left.iter().any(|&left| left > 0) {
            let ready = self.ready(&left);
            assert!(!ready.is_empty() && Instant::now() < deadline, "the streams stand still: {left:?}");
            for at in ready {
                let stream = &mut self.streams[at];
                assert!(stream.fill().unwrap() > 0, "a stream ended");
                while let Some(item) = stream.item() {
                    if item.len() >= least {
                        left[at] = left[at].saturating_sub(1);
                        look(item);
                        if left[at] == 0 {
                            last[at] = number(item).unwrap_or(0);
                        }
                    }
                }
            }
        }
        last
    }

    /// The streams that can be read and are waited for.
    fn ready(&self, left: &[u64]) -> Vec<usize> {
        let waited: Vec<usize> = (0..left.len()).filter(|&at| left[at] > 0).collect();
        let fds = waited.iter().map(|&at| PollFd::new(self.streams[at].socket.as_fd(), PollFlags::POLLIN));
        let mut fds: Vec<PollFd<'_>> = fds.collect();
        let timeout = PollTimeout::try_from(Duration::from_secs(30)).unwrap();
        poll(&mut fds, timeout).unwrap();
        waited.into_iter().zip(&fds).filter(|(_, fd)| fd.any() == Some(true)).map(|(at, _)| at).collect()
    }
}
