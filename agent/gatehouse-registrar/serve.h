/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One connection: reads the request, carries it out, answers. Blocks, for at most REGISTRAR_READ_TIMEOUT and
 * REGISTRAR_BUDGET. */

#include "request.h"

struct serve_options {
    enum registrar_type type; /* of the requests that are taken */
    const char *api_key_file; /* NULL: api-key below $CREDENTIALS_DIRECTORY */
    const char *program_dir;
    const char *url; /* the only one that is asked; NULL: any */
};

/* 0, or a negative errno when nobody could be answered. Logs what was asked and what became of it. */
int serve(int fd, const struct serve_options *options);
