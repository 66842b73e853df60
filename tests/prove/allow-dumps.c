/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Linked instead of agent/gatehoused/dumps.c into gatehoused-dumpable, for tests/prove/wiped.py alone. That agent may
 * be dumped, and holds what the proof plants, each in another form and place, so that the search is shown to find it.
 *
 * GATEHOUSE_PLANT is 32 bytes in hex, of which plant n is each byte XORed with 0xff - n: the variable itself is
 * none of them. Nothing planted is a key of anything. */
#include "dumps.h"

#include "base/arena.h"
#include "base/encode.h"
#include "base/log.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define PLANT_SIZE 32
#define PLANT_ROOM 128

enum plant { PLANT_RAW, PLANT_HEX, PLANT_HEX_UPPER, PLANT_BASE64, PLANT_ARENA, PLANTS };

static void *must(void *p)
{
    if (!p)
        abort();
    return p;
}

/* Never freed: it is to be found. */
static void plant(enum plant n, const uint8_t bytes[PLANT_SIZE])
{
    static char *kept[PLANTS];
    static struct arena *arena;
    struct secret *cell;

    kept[n] = must(calloc(1, PLANT_ROOM));
    switch (n) {
    case PLANT_RAW:
        memcpy(kept[n], bytes, PLANT_SIZE);
        break;
    case PLANT_HEX:
    case PLANT_HEX_UPPER:
        hex_encode(bytes, PLANT_SIZE, kept[n]);
        for (char *p = kept[n]; n == PLANT_HEX_UPPER && *p; p++)
            *p = (char)toupper((unsigned char)*p);
        break;
    case PLANT_BASE64:
        base64_encode(bytes, PLANT_SIZE, kept[n]);
        break;
    case PLANT_ARENA:
        if (arena_new(&arena, NULL) < 0 || secret_new(arena, &cell) < 0)
            abort();
        memcpy(cell->bytes, bytes, PLANT_SIZE);
        break;
    case PLANTS:
        break;
    }
}

void dumps_forbid(void)
{
    const char *text = getenv("GATEHOUSE_PLANT");
    uint8_t given[PLANT_SIZE], bytes[PLANT_SIZE];

    log_warning(NULL, "THIS PROGRAM MAY BE DUMPED AND TRACED: it is made for looking for keys in its memory, give it "
                      "none that matters");
    if (!text || hex_decode(text, strlen(text), given, sizeof(given)) != PLANT_SIZE)
        return;
    for (unsigned n = 0; n < PLANTS; n++) {
        for (size_t i = 0; i < PLANT_SIZE; i++)
            bytes[i] = given[i] ^ (uint8_t)(0xff - n);
        plant(n, bytes);
    }
    explicit_bzero(given, sizeof(given));
    explicit_bzero(bytes, sizeof(bytes));
}
