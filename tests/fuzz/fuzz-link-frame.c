/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A driver's stream: whatever it holds and however it is cut, the reader never passes on more than it was given, never
 * lets a message of more than LINK_FRAME_MAX through, and comes to the same end. */
#include "base/limits.h"
#include "link/frame.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static ssize_t feed(struct frame_reader *f, const uint8_t *data, size_t n, size_t step, size_t *ret_passed)
{
    size_t passed = 0, end = 0;
    ssize_t r = 0;

    while (end < n && r >= 0) {
        end = end + step < n ? end + step : n;
        r = frame_read(f, data + passed, end - passed);
        if (r > (ssize_t)(end - passed) || f->remaining > LINK_FRAME_MAX || f->auth_bytes > FRAME_AUTH_MAX)
            abort();
        if (r > 0)
            passed += (size_t)r;
    }
    *ret_passed = passed;
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct frame_reader whole = {0}, cut = {0};
    size_t passed_whole, passed_cut, step;
    ssize_t a, b;

    if (n == 0)
        return 0;
    step = 1 + data[0] % 32;
    data++;
    n--;
    a = feed(&whole, data, n, n, &passed_whole);
    b = feed(&cut, data, n, step, &passed_cut);
    if ((a < 0) != (b < 0) || (a >= 0 && passed_whole != passed_cut) || (a < 0 && whole.messages != cut.messages))
        abort();
    return 0;
}
