/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Any registers under any format: decoding stays in bounds and gives a value that the contract allows, and an unscaled
 * value that is written back decodes to itself. */

#include "modbus/decode.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct head {
    uint8_t type;
    uint8_t order;
    uint8_t bit;
    uint8_t length;
    uint8_t scaled;
    uint8_t decimals;
    uint16_t scale;
    uint64_t mask;
    uint64_t invalid;
};

static const char *const orders[] = {"AB",       "BA",       "ABCD",     "DCBA",     "BADC",     "CDAB",
                                     "ABCDEFGH", "HGFEDCBA", "BADCFEHG", "GHEFCDAB", "EFGHABCD", "CDABGHEF"};

static void check(bool good)
{
    if (!good)
        abort();
}

static bool equal(const struct gatehouse_value *a, const struct gatehouse_value *b)
{
    if (a->type != b->type)
        return false;
    switch (a->type) {
    case GATEHOUSE_BOOL:
        return a->b == b->b;
    case GATEHOUSE_INT:
    case GATEHOUSE_UINT:
        return a->t == b->t;
    case GATEHOUSE_DOUBLE:
        return a->d == b->d;
    case GATEHOUSE_STRING:
        return strcmp(a->s, b->s) == 0;
    }
    return false;
}

static bool make_format(const struct head *h, struct modbus_format *f)
{
    *f = (struct modbus_format){.type = (enum modbus_type)(h->type % TYPE_COUNT),
                                .bit = h->bit % 16,
                                .text = {.length = 1 + h->length % (STRING_BYTES_MAX / 2),
                                         .packing = (enum text_packing)(h->decimals / 11 % 3),
                                         .words_reversed = h->bit & 16,
                                         .bytes_swapped = h->bit & 32,
                                         .latin1 = h->bit & 64},
                                .scaled = h->scaled & 1,
                                .scale = 1,
                                .decimals = h->decimals % (DECIMALS_MAX + 2) - 1,
                                .invalid = {h->invalid},
                                .n_invalid = (h->scaled >> 1) & 1};
    if (f->scaled) {
        f->scale = (1 + h->scale) * 0.001;
        f->offset = h->scale - 1000.0;
    }
    f->invert = h->scaled & 4 && f->type == TYPE_BIT;
    unsigned bits = modbus_type_bits(f->type);
    if (h->scaled & 8 && bits >= 16 && bits < 64 + 1 && modbus_type_kind(f->type) <= KIND_SIGNED) {
        f->mask = h->mask & (UINT64_MAX >> (64 - bits));
        f->shift = f->mask ? (unsigned)__builtin_ctzll(f->mask) : 0;
    }
    f->order = modbus_order(f->type, orders[h->order % (sizeof orders / sizeof orders[0])]);
    return f->order || (bits > 0 && bits < 16);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[VALUE_TEXT_MAX], again_text[VALUE_TEXT_MAX], range[96];
    struct gatehouse_value value, again;
    struct modbus_format f;
    struct head h;

    if (size < sizeof h)
        return 0;
    memcpy(&h, data, sizeof h);
    if (!make_format(&h, &f))
        return 0;
    modbus_range_text(&f, range, sizeof range);
    size_t n = (size - sizeof h) / 2;
    uint16_t *registers = calloc(n + 1, sizeof *registers), *back = calloc(n + 1, sizeof *back);
    check(registers && back);
    memcpy(registers, data + sizeof h, n * 2);
    if (modbus_decode(&f, registers, n, text, &value) == 0) {
        check(n >= modbus_format_registers(&f));
        check(value.type != GATEHOUSE_DOUBLE || isfinite(value.d));
        check(value.type != GATEHOUSE_STRING || strlen(value.s) <= 2 * f.text.length);
        int r = modbus_encode(&f, &value, back, n);
        check(r == 0 || f.scaled || f.decimals >= 0);
        if (r == 0 && !f.scaled && f.decimals < 0 && modbus_decode(&f, back, n, again_text, &again) == 0)
            check(equal(&value, &again));
    }
    free(registers);
    free(back);
    return 0;
}
