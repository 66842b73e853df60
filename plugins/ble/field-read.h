/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A field as a decoder file writes it; the keys are explained in gatehouse-ble(5). Any thread. */

#include "field.h"
#include "reading.h"

/* False after a complaint or without memory; *ret is then to be given to field_done all the same. */
bool field_read(struct reading *r, json_object *o, struct field *ret);
/* Conditions: one object, or a list of them that must all hold. *ret is the caller's to free. */
bool field_conditions_read(struct reading *r, json_object *o, const char *key, struct field_condition **ret,
                           size_t *ret_n);
/* "little" or "big" at `key`; false after a complaint. */
bool field_order_read(struct reading *r, json_object *o, const char *key, bool *ret_big);
