/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Any text as a decoder file: refused with words and a place, or taken; and what was taken decodes any bytes in bounds.
 */

#include "ble/decoder.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
    if (!good)
        abort();
}

static void count(void *context, const char *path, const char *place, const char *message)
{
    (void)path;
    check(place && message && *message);
    ++*(unsigned *)context;
}

/* The file's own bytes, as whatever it matches. */
static void use(const struct decoder_set *set, const uint8_t *data, size_t size)
{
    static struct decoded d;
    struct advert_service service = {"fcd2", data, size % 256};
    struct advert_manufacturer manufacturer = {0x0499, data, size % 256};
    struct advert advert = {.address = "A4:C1:38:02:83:F4",
                            .name = "sps",
                            .service = &service,
                            .n_service = 1,
                            .manufacturer = &manufacturer,
                            .n_manufacturer = 1};

    (void)decoder_decode(set, "own", &advert, NULL, NULL, 0, &d);
    for (size_t i = 0; i < d.n_values; i++)
        check(d.values[i].value.type != GATEHOUSE_DOUBLE || isfinite(d.values[i].value.d));
    (void)decoder_decode_characteristic(set, "own", "2a6e", data, size % 256, &d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct decoder_set *set = decoder_set_new();
    unsigned complaints = 0;

    check(set);
    int r = decoder_set_add_text(set, "own", "own.json", (const char *)data, size, count, &complaints);
    check((r == 0) == (complaints == 0));
    check(decoder_set_count(set) == (r == 0));
    if (r == 0)
        use(set, data, size);
    decoder_set_free(set);
    return 0;
}
