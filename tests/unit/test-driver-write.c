/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Several points at once, by a plugin that can and by one that writes one at a time. */
#include "gatehouse-driver/write.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static char written[128]; /* the points, in their order */

/* Rounds up; refuses what is above 100. */
static int write_one(void *data, const char *point, const struct gatehouse_value *value,
                     struct gatehouse_value *ret_value, char *error, size_t error_size)
{
    if (value->d > 100) {
        snprintf(error, error_size, "too much");
        return -ERANGE;
    }
    strcat(strcat(written, point), " ");
    *ret_value = (struct gatehouse_value){.type = GATEHOUSE_INT, .x = (int64_t)value->d + 1};
    return 0;
}

static int write_all(void *data, struct gatehouse_write *writes, size_t n, char *error, size_t error_size)
{
    for (size_t i = n; i-- > 0;) {
        strcat(strcat(written, writes[i].point), " ");
        writes[i].set = writes[i].value;
        writes[i].set.d += 0.5;
    }
    return data ? 0 : -EIO;
}

static int write_nonsense(void *data, struct gatehouse_write *writes, size_t n, char *error, size_t error_size)
{
    writes[n - 1].set = (struct gatehouse_value){.type = GATEHOUSE_STRING, .s = "\xff"};
    return 0;
}

static struct job *make(double a, double b, double c)
{
    const double values[] = {a, b, c};
    struct job *j = job_new(JOB_WRITES, NULL);

    assert_non_null(j);
    j->n_writes = 3;
    j->writes = calloc(3, sizeof(*j->writes));
    assert_non_null(j->writes);
    for (int i = 0; i < 3; i++) {
        snprintf(j->writes[i].point, sizeof(j->writes[i].point), "p%d", i);
        j->writes[i].value = (struct sample_value){.type = SAMPLE_DOUBLE, .d = values[i]};
    }
    written[0] = 0;
    return j;
}

static void test_together(void **state)
{
    const struct gatehouse_plugin plugin = {.write = write_one, .write_points = write_all};
    struct job *j = make(1, 2, 3);

    write_points(&plugin, &j, j);
    assert_int_equal(j->r, 0);
    assert_int_equal(j->n_values, 3);
    assert_true(j->values[0].d == 1.5 && j->values[2].d == 3.5);
    assert_string_equal(written, "p2 p1 p0 ");
    job_free(j);
    j = make(1, 2, 3);
    write_points(&plugin, NULL, j);
    assert_int_equal(j->r, -EIO);
    assert_int_equal(j->n_values, 0);
    job_free(j);
}

static void test_one_by_one(void **state)
{
    const struct gatehouse_plugin plugin = {.write = write_one};
    struct job *j = make(1, 2, 3);

    write_points(&plugin, NULL, j);
    assert_int_equal(j->r, 0);
    assert_int_equal(j->n_values, 3);
    assert_true(j->values[1].type == SAMPLE_INT && j->values[1].x == 3);
    assert_string_equal(written, "p0 p1 p2 ");
    job_free(j);
    j = make(1, 200, 3);
    write_points(&plugin, NULL, j);
    assert_int_equal(j->r, -ERANGE);
    assert_string_equal(j->error, "p1: too much (1 of 3 written before)");
    assert_string_equal(written, "p0 ");
    job_free(j);
}

static void test_nonsense(void **state)
{
    const struct gatehouse_plugin plugin = {.write_points = write_nonsense};
    struct job *j = make(1, 2, 3);

    write_points(&plugin, NULL, j);
    assert_int_equal(j->r, -EBADMSG);
    job_free(j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_together),
        cmocka_unit_test(test_one_by_one),
        cmocka_unit_test(test_nonsense),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
