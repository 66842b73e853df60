/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A device that is taken for done keeps a key that everybody was to lose. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "rotation/batch.h"
#include "rotation/machine.h"

#include <cmocka.h>
#include <errno.h>
#include <string.h>

static struct stamp stamp(uint8_t boot, uint64_t boottime, uint64_t realtime)
{
    struct stamp s = {.boottime = boottime, .realtime = realtime};

    memset(s.boot, boot, sizeof(s.boot));
    return s;
}

static void test_covers(void **state)
{
    const struct {
        const char *what;
        struct stamp begun, since;
        bool covers;
    } rows[] = {
        {"the same boot, after", stamp(1, 100, 0), stamp(1, 101, 0), true},
        {"the same boot, before", stamp(1, 100, 0), stamp(1, 99, 0), false},
        {"the same boot, after, and a clock that was set back", stamp(1, 100, 5000), stamp(1, 101, 4000), true},
        {"the same boot, before, and a clock that was set back", stamp(1, 100, 4000), stamp(1, 99, 5000), false},
        {"a later boot", stamp(1, 100, 5000), stamp(2, 1, 5001), true},
        {"an earlier boot", stamp(2, 100, 5000), stamp(1, 200, 4999), false},
        {"its age was lost, and is counted from a time after it", stamp(1, 100, 5000), stamp(0, 0, 5001), false},
        {"the same in another boot", stamp(2, 100, 5000), stamp(0, 0, 6000), false},
        {"another boot without a clock", stamp(1, 100, 5000), stamp(2, 200, 0), false},
        {"begun without a clock", stamp(1, 100, 0), stamp(2, 200, 5000), false},
        {"never", stamp(1, 100, 5000), stamp(0, 0, 0), false},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct batch_record record = {.begun = rows[i].begun};

        if (batch_covers(&record, &rows[i].since) != rows[i].covers)
            print_error("%s\n", rows[i].what);
        assert_int_equal(batch_covers(&record, &rows[i].since), rows[i].covers);
    }
}

static void test_record(void **state)
{
    struct batch_record record = {.begun = stamp(7, 1234567, 1700000000 * USEC_PER_SEC), .compromised = true}, again;
    struct rotation_durable durable;
    uint8_t blob[BATCH_RECORD_MAX];
    ssize_t n;

    memset(record.id, 0x5a, sizeof(record.id));
    n = batch_encode(&record, blob, sizeof(blob));
    assert_true(n > 0 && n <= VAULT_ROTATION_MAX);
    assert_int_equal(batch_decode(blob, (size_t)n, &again), 0);
    /* By member: the padding between them is nobody's. */
    assert_memory_equal(record.id, again.id, sizeof(record.id));
    assert_true(record.compromised == again.compromised);
    assert_memory_equal(&record.begun, &again.begun, sizeof(record.begun));
    assert_int_equal(batch_encode(&record, blob, (size_t)n - 1), -ENOBUFS);
    assert_int_equal(batch_decode(blob, (size_t)n - 1, &again), -EINVAL);
    /* Nobody takes it for a device's state. */
    assert_int_equal(rotation_decode(blob, (size_t)n, &durable), -EPROTONOSUPPORT);
    blob[1] |= 2;
    assert_int_equal(batch_decode(blob, (size_t)n, &again), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_covers),
        cmocka_unit_test(test_record),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
