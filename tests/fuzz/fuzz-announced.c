/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The file of what a broker keeps of a device: what is read is written as it was read, and read again as the same. */
#include "base/cleanup.h"
#include "device/announced.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_(announced_done) struct announced a = {0}, again = {0};
    _cleanup_free_ char *text = malloc(size + 1), *written = NULL;

    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = 0;
    if (announced_parse(text, &a) < 0)
        return 0;
    if (announced_format(&a, &written) < 0 || announced_parse(written, &again) < 0 || again.n != a.n ||
        again.texts != a.texts)
        abort();
    for (size_t i = 0; i < a.n; i++)
        if (strcmp(a.list[i].topic, again.list[i].topic) != 0 || strcmp(a.list[i].point, again.list[i].point) != 0 ||
            !announced_has(&a, a.list[i].topic))
            abort();
    return 0;
}
