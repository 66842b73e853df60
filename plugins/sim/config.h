/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The sim plugin's configuration: its section of a device's file and the keys of a point. Pure. */

#include <gatehouse/plugin.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sim_signal {
    SIM_SINE,
    SIM_SQUARE,
    SIM_SAW,
    SIM_RANDOM,
    SIM_COUNTER,
    SIM_CONSTANT,
    SIM_KEY_BYTES, /* the device's own: how long it is */
    SIM_KEY_TIMES, /* and how often it was handed over, all restarts counted */
};

enum sim_fault {
    SIM_FAULT_NONE,
    SIM_FAULT_HANG,
    SIM_FAULT_CRASH,
    SIM_FAULT_ERROR,
};

#define SIM_TEXT_MAX 256

struct sim_section {
    uint64_t interval; /* microseconds between two reports */
    uint64_t deadline; /* asked for before a write; 0: the host's own */
    uint64_t count;    /* reports in all; 0: no end */
    bool shared;       /* each interval one device, chosen at random among those that say so */
};

struct sim_point {
    enum sim_signal signal;
    enum sim_fault fault;
    uint64_t period;
    double amplitude, offset;
    struct gatehouse_value value; /* of SIM_CONSTANT; a string points into text */
    char text[SIM_TEXT_MAX];
};

/* Both complain of every mistake by its JSON pointer and return 0, or -EINVAL if there was one. */
int sim_section_parse(const char *json, struct sim_section *ret, gatehouse_complain complain, void *context);
int sim_point_parse(const char *name, const char *json, struct sim_point *ret, gatehouse_complain complain,
                    void *context);

/* "250us", "100ms", "1s", "5min", "24h", "90d": a whole number above 0 and a unit. 0 or -EINVAL. */
int sim_duration_parse(const char *text, uint64_t *ret);
