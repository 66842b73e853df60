/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Ids of devices, points, uplinks and drivers: [A-Za-z0-9][A-Za-z0-9._-]{0,63}, case-sensitive. Pure. */

#include <stdbool.h>

bool id_valid(const char *id);
/* The rule of id_valid, for error texts. */
#define ID_RULE "1 to 64 characters of A-Z a-z 0-9 . _ - beginning with a letter or digit"
