/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Times as texts of RFC 3339, as clouds' interfaces have them. Pure. */

/* Seconds since 1970, with fractions; -EINVAL for anything else, times before 1970 included. */
int timestamp_read(const char *text, double *ret);
