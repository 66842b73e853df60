/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The TLS certificate of the management calls: from files, or made at the start by an authority whose key is thrown
 * away at once, so that whoever trusts it trusts this run and nothing else. Blocking; one thread. */

#include "base/error.h"

struct certificate {
    char *chain; /* PEM; owned */
    char *key;   /* PEM; owned */
};

void certificate_done(struct certificate *c);
int certificate_read(const char *chain_path, const char *key_path, struct certificate *ret, struct error *e);
/* For localhost, 127.0.0.1 and ::1; the authority's certificate is written to `ca_path`. */
int certificate_make(const char *ca_path, struct certificate *ret, struct error *e);
