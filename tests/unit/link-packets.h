/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Packets in a few words, for tests: "[" and "{" begin an array and a map of the number that follows, 'text' is one,
 * numbers and t, f are themselves, "1.5" is a double. As: "[3 'state' 1 ..." Blanks separate. */

#include "base/limits.h"
#include "link/cbor.h"

#include <stdlib.h>
#include <string.h>

static inline void put_number(struct cbor_writer *w, const char *at, char **end)
{
    struct sample_value v = {.type = SAMPLE_INT, .x = strtoll(at, end, 10)};

    if (**end == '.')
        v = (struct sample_value){.type = SAMPLE_DOUBLE, .d = strtod(at, end)};
    cbor_put_value(w, &v);
}

static inline size_t packet_of(const char *words, uint8_t *buffer)
{
    struct cbor_writer w;
    char *end;

    cbor_writer_init(&w, buffer, LINK_PACKET_MAX);
    for (const char *at = words; *at; at = end) {
        end = (char *)at + 1;
        if (*at == '[')
            cbor_put_array(&w, strtoul(at + 1, &end, 10));
        else if (*at == '{')
            cbor_put_map(&w, strtoul(at + 1, &end, 10));
        else if (*at == '\'') {
            end = strchr(at + 1, '\'') + 1;
            cbor_put_text_n(&w, at + 1, (size_t)(end - at) - 2);
        } else if (*at == 't' || *at == 'f')
            cbor_put_bool(&w, *at == 't');
        else if (*at != ' ')
            put_number(&w, at, &end);
    }
    return cbor_written(&w);
}
