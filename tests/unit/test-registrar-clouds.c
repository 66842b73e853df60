/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What Golioth's lists and Hono's sets say, and what goes back to Hono: others' credentials stand in the same set. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "golioth-list.h"
#include "hono-set.h"

#include <cmocka.h>
#include <string.h>

static json_object *parse(const char *text)
{
    json_object *o = NULL;
    struct error e = {0};

    if (json_parse(text, strlen(text), &o, &e) < 0)
        fail_msg("%s: %s", text, e.text);
    return o;
}

static void check_text(json_object *o, const char *text)
{
    assert_string_equal(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE),
                        text);
}

/* ── Hono ── */

#define OTHERS                                                                                                         \
    "{\"type\":\"hashed-password\",\"auth-id\":\"x-1\",\"enabled\":false,\"secrets\":[{\"id\":\"p\",\"comment\":\"é\"}]}"
#define OLD                                                                                                            \
    "{\"type\":\"psk\",\"auth-id\":\"x-1\",\"ext\":{\"n\":1.50},\"secrets\":[{\"id\":\"s1\",\"not-before\":\"2026-01-01T00:00:00Z\"}]}"

static void test_hono_adds(void **state)
{
    json_object *set = parse("[" OTHERS "," OLD "]");

    assert_true(hono_set_valid(set));
    assert_int_equal(hono_put(set, "x-2", "AAAA"), 0);
    check_text(set, "[" OTHERS "," OLD ",{\"type\":\"psk\",\"auth-id\":\"x-2\",\"secrets\":[{\"key\":\"AAAA\"}]}]");
    json_object_put(set);
}

static void test_hono_replaces(void **state)
{
    json_object *set = parse("[" OTHERS "," OLD "]");

    assert_int_equal(hono_put(set, "x-1", "AAAA"), 0);
    check_text(set, "[" OTHERS
                    ",{\"type\":\"psk\",\"auth-id\":\"x-1\",\"ext\":{\"n\":1.50},\"secrets\":[{\"key\":\"AAAA\"}]}]");
    json_object_put(set);
}

static void test_hono_removes(void **state)
{
    json_object *set = parse("[" OTHERS "," OLD "]");

    assert_int_equal(hono_remove(set, "x-1", "s2"), 0);
    assert_int_equal(hono_remove(set, "x-2", "s1"), 0);
    assert_int_equal(hono_remove(set, "x-1", ""), 0);
    assert_int_equal(hono_remove(set, "x-1", "p"), 0); /* of a password with the same name */
    check_text(set, "[" OTHERS "," OLD "]");
    assert_int_equal(hono_remove(set, "x-1", "s1"), 1);
    check_text(set, "[" OTHERS "]");
    json_object_put(set);
    set = parse("[{\"type\":\"psk\",\"auth-id\":\"x\",\"secrets\":[{\"id\":\"a\"},{\"id\":\"b\"}]}]");
    assert_int_equal(hono_remove(set, "x", "a"), 1);
    check_text(set, "[{\"type\":\"psk\",\"auth-id\":\"x\",\"secrets\":[{\"id\":\"b\"}]}]");
    json_object_put(set);
}

static void test_hono_look(void **state)
{
    static const struct {
        const char *set, *cloud_id, *other_id;
        bool sent, replaces;
        enum hono_state state;
        const char *id;
    } rows[] = {
        {"[]", "", "", false, false, HONO_NONE, ""},
        {"[" OTHERS "]", "", "", true, false, HONO_NONE, ""},
        {"[" OLD "]", "s1", "", false, false, HONO_OURS, "s1"},
        {"[" OLD "]", "s9", "", true, false, HONO_FOREIGN, "s1"},
        {"[" OLD "]", "", "", true, false, HONO_OURS, "s1"},
        {"[" OLD "]", "", "", false, false, HONO_FOREIGN, "s1"},
        {"[" OLD "]", "", "s1", true, true, HONO_DISPLACED, "s1"},
        {"[" OLD "]", "", "s0", true, true, HONO_OURS, "s1"},
        {"[" OLD "]", "", "s0", false, true, HONO_FOREIGN, "s1"},
        {"[" OLD "]", "", "", true, true, HONO_DISPLACED, "s1"},
        {"[" OLD "]", "s1", "s0", false, true, HONO_OURS, "s1"},
        {"[{\"type\":\"psk\",\"auth-id\":\"x-1\",\"secrets\":[]}]", "", "", true, false, HONO_NONE, ""},
        {"[{\"type\":\"psk\",\"auth-id\":\"x-1\",\"secrets\":[7]}]", "", "", true, false, HONO_OURS, ""},
        {"[{\"type\":\"psk\",\"auth-id\":\"x-1\",\"secrets\":[{\"id\":\"a/b\"}]}]", "", "", true, false, HONO_OURS, ""},
        {"[{\"type\":\"psk\",\"auth-id\":7,\"secrets\":{}}]", "", "", true, false, HONO_NONE, ""},
    };

    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        const struct request q = {
            .cloud_id = rows[i].cloud_id, .other_id = rows[i].other_id, .replaces = rows[i].replaces};
        json_object *set = parse(rows[i].set);
        char id[CLOUD_ID_MAX];
        enum hono_state found = hono_look(set, "x-1", &q, rows[i].sent, id);

        if (found != rows[i].state)
            print_error("row %zu\n", i);
        assert_int_equal(found, rows[i].state);
        assert_string_equal(id, rows[i].id);
        json_object_put(set);
    }
}

