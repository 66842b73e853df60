/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device/reload-plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* ── Configurations as they are read, without what a reload does not look at ── */

static char *no_suites[] = {NULL};

static struct config_uplink uplink(const char *name, const char *host)
{
    return (struct config_uplink){.name = (char *)name,
                                  .host = (char *)host,
                                  .profile = (char *)"senml",
                                  .suites = no_suites,
                                  .identity = (char *)"{opaque}-{n}"};
}

static struct config_device device(const char *id, const char *on)
{
    return (struct config_device){.id = (char *)id,
                                  .uplink = (char *)on,
                                  .driver = (char *)"sim",
                                  .section = (char *)"{}",
                                  .points_text = (char *)"{}",
                                  .enabled = true};
}

#define DEVICES 4
#define UPLINKS 2

/* Devices a, b, c, d; all on the uplink "one", except d on "two". */
struct side {
    struct config config;
    struct config_uplink uplinks[UPLINKS], *uplink_list[UPLINKS];
    struct config_device devices[DEVICES], *device_list[DEVICES];
};

static struct side before, after;
static bool runs[DEVICES], profiles_same[UPLINKS];

static void fill(struct side *s)
{
    static const char *const ids[DEVICES] = {"a", "b", "c", "d"};

    *s = (struct side){.uplinks = {uplink("one", "one.example"), uplink("two", "two.example")}};
    for (size_t i = 0; i < UPLINKS; i++)
        s->uplink_list[i] = &s->uplinks[i];
    for (size_t i = 0; i < DEVICES; i++) {
        s->devices[i] = device(ids[i], i < 3 ? "one" : "two");
        s->device_list[i] = &s->devices[i];
    }
    s->config = (struct config){
        .uplinks = s->uplink_list, .n_uplinks = UPLINKS, .devices = s->device_list, .n_devices = DEVICES};
}

static void without(struct side *s, size_t i)
{
    s->config.n_devices--;
    memmove(s->device_list + i, s->device_list + i + 1, (s->config.n_devices - i) * sizeof(*s->device_list));
}

static int setup(void **state)
{
    fill(&before);
    fill(&after);
    memset(runs, true, sizeof(runs));
    memset(profiles_same, true, sizeof(profiles_same));
    return 0;
}

static bool does_run(const char *id, void *userdata)
{
    return runs[id[0] - 'a'];
}

static bool is_same(const char *name, void *userdata)
{
    return profiles_same[strcmp(name, "one") == 0 ? 0 : 1];
}

static const struct reload_view view = {.runs = does_run, .profile_same = is_same};

/* "KAMR": kept, added, made anew, removed; in the order of the ids. */
static void expect(const char *whats)
{
    struct reload_plan plan;

    assert_int_equal(reload_plan(&before.config, &after.config, &view, &plan), 0);
    assert_int_equal(plan.n, strlen(whats));
    for (size_t i = 0; i < plan.n; i++) {
        assert_int_equal("KAMR"[plan.steps[i].what], whats[i]);
        assert_true(i == 0 || strcmp(plan.steps[i - 1].id, plan.steps[i].id) < 0);
        assert_int_equal(reload_ends(&plan.steps[i]), whats[i] == 'M' || whats[i] == 'R');
    }
    reload_plan_done(&plan);
}

/* The changes of the device at `i`, and whether its plugin is asked. */
static unsigned changes_at(size_t i, bool *ret_check)
{
    struct reload_plan plan;
    unsigned changes;

    assert_int_equal(reload_plan(&before.config, &after.config, &view, &plan), 0);
    changes = plan.steps[i].changes;
    *ret_check = reload_wants_check(&plan.steps[i]);
    reload_plan_done(&plan);
    return changes;
}

static void test_devices_that_did_not_change_go_on(void **state)
{
    bool check;

    expect("KKKK");
    for (size_t i = 0; i < DEVICES; i++) {
        assert_int_equal(changes_at(i, &check), 0);
        assert_false(check);
    }
}

static void test_a_device_that_is_configured_no_longer_ends(void **state)
{
    without(&after, 1);
    expect("KRKK");
}

static void test_a_device_that_is_new_begins_and_its_plugin_is_asked(void **state)
{
    bool check;

    without(&before, 2);
    runs[2] = false;
    expect("KKAK");
    changes_at(2, &check);
    assert_true(check);
}

/* It could not be made at the start, and nothing of it has changed. */
static void test_a_device_that_does_not_run_is_tried_again(void **state)
{
    bool check;

    runs[0] = false;
    expect("AKKK");
    changes_at(0, &check);
    assert_false(check);
}

static void test_another_uplink_or_name_at_the_cloud_makes_a_device_anew(void **state)
{
    after.devices[0].uplink = (char *)"two";
    after.devices[1].hardware_id = (char *)"B-7";
    expect("MMKK");
}

static void test_other_settings_are_exchanged_while_a_device_runs(void **state)
{
    bool check;

    after.devices[0].section = (char *)"{\"unit\":2}";
    after.devices[1].enabled = false;
    after.devices[2].expire_after = 5;
    expect("KKKK");
    assert_int_equal(changes_at(0, &check), CONFIG_DEVICE_DRIVER);
    assert_true(check);
    assert_int_equal(changes_at(1, &check), CONFIG_DEVICE_ENABLED);
    assert_false(check);
    assert_int_equal(changes_at(2, &check), CONFIG_DEVICE_POINTS);
    assert_false(check);
}

static void test_an_uplink_that_changed_makes_its_own_devices_anew(void **state)
{
    after.uplinks[0].port = 5685;
    expect("MMMK");
}

static void test_a_profile_whose_file_changed_makes_its_devices_anew(void **state)
{
    profiles_same[1] = false;
    expect("KKKM");
}

/* The changes belong to whom they are of, also behind devices that came or went. */
static void test_changes_are_told_of_the_right_device(void **state)
{
    bool check;

    without(&before, 0);
    without(&after, 1);
    runs[0] = false;
    after.devices[3].section = (char *)"{\"unit\":2}";
    expect("ARKK");
    assert_int_equal(changes_at(2, &check), 0);
    assert_int_equal(changes_at(3, &check), CONFIG_DEVICE_DRIVER);
    assert_true(check);
}

static void test_rules_for_all_are_told_apart(void **state)
{
    struct reload_plan plan;

    after.config.rotation.max_age = 5;
    assert_int_equal(reload_plan(&before.config, &after.config, &view, &plan), 0);
    assert_int_equal(plan.global, CONFIG_GLOBAL_ROTATION);
    reload_plan_done(&plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_devices_that_did_not_change_go_on, setup),
        cmocka_unit_test_setup(test_a_device_that_is_configured_no_longer_ends, setup),
        cmocka_unit_test_setup(test_a_device_that_is_new_begins_and_its_plugin_is_asked, setup),
        cmocka_unit_test_setup(test_a_device_that_does_not_run_is_tried_again, setup),
        cmocka_unit_test_setup(test_another_uplink_or_name_at_the_cloud_makes_a_device_anew, setup),
        cmocka_unit_test_setup(test_other_settings_are_exchanged_while_a_device_runs, setup),
        cmocka_unit_test_setup(test_an_uplink_that_changed_makes_its_own_devices_anew, setup),
        cmocka_unit_test_setup(test_a_profile_whose_file_changed_makes_its_devices_anew, setup),
        cmocka_unit_test_setup(test_changes_are_told_of_the_right_device, setup),
        cmocka_unit_test_setup(test_rules_for_all_are_told_apart, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
