//! Memory that will soon be read, asked for ahead of time.

/// Has the cache line of `items[i]` brought in, so that whoever reads it soon need not wait. Costs an instruction, changes
/// nothing, and `i` need not be in bounds. Does nothing where there is no stable way to say it.
#[inline(always)]
pub fn fetch<T>(items: &[T], i: usize) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: PREFETCHT0 changes nothing that a program can see and never faults, whatever the address is.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(items.as_ptr().wrapping_add(i).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (items, i);
}
