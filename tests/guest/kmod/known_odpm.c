// SPDX-License-Identifier: GPL-2.0-only
/*
 * known_odpm - two power monitors with the attributes that a Pixel's show, with known rails.
 *
 * Each is an IIO device (s2mpg10-odpm, s2mpg11-odpm) with eight channels:
 *
 *	energy_value     "t=<ms>", then "CH<n>(T=<ms>)[<rail>], <uWs>" a channel; with old_form=1 "<ms>",
 *	                 then "<rail>, <uWs>". t is CLOCK_BOOTTIME; within 50 ms of the last reading the
 *	                 same values come back with the same t.
 *	enabled_rails    "CH<n>[<rail>]:<subsystem>"; writing "CH<n>=<rail>" puts another rail on a
 *	                 channel, which starts again at zero, also when the rail is the same one
 *	available_rails  "<name>(<rail>):<subsystem>"
 *	sampling_rate, ext_sampling_rate
 *
 * Rail r of the list of a monitor draws rail_mw[r] milliwatts, all the time.
 */
#include <linux/iio/iio.h>
#include <linux/iio/sysfs.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/platform_device.h>

#define CHANNELS 8
#define RAILS 10
#define MONITORS 2
#define SHORTEST_MS 50

static bool old_form;
module_param(old_form, bool, 0644);

static unsigned int rail_mw[RAILS] = { 1500, 700, 250, 900, 120, 60, 40, 10, 333, 1 };
module_param_array(rail_mw, uint, NULL, 0444);

struct rail {
	const char *name, *schematic, *subsystem;
};

static const struct rail rails[MONITORS][RAILS] = {
	{
		{ "BUCK2M", "S2M_VDD_CPUCL2", "CPU(BIG)" },
		{ "BUCK3M", "S3M_VDD_CPUCL1", "CPU(MID)" },
		{ "BUCK4M", "S4M_VDD_CPUCL0", "CPU(LITTLE)" },
		{ "BUCK1M", "S1M_VDD_MIF", "MIF" },
		{ "BUCK5M", "S5M_VDD_INT", "INT" },
		{ "BUCK6M", "S6M_LLDO2", "Multimedia" },
		{ "BUCK9M", "S9M_VDD_CPUCL0_M", "CPU(LITTLE)" },
		{ "LDO15M", "L15M_VDD_SLC_M", "SLC" },
		{ "BUCK10M", "S10M_VDD_TPU", "TPU" },
		{ "VSYS_PWR1", "VSYS_PWR_MODEM", "Modem" },
	},
	{
		{ "BUCK2S", "S2S_VDD_G3D", "GPU" },
		{ "BUCK1S", "S1S_VDD_CAM", "Multimedia" },
		{ "BUCK3S", "S3S_LLDO1", "LDO" },
		{ "BUCK4S", "S4S_VDD2H_MEM", "DDR" },
		{ "BUCK5S", "S5S_VDDQ_MEM", "DDR" },
		{ "BUCK8S", "S8S_VDD_G3D_L2", "GPU" },
		{ "BUCK9S", "S9S_VDD_AOC", "AOC" },
		{ "LDO9S", "L9S_GNSS_CORE", "GPS" },
		{ "BUCK10S", "S10S_VDD2L", "DDR" },
		{ "VSYS_PWR2", "VSYS_PWR_DISPLAY", "Display" },
	},
};

struct channel {
	unsigned int rail;
	u64 since_ms;
	u64 shown_ms;
	u64 shown_uws;
};

struct monitor {
	struct platform_device *device;
	struct iio_dev *iio;
	struct mutex lock;
	const struct rail *rails;
	struct channel channel[CHANNELS];
	u64 shown_ms;
	bool ready;
};

static struct monitor monitors[MONITORS];

static struct monitor *of(struct device *dev)
{
	struct iio_dev *iio = dev_to_iio_dev(dev);

	return *(struct monitor **)iio_priv(iio);
}

static u64 now_ms(void)
{
	return ktime_to_ms(ktime_get_boottime());
}

/* Milliwatts times milliseconds are microwattseconds. */
static void look(struct monitor *monitor)
{
	u64 now = now_ms();
	int i;

	if (monitor->shown_ms && now - monitor->shown_ms < SHORTEST_MS)
		return;
	monitor->shown_ms = now;
	for (i = 0; i < CHANNELS; i++) {
		struct channel *channel = &monitor->channel[i];

		channel->shown_ms = now - channel->since_ms;
		channel->shown_uws = channel->shown_ms * rail_mw[channel->rail];
	}
}

static ssize_t energy_value_show(struct device *dev, struct device_attribute *attribute, char *buffer)
{
	struct monitor *monitor = of(dev);
	bool old = READ_ONCE(old_form);
	int i, length;

	mutex_lock(&monitor->lock);
	look(monitor);
	length = sysfs_emit(buffer, old ? "%llu\n" : "t=%llu\n", monitor->shown_ms);
	for (i = 0; i < CHANNELS; i++) {
		struct channel *channel = &monitor->channel[i];
		const char *rail = monitor->rails[channel->rail].schematic;

		if (old)
			length += sysfs_emit_at(buffer, length, "%s, %llu\n", rail, channel->shown_uws);
		else
			length += sysfs_emit_at(buffer, length, "CH%d(T=%llu)[%s], %llu\n", i,
						channel->shown_ms, rail, channel->shown_uws);
	}
	mutex_unlock(&monitor->lock);
	return length;
}

