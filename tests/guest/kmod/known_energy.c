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
 * A register holds the low 32 bits of that in units of 2^-esu J. It starts at zero, also after a suspend.
 *
 * Parameters, all in the order package, core, dram, psys:
 *
 *	truth		what was used since loading, in microjoules, without any wrap, and the
 *			microseconds since then
 *	seen_through_powercap, seen_through_perf
 *			the same, of the moment when each register was last read through that door
 *	wrap_in_mj	writing "a,b,c,d" sets the registers so that each comes back to zero once that many
 *			millijoules more were used; 0 sets it to zero now, as firmware might. The truth
 *			goes on.
 *
 * known_powercap and known_pmu show the registers the way the kernel's own drivers do.
 */
#include <linux/cpumask.h>
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/module.h>
#include <linux/spinlock.h>
#include <linux/suspend.h>
#include <linux/tick.h>

#include "known_energy.h"

static unsigned int idle_mw = 10000, busy_mw = 20000, dram_mw = 3000, board_mw = 5000;
module_param(idle_mw, uint, 0444);
module_param(busy_mw, uint, 0444);
module_param(dram_mw, uint, 0444);
module_param(board_mw, uint, 0444);

static unsigned int esu[KNOWN_ZONES] = { 14, 14, 16, 14 };
module_param_array(esu, uint, NULL, 0444);

static DEFINE_RAW_SPINLOCK(lock);
static u64 loaded_ns, idle_when_loaded_us, busy_so_far_us;
/* All guarded by the lock. A register held start when base_nj was the truth. */
static u32 start[KNOWN_ZONES];
static u64 base_nj[KNOWN_ZONES];
static u64 seen_nj[KNOWN_DOORS][KNOWN_ZONES], seen_us[KNOWN_DOORS];

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

static u32 register_of(enum known_zone zone, u64 nj)
{
	return start[zone] + (u32)units(nj - base_nj[zone], zone);
}

u32 known_register(enum known_zone zone)
{
	struct moment m;
	unsigned long flags;
	u32 value;

	raw_spin_lock_irqsave(&lock, flags);
	m = now();
	value = register_of(zone, truth_nj(zone, &m));
	raw_spin_unlock_irqrestore(&lock, flags);
	return value;
}
EXPORT_SYMBOL_GPL(known_register);

u32 known_read(enum known_zone zone, enum known_door door)
{
	struct moment m;
	unsigned long flags;
	u32 value;

	raw_spin_lock_irqsave(&lock, flags);
	m = now();
	seen_nj[door][zone] = truth_nj(zone, &m);
	seen_us[door] = m.since_us;
	value = register_of(zone, seen_nj[door][zone]);
	raw_spin_unlock_irqrestore(&lock, flags);
	return value;
}
EXPORT_SYMBOL_GPL(known_read);

unsigned int known_esu(enum known_zone zone)
{
	return esu[zone];
}
EXPORT_SYMBOL_GPL(known_esu);

static int show(char *buffer, const u64 nj[KNOWN_ZONES], u64 us)
{
	int zone, length = 0;

	for (zone = 0; zone < KNOWN_ZONES; zone++)
		length += sysfs_emit_at(buffer, length, "%llu ", div_u64(nj[zone], 1000));
	return length + sysfs_emit_at(buffer, length, "%llu\n", us);
}

static int truth_get(char *buffer, const struct kernel_param *param)
{
	struct moment m;
	u64 nj[KNOWN_ZONES];
	unsigned long flags;
	int zone;

	raw_spin_lock_irqsave(&lock, flags);
	m = now();
	raw_spin_unlock_irqrestore(&lock, flags);
	for (zone = 0; zone < KNOWN_ZONES; zone++)
		nj[zone] = truth_nj(zone, &m);
	return show(buffer, nj, m.since_us);
}

static const struct kernel_param_ops truth_ops = { .get = truth_get };
module_param_cb(truth, &truth_ops, NULL, 0444);

static int seen_get(char *buffer, const struct kernel_param *param)
{
	enum known_door door = (unsigned long)param->arg;
	u64 nj[KNOWN_ZONES], us;
	unsigned long flags;

	raw_spin_lock_irqsave(&lock, flags);
	memcpy(nj, seen_nj[door], sizeof(nj));
	us = seen_us[door];
	raw_spin_unlock_irqrestore(&lock, flags);
	return show(buffer, nj, us);
}

static const struct kernel_param_ops seen_ops = { .get = seen_get };
module_param_cb(seen_through_powercap, &seen_ops, (void *)KNOWN_POWERCAP, 0444);
module_param_cb(seen_through_perf, &seen_ops, (void *)KNOWN_PERF, 0444);

static void set_registers(const u64 mj[KNOWN_ZONES])
{
	struct moment m;
	unsigned long flags;
	int zone;

	raw_spin_lock_irqsave(&lock, flags);
	m = now();
	for (zone = 0; zone < KNOWN_ZONES; zone++) {
		start[zone] = -(u32)units(mj[zone] * 1000000, zone);
		base_nj[zone] = truth_nj(zone, &m);
	}
	raw_spin_unlock_irqrestore(&lock, flags);
}

static int wrap_set(const char *text, const struct kernel_param *param)
{
	u64 mj[KNOWN_ZONES];

	if (sscanf(text, "%llu,%llu,%llu,%llu", &mj[0], &mj[1], &mj[2], &mj[3]) != KNOWN_ZONES)
		return -EINVAL;
	set_registers(mj);
	return 0;
}

static const struct kernel_param_ops wrap_ops = { .set = wrap_set };
module_param_cb(wrap_in_mj, &wrap_ops, NULL, 0200);

/* Before any process sees them again. */
static int power_changed(struct notifier_block *block, unsigned long event, void *data)
{
	static const u64 zero[KNOWN_ZONES];

	if (event == PM_POST_SUSPEND)
		set_registers(zero);
	return NOTIFY_DONE;
}

static struct notifier_block power_block = { .notifier_call = power_changed };

static int __init known_energy_init(void)
{
	int zone;

	for (zone = 0; zone < KNOWN_ZONES; zone++)
		if (esu[zone] > 31)
			return -EINVAL;
	loaded_ns = ktime_get_ns();
	idle_when_loaded_us = idle_us();
	return register_pm_notifier(&power_block);
}

static void __exit known_energy_exit(void)
{
	unregister_pm_notifier(&power_block);
}

module_init(known_energy_init);
module_exit(known_energy_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Energy registers with a known answer, for tests");
