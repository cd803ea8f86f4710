// SPDX-License-Identifier: GPL-2.0-only
/*
 * known_powercap - the registers of known_energy as powercap zones.
 *
 *	intel-rapl:0    package-0
 *	intel-rapl:0:0  core
 *	intel-rapl:0:1  dram
 *	intel-rapl:1    psys, with psys=1
 *	intel-rapl-mmio:0  package-0 once more, with mmio=1: the same energy through a second door
 *
 * As the kernel's driver does it: a unit is a whole number of nanojoules (shown_nj), energy_uj is
 * units * shown_nj / 1000, and max_energy_range_uj is (2^32 - 1) * shown_nj / 1000.
 *
 * Writing an errno to the parameter error makes reads of the zones in error_zones (bit n for zone n
 * of enum known_zone) fail with it, until 0 is written.
 */
#include <linux/module.h>
#include <linux/powercap.h>

#include "known_energy.h"

static bool psys, mmio;
module_param(psys, bool, 0444);
module_param(mmio, bool, 0444);

/* dram: what servers since Haswell show, though their register counts in 2^-16 J. */
static unsigned int shown_nj[KNOWN_ZONES] = { 61035, 61035, 15300, 61035 };
module_param_array(shown_nj, uint, NULL, 0444);

static unsigned int error, error_zones;
module_param(error, uint, 0644);
module_param(error_zones, uint, 0644);

static u64 limit_uw[KNOWN_ZONES] = { 65000000, 0, 0, 90000000 };
static u64 window_us = 999424;

struct shown {
	struct powercap_zone zone;
	enum known_zone known;
	bool registered;
};

static struct shown shown[KNOWN_ZONES], twin;
static struct powercap_control_type *msr_type, *mmio_type;

static struct shown *of(struct powercap_zone *zone)
{
	return container_of(zone, struct shown, zone);
}

static int get_energy(struct powercap_zone *zone, u64 *uj)
{
	enum known_zone known = of(zone)->known;
	unsigned int failure = READ_ONCE(error);

	if (failure && READ_ONCE(error_zones) & (1u << known))
		return -(int)failure;
	*uj = div_u64((u64)known_read(known, KNOWN_POWERCAP) * shown_nj[known], 1000);
	return 0;
}

static int get_range(struct powercap_zone *zone, u64 *uj)
{
	*uj = div_u64((u64)U32_MAX * shown_nj[of(zone)->known], 1000);
	return 0;
}

static int get_enable(struct powercap_zone *zone, bool *enabled)
{
	*enabled = true;
	return 0;
}

static int set_enable(struct powercap_zone *zone, bool enabled)
{
	return 0;
}

/* The zones are static. */
static int release(struct powercap_zone *zone)
{
	return 0;
}

static const struct powercap_zone_ops zone_ops = {
	.get_energy_uj = get_energy,
	.get_max_energy_range_uj = get_range,
	.get_enable = get_enable,
	.set_enable = set_enable,
	.release = release,
};

static int get_limit(struct powercap_zone *zone, int id, u64 *uw)
{
	*uw = limit_uw[of(zone)->known];
	return 0;
}

static int set_limit(struct powercap_zone *zone, int id, u64 uw)
{
	limit_uw[of(zone)->known] = uw;
	return 0;
}

static int get_window(struct powercap_zone *zone, int id, u64 *us)
{
	*us = window_us;
	return 0;
}

static int set_window(struct powercap_zone *zone, int id, u64 us)
{
	window_us = us;
	return 0;
}

static int get_max_power(struct powercap_zone *zone, int id, u64 *uw)
{
	if (!limit_uw[of(zone)->known])
		return -ENODATA;
	*uw = limit_uw[of(zone)->known];
	return 0;
}

static const char *get_name(struct powercap_zone *zone, int id)
{
	return "long_term";
}

static const struct powercap_zone_constraint_ops constraint_ops = {
	.set_power_limit_uw = set_limit,
	.get_power_limit_uw = get_limit,
	.set_time_window_us = set_window,
	.get_time_window_us = get_window,
	.get_max_power_uw = get_max_power,
	.get_name = get_name,
};

static int add(struct powercap_control_type *type, struct shown *one, enum known_zone known,
	       const char *name, struct shown *parent)
{
	struct powercap_zone *zone;

	one->known = known;
	zone = powercap_register_zone(&one->zone, type, name, parent ? &parent->zone : NULL,
				      &zone_ops, 1, &constraint_ops);
	if (IS_ERR(zone))
		return PTR_ERR(zone);
	one->registered = true;
	return 0;
}

static void take_away(struct powercap_control_type *type, struct shown *one)
{
	if (one->registered)
		powercap_unregister_zone(type, &one->zone);
	one->registered = false;
}

static void known_powercap_exit(void)
{
	int zone;

	/* Children before their parent. */
	for (zone = KNOWN_ZONES - 1; zone >= 0; zone--)
		take_away(msr_type, &shown[zone]);
	if (!IS_ERR_OR_NULL(mmio_type)) {
		take_away(mmio_type, &twin);
		powercap_unregister_control_type(mmio_type);
	}
	if (!IS_ERR_OR_NULL(msr_type))
		powercap_unregister_control_type(msr_type);
}

static int __init known_powercap_init(void)
{
	struct shown *package = &shown[KNOWN_PACKAGE];
	int failure;

	msr_type = powercap_register_control_type(NULL, "intel-rapl", NULL);
	if (IS_ERR(msr_type))
		return PTR_ERR(msr_type);
	failure = add(msr_type, package, KNOWN_PACKAGE, "package-0", NULL);
	if (!failure)
		failure = add(msr_type, &shown[KNOWN_CORE], KNOWN_CORE, "core", package);
	if (!failure)
		failure = add(msr_type, &shown[KNOWN_DRAM], KNOWN_DRAM, "dram", package);
	if (!failure && psys)
		failure = add(msr_type, &shown[KNOWN_PSYS], KNOWN_PSYS, "psys", NULL);
	if (!failure && mmio) {
		mmio_type = powercap_register_control_type(NULL, "intel-rapl-mmio", NULL);
		failure = PTR_ERR_OR_ZERO(mmio_type);
		if (!failure)
			failure = add(mmio_type, &twin, KNOWN_PACKAGE, "package-0", NULL);
	}
	if (failure)
		known_powercap_exit();
	return failure;
}

module_init(known_powercap_init);
module_exit(known_powercap_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Powercap zones with a known answer, for tests");
