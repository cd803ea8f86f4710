/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The registers of a machine whose true energy is known: what known_energy counts and its readers show.
 */
#ifndef KNOWN_ENERGY_H
#define KNOWN_ENERGY_H

#include <linux/types.h>

enum known_zone {
	KNOWN_PACKAGE,
	KNOWN_CORE,
	KNOWN_DRAM,
	KNOWN_PSYS,
	KNOWN_ZONES,
};

/* Who shows the registers. */
enum known_door {
	KNOWN_POWERCAP,
	KNOWN_PERF,
	KNOWN_DOORS,
};

/* The low 32 bits of the energy of a zone in units of 2^-esu joules, as a register holds it. */
u32 known_register(enum known_zone zone);

/* The same, for somebody who asked: the truth of this moment is kept in seen_through_*. */
u32 known_read(enum known_zone zone, enum known_door door);

/* The exponent of that unit. */
unsigned int known_esu(enum known_zone zone);

#endif
