/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Metrics as text: OpenMetrics 1.0, or the text format 0.0.4 that node-exporter's textfile collector reads. Pure.
 * Families are JSON, so that --json shows the same: an array of {"name", "type", "unit", "help", "samples": [{"labels",
 * "value"}]}, where the name of a counter is without "_total" and the type is gauge or counter. */

#include "base/json.h"

enum exposition { EXPOSITION_OPENMETRICS, EXPOSITION_PROMETHEUS };

/* Adds a family without samples; `unit` "" if it has none. Returns it; the array owns it. */
json_object *exposition_family(json_object *families, const char *name, const char *type, const char *unit,
                               const char *help);
/* Adds a sample to it: `label` NULL for one without. */
void exposition_sample(json_object *family, const char *label, const char *value_of_label, json_object *value);
/* The whole text; NULL: out of memory. */
char *exposition_text(json_object *families, enum exposition format);
