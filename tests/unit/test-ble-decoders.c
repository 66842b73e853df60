/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Every shipped decoder file is taken, which means that its vectors pass. */

#include "ble/decoder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static unsigned complaints;

static void complain(void *context, const char *path, const char *place, const char *message)
{
    (void)context;
    (void)fprintf(stderr, "%s:%s: %s\n", path, place, message);
    complaints++;
}

static void test_shipped_files_pass_their_vectors(void **state)
{
    static const char *const directories[] = {BLE_DECODERS};
    struct decoder_set *set = NULL;

    (void)state;
    assert_int_equal(decoder_set_load(directories, 1, complain, NULL, &set), 0);
    assert_int_equal(complaints, 0);
    assert_non_null(decoder_set_find(set, "bthome"));
    assert_non_null(decoder_set_find(set, "ruuvi-5"));
    decoder_set_free(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shipped_files_pass_their_vectors),
    };

    return cmocka_run_group_tests_name("ble-decoders", tests, NULL, NULL);
}
