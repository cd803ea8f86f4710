//! The texts of a procfs: machine-wide files and those of one process.

use std::fmt::Write as _;

use crate::model::Vendor;
use crate::moment::Moment;
use crate::usage::{CpuTime, Process, TICK_NS};

/// Process flag of a kernel thread in `stat`.
const PF_KTHREAD: u32 = 0x0020_0000;

/// `stat`: ticks of all CPUs, of each, and when the machine was switched on.
pub(crate) fn stat(moment: &Moment<'_>) -> String {
    let machine = moment.machine();
    let total = moment.cpu_time();
    let mut text = String::new();
    cpu_line(&mut text, "cpu ", total);
    for cpu in 0..machine.cpus {
        let name = format!("cpu{cpu}");
        cpu_line(&mut text, &name, share(total, machine.cpus, cpu));
    }
    let now = moment.monotonic_ns();
    let alive = machine.processes.iter().filter(|p| p.alive(now)).count();
    let _ = write!(
        text,
        "intr 0\nctxt 0\nbtime {}\nprocesses {}\nprocs_running {}\nprocs_blocked 0\n",
        machine.boot_unix_s,
        machine.processes.len(),
        alive.min(machine.cpus as usize),
    );
    text
}

/// `meminfo`: half of the memory is in use.
pub(crate) fn meminfo(moment: &Moment<'_>) -> String {
    let total = moment.machine().memory_kb;
    let free = total / 2;
    format!(
        "MemTotal:       {total:8} kB\nMemFree:        {free:8} kB\nMemAvailable:   {free:8} kB\n\
         Buffers:               0 kB\nCached:                0 kB\n"
    )
}

/// `uptime`: seconds since the machine was switched on, and idle seconds summed over CPUs.
pub(crate) fn uptime(moment: &Moment<'_>) -> String {
    let hundredths = |ns: u64| format!("{}.{:02}", ns / 1_000_000_000, ns / TICK_NS % 100);
    let idle = moment.cpu_time();
    format!("{} {}\n", hundredths(moment.clocks().boottime_ns), hundredths(idle.idle_ns + idle.iowait_ns))
}

/// `cpuinfo`: who made the processor, once a CPU.
pub(crate) fn cpuinfo(moment: &Moment<'_>) -> String {
    let (vendor, family, name) = match moment.machine().vendor {
        Vendor::Intel => ("GenuineIntel", 6, "Fake Xeon"),
        Vendor::Amd => ("AuthenticAMD", 25, "Fake EPYC"),
    };
    let mut text = String::new();
    for cpu in 0..moment.machine().cpus {
        let _ = write!(
            text,
            "processor\t: {cpu}\nvendor_id\t: {vendor}\ncpu family\t: {family}\nmodel\t\t: 1\n\
             model name\t: {name}\nstepping\t: 0\nflags\t\t: fpu tsc msr\n\n"
        );
    }
    text
}

/// `PID/stat`, all 52 fields.
pub(crate) fn process_stat(moment: &Moment<'_>, process: &Process) -> String {
    let now = moment.monotonic_ns();
    let utime = process.user_ns(now) / TICK_NS;
    let stime = process.system_ns(now) / TICK_NS;
    let start = moment.machine().boottime_of(process.starts) / TICK_NS;
    let flags = if process.is_kernel_thread() { PF_KTHREAD } else { 0 };
    let Process { pid, ppid, comm, .. } = process;
    format!(
        "{pid} ({comm}) S {ppid} {pid} {pid} 0 -1 {flags} 0 0 0 0 {utime} {stime} 0 0 20 0 1 0 \
         {start} 8388608 512 18446744073709551615 0 0 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 0 0 \
         0 0 0 0\n"
    )
}

/// `PID/status`: the lines that say who it is.
pub(crate) fn process_status(process: &Process) -> String {
    let Process { pid, ppid, uid, comm, .. } = process;
    format!(
        "Name:\t{comm}\nState:\tS (sleeping)\nTgid:\t{pid}\nPid:\t{pid}\nPPid:\t{ppid}\n\
         Uid:\t{uid}\t{uid}\t{uid}\t{uid}\nGid:\t{uid}\t{uid}\t{uid}\t{uid}\nThreads:\t1\n"
    )
}

fn cpu_line(text: &mut String, name: &str, time: CpuTime) {
    let ticks = |ns: u64| ns / TICK_NS;
    let _ = writeln!(
        text,
        "{name} {} 0 {} {} {} 0 0 {} 0 0",
        ticks(time.user_ns),
        ticks(time.system_ns),
        ticks(time.idle_ns),
        ticks(time.iowait_ns),
        ticks(time.steal_ns),
    );
}

/// One CPU's part: even shares, and the rest of the division to the first.
fn share(total: CpuTime, cpus: u32, cpu: u32) -> CpuTime {
    let cpus = u64::from(cpus);
    let part = |ns: u64| ns / cpus + if cpu == 0 { ns % cpus } else { 0 };
    CpuTime {
        user_ns: part(total.user_ns),
        system_ns: part(total.system_ns),
        idle_ns: part(total.idle_ns),
        iowait_ns: part(total.iowait_ns),
        steal_ns: part(total.steal_ns),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TrueMachine;

    const SECOND: u64 = 1_000_000_000;

    fn machine() -> TrueMachine {
        TrueMachine::builder()
            .cpus(2)
            .process(Process::new(9, "a) R 1 (b").uid(1000).from(SECOND).rate(0, 0.5, 0.25))
            .process(Process::new(2, "kthreadd"))
            .suspend(0, 5 * SECOND)
            .build()
            .unwrap()
    }

    #[test]
    fn stat_is_in_ticks_and_does_not_count_sleep() {
        let machine = machine();
        let text = stat(&machine.at(16 * SECOND));
        assert!(text.starts_with("cpu  500 0 250 1450 0 0 0 0 0 0\ncpu0 250 0 125 725 0"));
    }

    #[test]
    fn a_process_has_all_fields_behind_its_name() {
        let machine = machine();
        let text = process_stat(&machine.at(16 * SECOND), &machine.processes[0]);
        let (_, rest) = text.rsplit_once(')').unwrap();
        let fields: Vec<&str> = rest.split_whitespace().collect();
        assert_eq!(fields.len(), 50);
        assert_eq!((fields[11], fields[12]), ("500", "250"));
        assert_eq!(fields[19], "600", "a start time counts sleep");
        assert!(process_status(&machine.processes[0]).contains("Uid:\t1000\t1000"));
    }
}