/* ── Golioth ── */

#define DEVICE(id, hardware) "{\"id\":\"" id "\",\"name\":\"n\",\"hardwareIds\":[\"x\"," hardware "]}"

static void test_golioth_devices(void **state)
{
    static const struct {
        const char *list;
        int r;
        const char *id;
    } rows[] = {
        {"[]", 0, ""},
        {"[" DEVICE("d1", "\"boiler-10\"") "]", 0, ""}, /* a search that means "contains" */
        {"[" DEVICE("d1", "\"boiler-10\"") "," DEVICE("d2", "\"boiler-1\"") "]", 0, "d2"},
        {"[" DEVICE("d1", "\"boiler-1\"") "," DEVICE("d2", "\"boiler-1\"") "]", -ENOTUNIQ, "old"},
        {"[" DEVICE("d/1", "\"boiler-1\"") "]", -EBADMSG, "old"},
        {"[" DEVICE("d~1", "\"boiler-1\"") "]", -EBADMSG, "old"},
        {"[7,{\"id\":\"d\"},{\"hardwareIds\":[7]},{\"hardwareIds\":\"boiler-1\"}]", 0, ""},
    };

    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        json_object *list = parse(rows[i].list);
        char id[CLOUD_ID_MAX] = "old";

        assert_int_equal(golioth_find_device(list, "boiler-1", id), rows[i].r);
        assert_string_equal(id, rows[i].id);
        json_object_put(list);
    }
}

static void test_golioth_credentials(void **state)
{
    static const struct {
        const char *list, *id;
        int r;
    } rows[] = {
        {"[{\"id\":\"c1\",\"identity\":\"a-1@p\"},{\"id\":\"c2\",\"identity\":\"a-2@p\"}]", "c2", 0},
        {"[{\"id\":\"c2\",\"identity\":\"a-2\"}]", "c2", 0},
        {"[{\"id\":\"c3\",\"identity\":\"a-2@q\"},{\"id\":\"c3\",\"identity\":\"a-20\"},{\"id\":\"c3\",\"identity\":\"a\"}]",
         "", 0},
        {"[{\"identity\":\"a-2@p\"}]", "", -EBADMSG},
        {"[7,{\"identity\":7},{}]", "", 0},
    };

    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        json_object *list = parse(rows[i].list);
        char id[CLOUD_ID_MAX];

        assert_int_equal(golioth_find_credential(list, "a-2@p", id), rows[i].r);
        if (rows[i].r == 0)
            assert_string_equal(id, rows[i].id);
        json_object_put(list);
    }
}

static void test_golioth_ids(void **state)
{
    char device[CLOUD_ID_MAX], credential[CLOUD_ID_MAX], id[CLOUD_ID_MAX], long_id[CLOUD_ID_MAX];
    char local[IDENTITY_MAX + 1];
    json_object *answer = parse("{\"data\":{\"id\":\"c1\"}}");

    assert_int_equal(golioth_new_id(answer, "id", id), 0);
    assert_string_equal(id, "c1");
    assert_int_equal(golioth_new_id(answer, "deviceId", id), -EBADMSG);
    json_object_put(answer);
    assert_int_equal(golioth_join("d1", "c1", id), 0);
    assert_int_equal(golioth_split(id, device, credential), 0);
    assert_string_equal(device, "d1");
    assert_string_equal(credential, "c1");
    memset(long_id, 'a', sizeof(long_id) - 1);
    long_id[sizeof(long_id) - 1] = 0;
    assert_int_equal(golioth_join(long_id, "c", id), -E2BIG);
    assert_int_equal(golioth_split("c-17", device, credential), -EINVAL);
    assert_int_equal(golioth_split("~c", device, credential), -EINVAL);
    assert_int_equal(golioth_split("d~", device, credential), -EINVAL);
    assert_int_equal(golioth_split("d~c~e", device, credential), -EINVAL);
    assert_int_equal(golioth_local_identity("a@b-1@p", "p", local), 0);
    assert_string_equal(local, "a@b-1");
    assert_int_equal(golioth_local_identity("a-1", "p", local), -EINVAL);
    assert_int_equal(golioth_local_identity("@p", "p", local), -EINVAL);
    assert_int_equal(golioth_local_identity("a@q", "p", local), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hono_adds),       cmocka_unit_test(test_hono_replaces),
        cmocka_unit_test(test_hono_removes),    cmocka_unit_test(test_hono_look),
        cmocka_unit_test(test_golioth_devices), cmocka_unit_test(test_golioth_credentials),
        cmocka_unit_test(test_golioth_ids),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
