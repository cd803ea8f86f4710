// SPDX-License-Identifier: GPL-2.0-only
/*
 * known_energy - the energy registers of a machine that does not exist, and the truth about them.
 *
 * For t the time since loading and b the CPU time that the kernel was not idle in it, over all CPUs:
 *
 *	core    = busy_mw * b
 *	package = idle_mw * t + core
 *	dram    = dram_mw * t
 *	psys    = board_mw * t + package + dram
 *
 * A register holds the low 32 bits of that in units of 2^-esu J, and starts so that it comes back to
 * zero once wrap_after_mj millijoules were used (0: it starts at zero).
 *
 * /sys/module/known_energy/parameters/truth holds what was used since loading, in microjoules, without
 * any wrap: "package core dram psys microseconds". Writing to clear_registers sets every register to
 * zero, as a firmware might, and leaves the truth alone.
 *
 * known_powercap and known_pmu show the registers the way the kernel's own drivers do.
 */
#include <linux/cpumask.h>
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/module.h>
#include <linux/spinlock.h>
#include <linux/tick.h>

#include "known_energy.h"

static unsigned int idle_mw = 10000, busy_mw = 20000, dram_mw = 3000, board_mw = 5000;
module_param(idle_mw, uint, 0444);
module_param(busy_mw, uint, 0444);
module_param(dram_mw, uint, 0444);
module_param(board_mw, uint, 0444);

static unsigned int esu[KNOWN_ZONES] = { 14, 14, 16, 14 };
module_param_array(esu, uint, NULL, 0444);

static unsigned long long wrap_after_mj[KNOWN_ZONES];
module_param_array(wrap_after_mj, ullong, NULL, 0444);

static DEFINE_RAW_SPINLOCK(lock);
static u64 loaded_ns, idle_when_loaded_us, busy_so_far_us;
/* What a register held at the moment when base_nj was the truth; both are guarded by the lock. */
static u32 start[KNOWN_ZONES];
static u64 base_nj[KNOWN_ZONES];

static u64 idle_us(void)
{
	u64 sum = 0;
	int cpu;

	for_each_online_cpu(cpu) {
		u64 us = get_cpu_idle_time_us(cpu, NULL);

		if (us != (u64)-1)
			sum += us;
	}
	return sum;
}

/* One look at the clock, from which the energies of all zones follow. */
struct moment {
	u64 since_us;
	u64 busy_us;
};

static struct moment now(void)
{
	struct moment m;
	u64 all, idle;

	m.since_us = div_u64(ktime_get_ns() - loaded_ns, NSEC_PER_USEC);
	all = m.since_us * num_online_cpus();
	idle = idle_us() - idle_when_loaded_us;
	/* The idle clocks of other CPUs are not read at the same instant: energy must not fall for that. */
	if (all > idle && all - idle > busy_so_far_us)
		busy_so_far_us = all - idle;
	m.busy_us = busy_so_far_us;
	return m;
}

/* Milliwatts times microseconds are nanojoules. */
static u64 truth_nj(enum known_zone zone, const struct moment *m)
{
	u64 core = m->busy_us * busy_mw;
	u64 package = m->since_us * idle_mw + core;
	u64 dram = m->since_us * dram_mw;

	switch (zone) {
	case KNOWN_PACKAGE:
		return package;
	case KNOWN_CORE:
		return core;
	case KNOWN_DRAM:
		return dram;
	default:
		return m->since_us * board_mw + package + dram;
	}
}

static u64 units(u64 nj, enum known_zone zone)
{
	return mul_u64_u64_div_u64(nj, 1ULL << esu[zone], NSEC_PER_SEC);
}

u32 known_register(enum known_zone zone)
{
	struct moment m;
	unsigned long flags;
	u32 value;

	raw_spin_lock_irqsave(&lock, flags);
	m = now();
	value = start[zone] + (u32)units(truth_nj(zone, &m) - base_nj[zone], zone);
	raw_spin_unlock_irqrestore(&lock, flags);
	return value;
}
EXPORT_SYMBOL_GPL(known_register);

unsigned int known_esu(enum known_zone zone)
{
	return esu[zone];
}
EXPORT_SYMBOL_GPL(known_esu);

static int truth_get(char *buffer, const struct kernel_param *param)
{
	struct moment m;
	unsigned long flags;
	int zone, length = 0;

	raw_spin_lock_irqsave(&lock, flags);
	m = now();
	raw_spin_unlock_irqrestore(&lock, flags);
	for (zone = 0; zone < KNOWN_ZONES; zone++)
		length += sysfs_emit_at(buffer, length, "%llu ", div_u64(truth_nj(zone, &m), 1000));
	return length + sysfs_emit_at(buffer, length, "%llu\n", m.since_us);
}

static const struct kernel_param_ops truth_ops = { .get = truth_get };
module_param_cb(truth, &truth_ops, NULL, 0444);

static int clear_set(const char *text, const struct kernel_param *param)
{
	struct moment m;
	unsigned long flags;
	int zone;

	raw_spin_lock_irqsave(&lock, flags);
	m = now();
	for (zone = 0; zone < KNOWN_ZONES; zone++) {
		start[zone] = 0;
		base_nj[zone] = truth_nj(zone, &m);
	}
	raw_spin_unlock_irqrestore(&lock, flags);
	return 0;
}

static const struct kernel_param_ops clear_ops = { .set = clear_set };
module_param_cb(clear_registers, &clear_ops, NULL, 0200);

static int __init known_energy_init(void)
{
	int zone;

	for (zone = 0; zone < KNOWN_ZONES; zone++) {
		if (esu[zone] > 31)
			return -EINVAL;
		if (wrap_after_mj[zone])
			start[zone] = -(u32)units(wrap_after_mj[zone] * 1000000, zone);
	}
	loaded_ns = ktime_get_ns();
	idle_when_loaded_us = idle_us();
	return 0;
}

static void __exit known_energy_exit(void)
{
}

module_init(known_energy_init);
module_exit(known_energy_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Energy registers with a known answer, for tests");
