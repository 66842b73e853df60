/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Records of a profile's own: what goes together, what fits, what cannot be said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "profiles.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define PROFILE(target, more)                                                                                          \
    "{\"transport\":\"mqtt\",\"format\":\"json\",\"telemetry\":{\"topic\":\"" target "\"},\"probe\":\"none\"," more "}"
#define S(point, time, value, quality)                                                                                 \
    {                                                                                                                  \
        point, UINT64_C(time), {SAMPLE_INT, .x = value}, "Cel", quality                                                \
    }

static const struct sample samples[] = {S("a", 1000000, 1, 0), S("b", 1000000, 2, SAMPLE_STALE), S("a", 1000000, 3, 0),
                                        S("a", 2000001, 4, SAMPLE_OUT_OF_RANGE), S("b", 2000001, 5, 0)};

static void check(const char *profile, size_t n, size_t max, ssize_t taken, const char *target, const char *body)
{
    _cleanup_(profile_message_done) struct profile_message m = {0}, again = {0};
    _cleanup_(profile_unrefp) struct profile *p = parsed(profile);
    ssize_t r = profile_pack(p, &names, samples, n, max, &m);

    if (r != taken || (taken > 0 && (strcmp(m.target, target) != 0 || strcmp(m.body, body) != 0)))
        fail_msg("%zd %s %s\nexpected %zd %s %s", r, m.target ?: "", m.body ?: "", taken, target, body);
    if (taken < 0)
        return;
    assert_true(m.size <= p->max_payload && (max == 0 || m.size <= max));
    assert_int_equal(profile_pack(p, &names, samples, (size_t)taken, max, &again), taken);
    assert_string_equal(again.body, m.body);
}

#define BY_TIME PROFILE("t", "\"record\":{\"t\":\"{time}\",\"{point}\":\"{value}\"}")
#define NESTED                                                                                                         \
    PROFILE("t", "\"record\":{\"us\":\"{time_us}\",\"v\":{\"{point}\":{\"v\":\"{value}\",\"q\":\"{quality}\"}}}")
#define EACH PROFILE("{device}/{point}", "\"batch\":\"single\",\"record\":\"{value}\"")
#define RUNS                                                                                                           \
    PROFILE("x/{point}/y",                                                                                             \
            "\"batch\":\"when-many\",\"record\":[\"{time_ms}\",\"{value}\",\"{unit}\",\"{hardware_id}\"]")
#define ONES                                                                                                           \
    PROFILE("t", "\"group\":\"sample\",\"batch\":\"when-many\",\"record\":{\"p\":\"{point}\",\"v\":\"{value}\"}")

static void test_shapes(void **state)
{
    check(BY_TIME, 5, 0, 5, "t",
          "[{\"t\":1,\"a\":1,\"b/stale\":2},{\"t\":1,\"a\":3},{\"t\":2.000001,\"a/out-of-range\":4,\"b\":5}]");
    check(NESTED, 2, 0, 2, "t",
          "[{\"us\":1000000,\"v\":{\"a\":{\"v\":1,\"q\":\"good\"},\"b\":{\"v\":2,\"q\":\"stale\"}}}]");
    check(EACH, 5, 0, 1, "boiler-1/a", "1");
    check(RUNS, 5, 0, 1, "x/a/y", "[1000,1,\"Cel\",\"HW-1\"]");
    check(ONES, 1, 0, 1, "t", "{\"p\":\"a\",\"v\":1}");
    check(ONES, 2, 0, 2, "t", "[{\"p\":\"a\",\"v\":1},{\"p\":\"b/stale\",\"v\":2}]");
}

static void test_bounds(void **state)
{
    check(BY_TIME, 5, 27, 2, "t", "[{\"t\":1,\"a\":1,\"b/stale\":2}]");
    check(BY_TIME, 5, 26, 1, "t", "[{\"t\":1,\"a\":1}]");
    check(BY_TIME, 5, 15, 1, "t", "[{\"t\":1,\"a\":1}]");
    check(BY_TIME, 5, 14, -EMSGSIZE, "", "");
    check(ONES, 2, 37, 1, "t", "{\"p\":\"a\",\"v\":1}");
    check(ONES, 2, 39, 2, "t", "[{\"p\":\"a\",\"v\":1},{\"p\":\"b/stale\",\"v\":2}]");
    check(ONES, 2, 38, 1, "t", "{\"p\":\"a\",\"v\":1}");
    check(ONES, 2, 14, -EMSGSIZE, "", "");
}

/* A run of one point goes in one message; where its value is not good, to a level of its own. */
static void test_runs(void **state)
{
    _cleanup_(profile_unrefp) struct profile *p = parsed(RUNS);
    const struct sample run[] = {S("a", 1000, 1, 0), S("a", 2000, 2, 0), S("a", 3000, 3, SAMPLE_BAD)};
    _cleanup_(profile_message_done) struct profile_message m = {0}, bad = {0};

    assert_int_equal(profile_pack(p, &names, run, 3, 0, &m), 2);
    assert_string_equal(m.body, "[[1,1,\"Cel\",\"HW-1\"],[2,2,\"Cel\",\"HW-1\"]]");
    assert_int_equal(profile_pack(p, &names, run + 2, 1, 0, &bad), 1);
    assert_string_equal(bad.target, "x/a/bad/y");
}

