/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What holds for every format, whatever is heard: nothing breaks, and no value comes out of nothing. All vectors of all
 * shipped files are cut at each byte and changed at each bit. */

#include "ble-sample.h"

#include <dirent.h>
#include <json-c/json.h>
#include <json-c/json_util.h>
#include <math.h>

static struct decoder_set *set;

/* A vector of a file. */
struct vector {
    const char *format;
    char source[2 * ADVERT_PAYLOAD_MAX + 16];
    const char *address, *key, *name;
    size_t n; /* bytes */
    bool fixed;
};

typedef void (*check_fn)(const struct vector *v);

static bool vector_read(json_object *o, struct vector *v)
{
    json_object *manufacturer = json_object_object_get(o, "manufacturer"),
                *service = json_object_object_get(o, "service");
    json_object *table = manufacturer ? manufacturer : service;

    if (!table)
        return false;
    json_object_object_foreach (table, key, value) {
        const char *hex = json_object_get_string(value);
        if (manufacturer)
            (void)snprintf(v->source, sizeof v->source, "%04lx:%s", strtoul(key, NULL, 16), hex);
        else
            (void)snprintf(v->source, sizeof v->source, "s:%s:%s", key, hex);
        v->n = strlen(hex) / 2;
    }
    v->address = json_object_get_string(json_object_object_get(o, "address"));
    v->key = json_object_get_string(json_object_object_get(o, "key"));
    v->name = json_object_get_string(json_object_object_get(o, "name"));
    return true;
}

static void each_vector(check_fn check)
{
    DIR *d = opendir(BLE_DECODERS);
    unsigned n = 0;

    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        char path[512], format[256];
        size_t length = strlen(e->d_name);
        if (length < 6 || strcmp(e->d_name + length - 5, ".json") != 0)
            continue;
        (void)snprintf(format, sizeof format, "%.*s", (int)length - 5, e->d_name);
        (void)snprintf(path, sizeof path, "%s/%s", BLE_DECODERS, e->d_name);
        json_object *root = json_object_from_file(path), *vectors = json_object_object_get(root, "vectors");
        for (size_t i = 0; i < json_object_array_length(vectors); i++) {
            struct vector v = {.format = format, .fixed = !json_object_object_get(root, "walk")};
            if (vector_read(json_object_array_get_idx(vectors, i), &v)) {
                check(&v);
                n++;
            }
        }
        json_object_put(root);
    }
    closedir(d);
    assert_true(n > 200);
}

static int run(const struct vector *v, struct sample *s, struct decoded *d)
{
    s->advert.name = v->name;
    return decoder_decode(set, v->format, &s->advert, v->key ? &s->key : NULL, NULL, 0, d);
}

/* --- what holds for whatever was decoded --- */

static bool is_point_name(const char *name)
{
    size_t n = strlen(name);

    return n >= 1 && n <= 64 && name[0] != '.' && name[0] != '_' && name[0] != '-' &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == n;
}

static void check_values(const struct vector *v, int result, const struct decoded *d)
{
    bool given = result == DECODED || result == DECODER_STOPPED || result == DECODER_TRUNCATED;

    if (!given && d->n_values > 0)
        fail_msg("%s %s: values with %s", v->format, v->source, decoder_result_name((enum decoder_result)result));
    for (size_t i = 0; i < d->n_values; i++) {
        const struct decoded_value *one = &d->values[i];
        if (!is_point_name(one->name) || (one->unit && strlen(one->unit) > 31))
            fail_msg("%s %s: %s is no point", v->format, v->source, one->name);
        if (one->value.type == GATEHOUSE_DOUBLE &&
            (!isfinite(one->value.d) || !!signbit(one->value.d + 0.0) != (one->value.d < 0)))
            fail_msg("%s %s: %s is %g", v->format, v->source, one->name, one->value.d);
        if (one->value.type == GATEHOUSE_STRING && strlen(one->value.s) > FIELD_TEXT_MAX)
            fail_msg("%s %s: %s is too long", v->format, v->source, one->name);
        for (size_t k = 0; k < i; k++)
            if (strcmp(d->values[k].name, one->name) == 0)
                fail_msg("%s %s: %s is there twice", v->format, v->source, one->name);
    }
}

static bool same_value(const struct gatehouse_value *a, const struct gatehouse_value *b)
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

/* --- cut --- */

