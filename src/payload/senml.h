/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* SenML (RFC 8428) in JSON (section 5, content format 110) and in CBOR (section 6, content format 112).
 *
 *     [{"bn":"boiler-1:","bt":1700000000.5,"bu":"Cel","n":"flow_temp","v":20.5},{"n":"flow_temp","t":1,"v":20.6}]
 *
 * Times are exact to the microsecond and integers exact to 64 bits; doubles are the shortest that reads back as the
 * same double (see writer.h). `bt` is the first sample's time, `t` what is added to it. `bu` stands when all samples
 * have the same unit and the pack holds no fewer that way, otherwise each record has its own `u`.
 *
 * SenML has no field for quality, and a receiver may ignore a field that it does not know, and so take a wrong value
 * for a good one. So the name says it: a value that is not good goes under a name of its own, which no point can have,
 * "flow_temp/bad", "flow_temp/out-of-range" or "flow_temp/stale", the first of these that applies.
 *
 * Pure, any thread. */

#include "base/sample.h"

#include <stdbool.h>
#include <stddef.h>

/* As profile_pack(): the number of samples in the pack, -EMSGSIZE, -EINVAL, -ENOMEM. The body is NUL-terminated. */
int senml_pack(bool cbor, const char *base_name, const struct sample *samples, size_t n, size_t max, char **ret_body,
               size_t *ret_size);

/* The suffix of a name: "" for a good value. */
const char *quality_suffix(uint32_t quality);
bool quality_suffix_is(const char *text);
/* Finite, and its time is one of the day. */
bool sample_sayable(const struct sample *s);
