/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reads an arriving SenML JSON pack (RFC 8428): base fields resolved into each record, times made absolute. A pack is
 * taken whole or not at all. The caller owns the pack and calls senml_pack_free. Pure except for the given clock. */

#include "base/cleanup.h"
#include "base/error.h"
#include "base/json.h"
#include "base/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SENML_RECORDS_MAX 4096
#define SENML_NAME_MAX (DEVICE_ID_MAX + 16) /* a point and what its quality adds, as in "flow_temp/out-of-range" */

struct senml_record {
    char name[SENML_NAME_MAX + 1]; /* what follows the device and its colon */
    char unit[UNIT_MAX + 1];       /* "" if none */
    json_object *value;            /* number, text or bool, as it came */
    double time;                   /* seconds of CLOCK_REALTIME */
};

struct senml_pack {
    char device[DEVICE_ID_MAX + 1]; /* "" if the names have no colon */
    bool probe;                     /* exactly one record, and it is the probe */
    struct senml_record *records;
    size_t count;
};

/* -EINVAL, with the record and what is wrong with it; -ENOMEM. */
int senml_read(const char *text, size_t n, uint64_t now, struct senml_pack **ret, struct error *e);
struct senml_pack *senml_pack_free(struct senml_pack *p);
DEFINE_FREEP(struct senml_pack, senml_pack_free)
