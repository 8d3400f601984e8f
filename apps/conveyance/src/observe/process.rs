//! What this process uses, as Linux tells it. Elsewhere the figures are 0.

use gateway::Process;

/// Ticks of CPU time in a second: the same on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// The figures now.
pub(super) fn figures() -> Process {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let open_fds = std::fs::read_dir("/proc/self/fd").map_or(0, |all| all.count() as u64);
    Process {
        version: env!("CARGO_PKG_VERSION"),
        cpu_seconds: cpu_seconds(&stat).unwrap_or(0.0),
        resident_bytes: resident_bytes(&status).unwrap_or(0),
        open_fds,
    }
}

/// User and system time: fields 14 and 15, counted behind the name in brackets, which may hold anything.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS_PER_SECOND)
}

fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_s_words_are_understood() {
        let stat = "42 (a ) b) S 1 42 42 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 3 0 100 200 300";
        assert_eq!(cpu_seconds(stat), Some(2.0));
        assert_eq!(cpu_seconds("nonsense"), None);
        let status = "Name:\tconveyance\nVmPeak:\t  9999 kB\nVmRSS:\t    1024 kB\nThreads:\t3\n";
        assert_eq!(resident_bytes(status), Some(1 << 20));
        assert_eq!(resident_bytes(""), None);
    }
}
