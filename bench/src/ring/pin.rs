//! One core for the whole run: a thread that is moved finds its caches empty.

/// Whether the calling thread is now bound to a core.
pub(super) fn to_core(core: u32) -> bool {
    use rustix::thread::{CpuSet, sched_setaffinity};
    let mut set = CpuSet::new();
    set.set(core as usize);
    sched_setaffinity(None, &set).is_ok()
}
