//! The memory that is kept available.

/// The reserve that `auto` means: this part of the memory, within the bounds below.
const AUTO_SHARE: u64 = 10;
const AUTO_MIN: u64 = 256 << 20;
const AUTO_MAX: u64 = 1 << 30;

/// The memory that is kept available.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MemoryReserve {
    /// A part of the memory of the machine, or of the group that limits the server.
    Auto,
    /// None: no worker is hibernated for memory.
    Off,
    /// So many bytes.
    Bytes(u64),
}

impl MemoryReserve {
    /// Returns the reserve in bytes where there is so much memory in total; `None` when it is off.
    pub(crate) fn of(self, total: u64) -> Option<u64> {
        match self {
            Self::Off => None,
            Self::Auto => Some((total / AUTO_SHARE).clamp(AUTO_MIN, AUTO_MAX)),
            Self::Bytes(bytes) => Some(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn automatic_reserve_is_a_tenth_within_bounds() {
        for (total, expected) in [(GIB, AUTO_MIN), (4 * GIB, 4 * GIB / 10), (64 * GIB, AUTO_MAX)] {
            assert_eq!(MemoryReserve::Auto.of(total), Some(expected));
        }
        assert_eq!((MemoryReserve::Off.of(GIB), MemoryReserve::Bytes(7).of(GIB)), (None, Some(7)));
    }
}
