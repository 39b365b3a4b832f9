//! How much memory this process may use.

use std::fs::read_to_string;

/// The least of what the machine has (swap included), what the process is limited to and what its control group is limited to, in bytes;
/// `None` where the system does not say.
pub fn memory_limit() -> Option<u64> {
    let text = |path: &str| read_to_string(path).unwrap_or_default();
    limit_of(&text("/proc/meminfo"), &text("/proc/self/limits"), &text("/sys/fs/cgroup/memory.max"))
}

/// How many files the process may have open; `None` where the system does not say.
pub fn open_files_limit() -> Option<u64> {
    soft_limit(&read_to_string("/proc/self/limits").unwrap_or_default(), "Max open files")
}

/// A soft limit of `proc_pid_limits(5)`; `None` where it is unlimited or not said.
fn soft_limit(limits: &str, name: &str) -> Option<u64> {
    let rest = limits.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_ascii_whitespace().next()?.parse().ok()
}

/// From the texts of Linux: `proc_meminfo(5)`, `proc_pid_limits(5)`, and `memory.max` of control groups (version 2).
fn limit_of(meminfo: &str, limits: &str, group: &str) -> Option<u64> {
    let kibibytes = |name: &str| -> Option<u64> {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_ascii_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
    };
    let machine = kibibytes("MemTotal:").map(|memory| memory.saturating_add(kibibytes("SwapTotal:").unwrap_or(0)));
    let process = soft_limit(limits, "Max address space");
    [machine, process, group.trim_ascii().parse().ok()].into_iter().flatten().min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_limit_counts() {
        let meminfo = "MemTotal:       1000 kB\nMemFree:        10 kB\nSwapTotal:       24 kB\n";
        let limits = |space: &str| {
            format!("Limit  Soft Limit  Hard Limit  Units\nMax address space         {space}   unlimited   bytes\n")
        };
        assert_eq!(limit_of(meminfo, &limits("unlimited"), "max\n"), Some(1024 * 1024));
        assert_eq!(limit_of(meminfo, &limits("5000"), "max\n"), Some(5000));
        assert_eq!(limit_of(meminfo, &limits("5000"), "4000\n"), Some(4000));
        assert_eq!(limit_of("", "", ""), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_says_how_much_there_is() {
        assert!(memory_limit().is_some_and(|bytes| bytes > 1 << 20));
        assert!(open_files_limit().is_some_and(|files| files > 8));
    }
}