static ssize_t enabled_rails_show(struct device *dev, struct device_attribute *attribute, char *buffer)
{
	struct monitor *monitor = of(dev);
	int i, length = 0;

	mutex_lock(&monitor->lock);
	for (i = 0; i < CHANNELS; i++) {
		const struct rail *rail = &monitor->rails[monitor->channel[i].rail];

		length += sysfs_emit_at(buffer, length, "CH%d[%s]:%s\n", i, rail->schematic, rail->subsystem);
	}
	mutex_unlock(&monitor->lock);
	return length;
}

static ssize_t enabled_rails_store(struct device *dev, struct device_attribute *attribute, const char *text,
				   size_t length)
{
	struct monitor *monitor = of(dev);
	unsigned int channel, rail;
	char name[32];

	if (sscanf(text, "CH%u=%31s", &channel, name) != 2 || channel >= CHANNELS)
		return -EINVAL;
	for (rail = 0; rail < RAILS; rail++)
		if (!strcmp(name, monitor->rails[rail].name) || !strcmp(name, monitor->rails[rail].schematic))
			break;
	if (rail == RAILS)
		return -EINVAL;
	mutex_lock(&monitor->lock);
	monitor->channel[channel].rail = rail;
	monitor->channel[channel].since_ms = now_ms();
	monitor->shown_ms = 0;
	mutex_unlock(&monitor->lock);
	return length;
}

static ssize_t available_rails_show(struct device *dev, struct device_attribute *attribute, char *buffer)
{
	struct monitor *monitor = of(dev);
	int i, length = 0;

	for (i = 0; i < RAILS; i++)
		length += sysfs_emit_at(buffer, length, "%s(%s):%s\n", monitor->rails[i].name,
					monitor->rails[i].schematic, monitor->rails[i].subsystem);
	return length;
}

static ssize_t sampling_rate_show(struct device *dev, struct device_attribute *attribute, char *buffer)
{
	return sysfs_emit(buffer, "125.000000\n");
}

static ssize_t ext_sampling_rate_show(struct device *dev, struct device_attribute *attribute, char *buffer)
{
	return sysfs_emit(buffer, "7.812500\n");
}

static IIO_DEVICE_ATTR_RO(energy_value, 0);
static IIO_DEVICE_ATTR_RW(enabled_rails, 0);
static IIO_DEVICE_ATTR_RO(available_rails, 0);
static IIO_DEVICE_ATTR_RO(sampling_rate, 0);
static IIO_DEVICE_ATTR_RO(ext_sampling_rate, 0);

static struct attribute *attributes[] = {
	&iio_dev_attr_energy_value.dev_attr.attr,
	&iio_dev_attr_enabled_rails.dev_attr.attr,
	&iio_dev_attr_available_rails.dev_attr.attr,
	&iio_dev_attr_sampling_rate.dev_attr.attr,
	&iio_dev_attr_ext_sampling_rate.dev_attr.attr,
	NULL,
};

static const struct attribute_group group = { .attrs = attributes };
static const struct iio_info info = { .attrs = &group };
static const char * const names[MONITORS] = { "s2mpg10-odpm", "s2mpg11-odpm" };

static int add(int index)
{
	struct monitor *monitor = &monitors[index];
	int i, failure;

	mutex_init(&monitor->lock);
	monitor->rails = rails[index];
	for (i = 0; i < CHANNELS; i++) {
		monitor->channel[i].rail = i;
		monitor->channel[i].since_ms = now_ms();
	}
	monitor->device = platform_device_register_simple(names[index], PLATFORM_DEVID_NONE, NULL, 0);
	if (IS_ERR(monitor->device))
		return PTR_ERR(monitor->device);
	monitor->iio = iio_device_alloc(&monitor->device->dev, sizeof(struct monitor *));
	if (!monitor->iio) {
		platform_device_unregister(monitor->device);
		return -ENOMEM;
	}
	*(struct monitor **)iio_priv(monitor->iio) = monitor;
	monitor->iio->name = names[index];
	monitor->iio->info = &info;
	monitor->iio->modes = INDIO_DIRECT_MODE;
	failure = iio_device_register(monitor->iio);
	if (failure) {
		iio_device_free(monitor->iio);
		platform_device_unregister(monitor->device);
		return failure;
	}
	monitor->ready = true;
	return 0;
}

static void known_odpm_exit(void)
{
	int index;

	for (index = 0; index < MONITORS; index++) {
		struct monitor *monitor = &monitors[index];

		if (!monitor->ready)
			continue;
		iio_device_unregister(monitor->iio);
		iio_device_free(monitor->iio);
		platform_device_unregister(monitor->device);
		monitor->ready = false;
	}
}

static int __init known_odpm_init(void)
{
	int index, failure;

	for (index = 0; index < MONITORS; index++) {
		failure = add(index);
		if (failure) {
			known_odpm_exit();
			return failure;
		}
	}
	return 0;
}

module_init(known_odpm_init);
module_exit(known_odpm_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Power rails with a known answer, for tests");