static void test_what_cannot_be_said(void **state)
{
    _cleanup_(profile_unrefp) struct profile *p = parsed(BY_TIME);
    const struct sample bad[] = {
        {"t", 1000000, {SAMPLE_INT, .x = 1}, "", 0}, /* would be the record's time */
        {"a", 1000000, {SAMPLE_DOUBLE, .d = NAN}, "", 0},
        {"a", 1000000, {SAMPLE_INT, .x = 1}, "", SAMPLE_BOOTTIME},
    };
    struct sample mixed[] = {S("a", 1000000, 1, 0), bad[0], S("b", 1000000, 1, 0)};
    struct profile_message m = {0};

    for (size_t i = 0; i < ELEMENTSOF(bad); i++)
        assert_int_equal(profile_pack(p, &names, &bad[i], 1, 0, &m), -EINVAL);
    assert_int_equal(profile_pack(p, &names, bad, 0, 0, &m), -EINVAL);
    assert_int_equal(profile_pack(p, &names, mixed, 3, 0, &m), 1);
    profile_message_done(&m);
}

/* {"t": 1.5, "p": "a", "v": 1}, and a list of two of them */
static void test_cbor(void **state)
{
    _cleanup_(profile_unrefp) struct profile *p = parsed(
        "{\"format\":\"json\",\"telemetry\":{\"path\":\"t\",\"content_format\":60},\"batch\":\"when-many\",\"group\":\"sample\","
        "\"record\":{\"t\":\"{time}\",\"p\":\"{point}\",\"u\":\"{unit}\",\"v\":\"{value}\"},"
        "\"probe\":{\"path\":\"t\",\"body\":1},\"responses\":{\"accept\":[\"2.xx\"]}}");
    const struct sample two[] = {{"a", 1500000, {SAMPLE_INT, .x = 1}, "", 0},
                                 {"b", 2000000, {SAMPLE_INT, .x = -1}, "m", 0}};
    static const char one_bytes[] = "\xa3\x61t\xf9\x3e\x00\x61p\x61"
                                    "a\x61v\x01";
    static const char two_bytes[] = "\x82\xa3\x61t\xf9\x3e\x00\x61p\x61"
                                    "a\x61v\x01\xa4\x61t\x02\x61p\x61"
                                    "b\x61u\x61m\x61v\x20";
    _cleanup_(profile_message_done) struct profile_message m = {0}, more = {0};

    assert_int_equal(profile_pack(p, &names, two, 1, 0, &m), 1);
    assert_int_equal(m.size, sizeof(one_bytes) - 1);
    assert_memory_equal(m.body, one_bytes, m.size);
    assert_int_equal(profile_pack(p, &names, two, 2, sizeof(two_bytes) - 2, &more), 1);
    profile_message_done(&more);
    assert_int_equal(profile_pack(p, &names, two, 2, sizeof(two_bytes) - 1, &more), 2);
    assert_int_equal(more.size, sizeof(two_bytes) - 1);
    assert_memory_equal(more.body, two_bytes, more.size);
}

/* Random samples: whatever the bound, a pack holds it, and the same samples make the same bytes. */
static void test_random(void **state)
{
    static const char *const profiles[] = {BY_TIME, NESTED, EACH, RUNS, ONES};
    static const char *const points[] = {"a", "b", "flow_temp", "p.q-r"};
    struct sample s[40];
    uint64_t time = 1700000000000000;

    srandom(1);
    for (int round = 0; round < 2000; round++) {
        _cleanup_(profile_unrefp) struct profile *p = parsed(profiles[round % 5]);
        _cleanup_(profile_message_done) struct profile_message m = {0}, again = {0};
        size_t n = 1 + (size_t)random() % ELEMENTSOF(s), max = 20 + (size_t)random() % 500;
        ssize_t taken;

        for (size_t i = 0; i < n; i++) {
            time += random() % 3 == 0 ? 0 : (uint64_t)random() % 2000000;
            s[i] = (struct sample){
                points[random() % 4], time, {SAMPLE_DOUBLE, .d = (double)random() / 1000}, "", (uint32_t)random() & 14};
        }
        taken = profile_pack(p, &names, s, n, max, &m);
        if (taken == -EMSGSIZE)
            continue;
        assert_true(taken > 0 && (size_t)taken <= n && m.size <= max && strlen(m.body) == m.size);
        assert_int_equal(profile_pack(p, &names, s, (size_t)taken, max, &again), taken);
        assert_int_equal(again.size, m.size);
        assert_memory_equal(again.body, m.body, m.size);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes), cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_runs),   cmocka_unit_test(test_what_cannot_be_said),
        cmocka_unit_test(test_random), cmocka_unit_test(test_cbor),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