static void check_cuts(const struct vector *v)
{
    struct decoded *whole = calloc(1, sizeof *whole), *cut = calloc(1, sizeof *cut);
    struct sample s;

    assert_true(whole && cut);
    sample_make(&s, v->source, v->address, v->key);
    int all = run(v, &s, whole);
    check_values(v, all, whole);
    /* What is another's may be this format's without its end. */
    for (size_t n = 0; n < v->n && all != DECODER_NOT_MINE; n++) {
        s.manufacturer.n = s.service.n = n;
        int r = run(v, &s, cut);
        check_values(v, r, cut);
        if (r == DECODER_TRUNCATED && v->fixed && cut->n_values > 0)
            fail_msg("%s %s: values of %zu bytes", v->format, v->source, n);
        for (size_t i = 0; i < cut->n_values; i++)
            if (i >= whole->n_values || strcmp(cut->values[i].name, whole->values[i].name) != 0 ||
                !same_value(&cut->values[i].value, &whole->values[i].value))
                fail_msg("%s %s: %zu bytes give another %s", v->format, v->source, n, cut->values[i].name);
        if (whole->encrypted && whole->has_counter && r != DECODER_WRONG_KEY && r != DECODER_TRUNCATED &&
            r != DECODER_NOT_MINE)
            fail_msg("%s %s: %zu bytes of what was encrypted: %s", v->format, v->source, n,
                     decoder_result_name((enum decoder_result)r));
    }
    free(whole);
    free(cut);
}

static void test_cut_at_each_byte_values_are_right_or_not_there(void **state)
{
    (void)state;
    each_vector(check_cuts);
}

/* --- changed --- */

static void check_flips(const struct vector *v)
{
    struct decoded *d = calloc(1, sizeof *d);
    struct sample s;

    assert_non_null(d);
    sample_make(&s, v->source, v->address, v->key);
    (void)run(v, &s, d);
    bool verified = d->encrypted && d->has_counter;
    for (size_t bit = 0; bit < 8 * v->n; bit++) {
        s.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        int r = run(v, &s, d);
        check_values(v, r, d);
        /* Bits outside of what is verified change nothing that is told: the frame control of MiBeacon has some. */
        if (verified && (r == DECODED || r == DECODER_STOPPED) && strcmp(v->format, "mibeacon") != 0)
            fail_msg("%s %s: bit %zu of what was encrypted may be changed", v->format, v->source, bit);
        r = decoder_decode(set, DECODER_AUTO, &s.advert, v->key ? &s.key : NULL, NULL, 0, d);
        check_values(v, r, d);
        if (v->key && r == DECODED && !d->encrypted)
            fail_msg("%s %s: bit %zu makes it believed in the clear", v->format, v->source, bit);
        s.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    free(d);
}

static void test_changed_at_each_bit_nothing_breaks_and_nothing_encrypted_is_believed(void **state)
{
    (void)state;
    each_vector(check_flips);
}

/* --- anything --- */

static uint32_t random_state = 1;

static uint8_t random_byte(void)
{
    random_state = random_state * UINT32_C(1664525) + UINT32_C(1013904223);
    return (uint8_t)(random_state >> 24);
}

static void check_noise(const struct vector *v)
{
    struct decoded *d = calloc(1, sizeof *d);
    struct sample s;

    assert_non_null(d);
    sample_make(&s, v->source, v->address, v->key);
    for (unsigned i = 0; i < 64; i++) {
        size_t keep = random_byte() % (v->n + 1), n = keep + random_byte() % (ADVERT_PAYLOAD_MAX - keep + 1);
        sample_make(&s, v->source, v->address, v->key);
        for (size_t k = keep; k < n; k++)
            s.bytes[k] = random_byte();
        s.manufacturer.n = s.service.n = n;
        check_values(v, run(v, &s, d), d);
    }
    free(d);
}

static void test_any_bytes_behind_a_good_beginning_break_nothing(void **state)
{
    (void)state;
    each_vector(check_noise);
}

static void test_all_lengths_of_all_bytes_break_nothing(void **state)
{
    struct decoded *d = calloc(1, sizeof *d);

    (void)state;
    assert_non_null(d);
    for (size_t i = 0; i < decoder_set_count(set); i++)
        for (size_t n = 0; n <= ADVERT_PAYLOAD_MAX + 1; n++) {
            struct vector v = {.format = decoder_name(decoder_set_at(set, i)), .source = "s:fcd2:"};
            uint8_t bytes[ADVERT_PAYLOAD_MAX + 1];
            struct sample s;
            sample_make(&s, v.source, NULL, NULL);
            memset(bytes, (int)(n & 1 ? 0xff : 0x40), sizeof bytes);
            s.service.bytes = s.manufacturer.bytes = bytes;
            s.service.n = s.manufacturer.n = n;
            s.advert.n_manufacturer = 1;
            s.manufacturer.company = (uint16_t)(n << 8 | 0x99);
            check_values(&v, run(&v, &s, d), d);
        }
    free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut_at_each_byte_values_are_right_or_not_there),
        cmocka_unit_test(test_changed_at_each_bit_nothing_breaks_and_nothing_encrypted_is_believed),
        cmocka_unit_test(test_any_bytes_behind_a_good_beginning_break_nothing),
        cmocka_unit_test(test_all_lengths_of_all_bytes_break_nothing),
    };

    set = shipped_decoders();
    int r = cmocka_run_group_tests_name("ble-properties", tests, NULL, NULL);
    decoder_set_free(set);
    return r;
}
