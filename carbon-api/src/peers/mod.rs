//! What other meters of energy are known to get wrong: for each a machine that shows it, and what ours makes of it.
//!
//! The inputs are simulated after public reports, which each scenario names; no code or text of another project is used. They are
//! no verdict on those projects, most of which have mended what is told here: they are cases that any meter must pass.

mod alumet_carbon_double;
mod alumet_delta_gauge;
mod alumet_die_name;
mod alumet_every_fall_wraps;
mod bench;
mod codecarbon_316;
mod codecarbon_zero_read;
mod constant_power;
mod energibridge_17;
mod kepler_1615;
mod kepler_first_read;
mod kepler_raw_counter;
mod kepler_zone_error;
mod s_tui_42;
mod scaphandre_280;
mod scaphandre_starved_refresh;
mod smartwatts_nominal_dt;
mod zeus_wrap_race;
