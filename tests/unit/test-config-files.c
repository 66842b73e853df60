/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The files in tests/fixtures/config: every good one is taken, and of every bad one exactly those mistakes are told
 * that stand beside it in NAME.expected, a line each, LINE:COLUMN: TEXT. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/durable.h"
#include "base/strbuf.h"
#include "config/config.h"

#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIXTURES FIXTURES_DIR "/config"

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_json(const struct dirent *entry)
{
    size_t n = strlen(entry->d_name);

    return n > 5 && strcmp(entry->d_name + n - 5, ".json") == 0;
}

/* A configuration directory that consists of links to the fixture and to what it needs. */
static int load(const char *fixture, struct config **ret, struct mistakes *mistakes)
{
    char directory[] = "/tmp/test-config-XXXXXX", devices[64], gatehouse[64], device[80];
    bool is_device = strstr(fixture, "/device-");
    int r;

    assert_non_null(mkdtemp(directory));
    snprintf(devices, sizeof(devices), "%s/devices.d", directory);
    snprintf(gatehouse, sizeof(gatehouse), "%s/gatehouse.json", directory);
    snprintf(device, sizeof(device), "%s/x.json", devices);
    assert_int_equal(mkdir(devices, 0700), 0);
    assert_int_equal(symlink(is_device ? FIXTURES "/good/gatehouse-full.json" : fixture, gatehouse), 0);
    if (is_device)
        assert_int_equal(symlink(fixture, device), 0);
    r = config_load(&(struct config_paths){directory, directory}, CONFIG_STRICT, ret, mistakes);
    unlink(device);
    unlink(gatehouse);
    rmdir(devices);
    rmdir(directory);
    return r;
}

/* As NAME.expected has it. */
static char *told(const struct mistakes *mistakes)
{
    struct strbuf b = {0};
    char *text;

    for (size_t i = 0; i < mistakes->n; i++) {
        const struct mistake *m = &mistakes->list[i];
        const char *path = strstr(m->text, "/tmp/test-config-");

        if (path) /* the one thing that differs from run to run */
            strbuf_printf(&b, "%u:%u: %.*sDIR%s\n", m->line, m->column, (int)(path - m->text), m->text,
                          path + strlen("/tmp/test-config-XXXXXX"));
        else
            strbuf_printf(&b, "%u:%u: %s\n", m->line, m->column, m->text);
    }
    assert_int_equal(strbuf_take(&b, &text), 0);
    return text;
}

static void each(const char *directory, void (*check)(const char *path))
{
    struct dirent **entries;
    int n = scandir(directory, &entries, is_json, by_name);

    assert_true(n > 0);
    for (int i = 0; i < n; i++) {
        char path[PATH_MAX];

        snprintf(path, sizeof(path), "%s/%s", directory, entries[i]->d_name);
        check(path);
        free(entries[i]);
    }
    free(entries);
}

static void check_good(const char *path)
{
    _cleanup_(mistakes_done) struct mistakes mistakes = {0};
    _cleanup_(config_unrefp) struct config *c = NULL;
    _cleanup_free_ char *text = NULL;

    if (load(path, &c, &mistakes) < 0) {
        text = told(&mistakes);
        fail_msg("%s: %s", path, text);
    }
    assert_int_equal(mistakes.n_all, 0);
    assert_int_equal(c->n_devices, strstr(path, "/device-") ? 1 : 0);
}

static void check_bad(const char *path)
{
    _cleanup_(mistakes_done) struct mistakes mistakes = {0};
    _cleanup_free_ char *text = NULL, *expected = NULL;
    struct config *c = NULL;
    char expected_path[PATH_MAX];
    size_t n;

    snprintf(expected_path, sizeof(expected_path), "%.*s.expected", (int)(strlen(path) - strlen(".json")), path);
    assert_int_equal(load(path, &c, &mistakes), -EBADMSG);
    text = told(&mistakes);
    if (getenv("GATEHOUSE_WRITE_EXPECTED"))
        assert_int_equal(durable_write(AT_FDCWD, expected_path, text, strlen(text), 0644, NULL), 0);
    assert_int_equal(file_read(AT_FDCWD, expected_path, 65536, &expected, &n, NULL), 0);
    if (strcmp(text, expected) != 0)
        fail_msg("%s: told\n%sexpected\n%s", path, text, expected);
}

static void test_good(void **state)
{
    each(FIXTURES "/good", check_good);
}

static void test_bad(void **state)
{
    each(FIXTURES "/bad", check_bad);
}

/* What is shipped is read as it is. */
static void test_shipped(void **state)
{
    check_good(FIXTURES_DIR "/../../etc/gatehouse.json");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_shipped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
