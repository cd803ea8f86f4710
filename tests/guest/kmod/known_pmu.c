// SPDX-License-Identifier: GPL-2.0-only
/*
 * known_pmu - the registers of known_energy as the perf PMU "power".
 *
 * Events energy-cores, energy-pkg, energy-ram and (with psys=1) energy-psys count in 2^-32 J from
 * the moment they are opened. As in the kernel's driver, what a register gained since it was last
 * looked at is taken as a *signed* 32-bit number: an event that nobody reads while its register gains
 * more than 2^31 units goes backwards.
 */
#include <linux/module.h>
#include <linux/perf_event.h>

#include "known_energy.h"

static bool psys;
module_param(psys, bool, 0444);

static struct pmu pmu;

static enum known_zone zone_of(const struct perf_event *event)
{
	switch (event->attr.config) {
	case 1:
		return KNOWN_CORE;
	case 3:
		return KNOWN_DRAM;
	case 5:
		return KNOWN_PSYS;
	default:
		return KNOWN_PACKAGE;
	}
}

static void take(struct perf_event *event, u32 value)
{
	enum known_zone zone = zone_of(event);
	u32 before = local64_xchg(&event->hw.prev_count, value);
	s64 gained = (s32)(value - before);

	local64_add(gained * (1LL << (32 - known_esu(zone))), &event->count);
}

/* Somebody reads the event. */
static void read(struct perf_event *event)
{
	take(event, known_read(zone_of(event), KNOWN_PERF));
}

static void start(struct perf_event *event, int flags)
{
	event->hw.state = 0;
	local64_set(&event->hw.prev_count, known_register(zone_of(event)));
}

static void stop(struct perf_event *event, int flags)
{
	if (event->hw.state & PERF_HES_STOPPED)
		return;
	take(event, known_register(zone_of(event)));
	event->hw.state = PERF_HES_STOPPED | PERF_HES_UPTODATE;
}

static int add(struct perf_event *event, int flags)
{
	event->hw.state = PERF_HES_STOPPED | PERF_HES_UPTODATE;
	if (flags & PERF_EF_START)
		start(event, flags);
	return 0;
}

static void del(struct perf_event *event, int flags)
{
	stop(event, flags);
}

static int event_init(struct perf_event *event)
{
	u64 config = event->attr.config;

	if (event->attr.type != pmu.type)
		return -ENOENT;
	if (event->cpu < 0 || is_sampling_event(event))
		return -EINVAL;
	if (config == 1 || config == 2 || config == 3 || (config == 5 && psys))
		return 0;
	return -EINVAL;
}

PMU_EVENT_ATTR_STRING(energy-cores, cores, "event=0x01");
PMU_EVENT_ATTR_STRING(energy-pkg, pkg, "event=0x02");
PMU_EVENT_ATTR_STRING(energy-ram, ram, "event=0x03");
PMU_EVENT_ATTR_STRING(energy-psys, psys_event, "event=0x05");
PMU_EVENT_ATTR_STRING(energy-cores.unit, cores_unit, "Joules");
PMU_EVENT_ATTR_STRING(energy-pkg.unit, pkg_unit, "Joules");
PMU_EVENT_ATTR_STRING(energy-ram.unit, ram_unit, "Joules");
PMU_EVENT_ATTR_STRING(energy-psys.unit, psys_unit, "Joules");
PMU_EVENT_ATTR_STRING(energy-cores.scale, cores_scale, "2.3283064365386962890625e-10");
PMU_EVENT_ATTR_STRING(energy-pkg.scale, pkg_scale, "2.3283064365386962890625e-10");
PMU_EVENT_ATTR_STRING(energy-ram.scale, ram_scale, "2.3283064365386962890625e-10");
PMU_EVENT_ATTR_STRING(energy-psys.scale, psys_scale, "2.3283064365386962890625e-10");

static struct attribute *event_attributes[] = {
	&cores.attr.attr, &cores_unit.attr.attr, &cores_scale.attr.attr,
	&pkg.attr.attr, &pkg_unit.attr.attr, &pkg_scale.attr.attr,
	&ram.attr.attr, &ram_unit.attr.attr, &ram_scale.attr.attr,
	&psys_event.attr.attr, &psys_unit.attr.attr, &psys_scale.attr.attr,
	NULL,
};

static umode_t is_visible(struct kobject *kobj, struct attribute *attribute, int index)
{
	return index < 9 || psys ? attribute->mode : 0;
}

static const struct attribute_group events = {
	.name = "events",
	.attrs = event_attributes,
	.is_visible = is_visible,
};

PMU_FORMAT_ATTR(event, "config:0-7");
static struct attribute *format_attributes[] = { &format_attr_event.attr, NULL };
static const struct attribute_group format = { .name = "format", .attrs = format_attributes };

static ssize_t cpumask_show(struct device *dev, struct device_attribute *attribute, char *buffer)
{
	return sysfs_emit(buffer, "0\n");
}
static DEVICE_ATTR_RO(cpumask);
static struct attribute *mask_attributes[] = { &dev_attr_cpumask.attr, NULL };
static const struct attribute_group mask = { .attrs = mask_attributes };

static const struct attribute_group *groups[] = { &events, &format, &mask, NULL };

static struct pmu pmu = {
	.module = THIS_MODULE,
	.task_ctx_nr = perf_invalid_context,
	.attr_groups = groups,
	.event_init = event_init,
	.add = add,
	.del = del,
	.start = start,
	.stop = stop,
	.read = read,
	.capabilities = PERF_PMU_CAP_NO_EXCLUDE,
};

static int __init known_pmu_init(void)
{
	return perf_pmu_register(&pmu, "power", -1);
}

static void __exit known_pmu_exit(void)
{
	perf_pmu_unregister(&pmu);
}

module_init(known_pmu_init);
module_exit(known_pmu_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Perf energy events with a known answer, for tests");
