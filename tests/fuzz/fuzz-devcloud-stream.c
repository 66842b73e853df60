/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A message to Golioth's stream: what is taken has names and times that can be printed, and a value each. */
#include "stream.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_(senml_pack_freep) struct senml_pack *p = NULL;
    struct error e = {};

    if (stream_read((const char *)data, size, USEC_PER_SEC, &p, &e) < 0) {
        if (!e.text[0])
            abort();
        return 0;
    }
    if (p->count > SENML_RECORDS_MAX || p->probe || p->device[0])
        abort();
    for (size_t i = 0; i < p->count; i++)
        if (!p->records[i].name[0] || !p->records[i].value || !isfinite(p->records[i].time))
            abort();
    return 0;
}
